"""torch checkpoints: sizes and types from the zip's directory and its pickle, and nothing unpickled."""

import struct
from pathlib import Path

import pytest

from model_load_exporter.artifacts import torch_zip
from model_load_exporter.artifacts.summary import ArtifactError
from support.checkpoints import state_pickle, write_checkpoint, write_legacy
from support.hostile import refused


def test_the_storages_are_summed(tmp_path: Path) -> None:
    """Pickle and version are no tensors; the pickle tells the type."""
    summary = torch_zip.read(write_checkpoint(tmp_path / "m.pth", data=bytes(1024)))

    assert (summary.format, summary.tensor_bytes, summary.parameters) == ("torch", 1024, 256)
    assert summary.dtypes == {"float32": 1024}
    assert summary.metadata == {"producer": "torch", "version": "3"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "file_empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "lfs_pointer"),
        (b"<!DOCTYPE html>", "file_corrupted"),
        (b"PK\x03\x04" + b"\0" * 100, "file_corrupted"),
        (b"PK\x03\x04" + b"PK\x05\x06" + b"\xff" * 18, "file_corrupted"),
        (b"PK\x03\x04" + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, 2**31, 0, 0), "file_corrupted"),
        (b"PK\x03\x04" + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, 4, 0, 0), "file_corrupted"),
        (struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 0), "file_corrupted"),
        (b"\x80\x02}.", "file_corrupted"),
        (b"\x80\x09}.", "version_incompatible"),
        (b"\x80\x02cposix\nsystem\n.", "unsafe_pickle"),
    ],
    ids=["empty", "lfs", "html", "no-directory", "hostile-zip64", "huge-directory", "no-entry", "no-entries",
         "no-checkpoint", "protocol-9", "malicious"],
)  # fmt: skip
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    """Each with the reason that a load of it would have."""
    file = tmp_path / "m.pth"
    file.write_bytes(content)

    assert refused(torch_zip.read, file).reason == reason


@pytest.mark.parametrize("write", [write_checkpoint, write_legacy])
def test_a_checkpoint_cut_anywhere_is_refused(tmp_path: Path, write: object) -> None:
    """Zip or bare pickles: no length but the whole one passes."""
    assert callable(write)
    file = write(tmp_path / "m.pth", data=bytes(range(40)))
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert refused(torch_zip.read, file).reason in ("file_corrupted", "file_empty")
    file.write_bytes(whole + b"\0")
    assert refused(torch_zip.read, file).reason == "file_corrupted"


@pytest.mark.parametrize("write", [write_checkpoint, write_legacy])
def test_a_malicious_pickle_is_found_in_both_forms(tmp_path: Path, write: object) -> None:
    """The reason is unsafe_pickle though the rest of the file is damaged too."""
    assert callable(write)
    file = write(tmp_path / "m.pth", pickled=b"\x80\x02cposix\nsystem\nX\x02\0\0\0id\x85R")
    error = refused(torch_zip.read, file)

    assert error.reason == "unsafe_pickle"
    assert "posix.system" in str(error)


def test_a_class_of_the_author_is_refused_in_weights_and_told_of_a_training_state(tmp_path: Path) -> None:
    """torch's default load refuses it; training arguments consist of such classes, and no model's load reads them."""
    pickled = b"\x80\x02cmyproject.settings\nSettings\n)\x81."
    assert refused(torch_zip.read, write_checkpoint(tmp_path / "model.pth", pickled=pickled)).reason == "unsafe_pickle"

    summary = torch_zip.read(write_checkpoint(tmp_path / "training_args.bin", pickled=pickled))
    assert "myproject.settings.Settings" in summary.metadata["note"]


def test_layers_of_the_framework_are_a_note(tmp_path: Path) -> None:
    """A whole model was saved: no code of its author, but weights_only refuses it."""
    pickled = b"\x80\x02ctorch.nn.modules.linear\nLinear\n)\x81."
    summary = torch_zip.read(write_checkpoint(tmp_path / "model.pth", pickled=pickled))
    assert "weights_only=False" in summary.metadata["note"]


@pytest.mark.parametrize(
    ("data", "pickled"),
    [(b"\0" * 100, state_pickle(50)), (b"\0" * 100, state_pickle(25).replace(b"\x01\0\0\x000", b"\x01\0\0\x007"))],
    ids=["shortened", "missing"],
)
def test_a_storage_that_is_not_whole_is_found(tmp_path: Path, data: bytes, pickled: bytes) -> None:
    """The zip is in order; what the pickle names is not in it."""
    with pytest.raises(ArtifactError, match="storage"):
        torch_zip.read(write_checkpoint(tmp_path / "m.pth", data=data, pickled=pickled))


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"GGUF\3\0\0\0", "gguf"),
        (b"lmgg" + bytes(20), "ggml"),
        (b"\x06\0\0\0\x10\0TransformerSpec\0" + bytes(40), "ctranslate2"),
        (b"3000000 300\nthe " + bytes(200), "word2vec"),
        (b"\xba\x16\x4f\x2f" + bytes(60), "fasttext"),
    ],
)
def test_other_programs_call_their_files_bin_too(tmp_path: Path, head: bytes, name: str) -> None:
    """Told by their first bytes; nothing else of them is judged."""
    file = tmp_path / "model.bin"
    file.write_bytes(head)
    assert torch_zip.read(file).format == name


def test_openvinos_weights_are_known_by_the_graph_beside_them(tmp_path: Path) -> None:
    """They are raw numbers."""
    file = tmp_path / "openvino_model.bin"
    file.write_bytes(bytes(range(256)))
    assert refused(torch_zip.read, file).reason == "file_corrupted"
    (tmp_path / "openvino_model.xml").touch()
    assert torch_zip.read(file).format == "openvino"
