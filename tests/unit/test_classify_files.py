"""A look at model files: what their first and last kilobytes, names and rights say."""

import contextlib
import json
import os
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_load_exporter.classify.files import FileFinding, look

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 268435456\n"
PAGE = b"\n<!DOCTYPE html><html><head><title>503</title></head></html>"
NOBODY = 65534


def safetensors(size: int = 64, claimed: int | None = None) -> bytes:
    """A file with one tensor of `size` bytes whose header claims `claimed`."""
    end = size if claimed is None else claimed
    header = json.dumps({"weight": {"dtype": "U8", "shape": [end], "data_offsets": [0, end]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(size)


def model(folder: Path, **files: bytes) -> Path:
    """A folder with a config.json and the files named (`_` stands for a dot)."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    for name, content in files.items():
        (folder / name.replace("__", "-").replace("_", ".")).write_bytes(content)
    return folder


def seen(path: Path) -> FileFinding:
    finding = look(str(path))
    assert finding is not None
    assert finding.detail.isprintable()
    return finding


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("model.bin", b"", "file_empty"),
        ("config.json", b"", "file_empty"),
        ("model.safetensors", POINTER, "lfs_pointer"),
        ("tokenizer.json", POINTER, "lfs_pointer"),
        ("model.gguf", POINTER, "lfs_pointer"),
        ("model.safetensors", PAGE, "file_corrupted"),
        ("model.pth", PAGE, "file_corrupted"),
        ("config.json", PAGE, "file_corrupted"),
        ("model.onnx", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "file_corrupted"),
        ("model.bin", bytes(100_000), "file_corrupted"),
        ("model.safetensors", b"\x02", "file_corrupted"),
        ("model.safetensors", struct.pack("<Q", 1 << 63) + b"{}", "file_corrupted"),
        ("model.safetensors", struct.pack("<Q", 5000) + b"{}", "file_corrupted"),
        ("model.safetensors", safetensors(64, claimed=1 << 40), "file_corrupted"),
        ("model.pth", b"PK\x03\x04" + bytes(200_000), "file_corrupted"),
        ("model.gguf", b"GGML" + bytes(100), "file_corrupted"),
        ("model.bin", b'{"error": "Access to model a/b is restricted"}', "file_corrupted"),
        ("spiece.model", b'{"detail": "Not Found"}', "file_corrupted"),
        ("vocab.txt", PAGE, "file_corrupted"),
        ("model.h5", b"HDF" + bytes(100) + b"x" * 500, "file_corrupted"),
        ("model.tflite", b"\x1c\0\0\0TFL2" + b"x" * 90, "file_corrupted"),
        ("scaler.npy", b"x" * 90, "file_corrupted"),
        ("arrays.npz", b"x" * 90, "file_corrupted"),
        ("config.json", b'{"model_type": ', "config_invalid"),
        ("config.json", b"[" * 100_000, "config_invalid"),
        ("tokenizer.json", b'{"model": {' + b'"a": 1, ' * 50_000, "config_invalid"),
        ("model.safetensors.index.json", b'{"weight_map": {', "file_corrupted"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    """A file's own bytes tell what happened to it."""
    path = tmp_path / name
    path.write_bytes(content)
    finding = seen(path)
    assert (finding.reason, finding.path) == (reason, str(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", safetensors()),
        ("model.safetensors", struct.pack("<Q", 2) + b"{}"),
        ("model.pkl", b"\x80\x02]q\x00."),
        ("model.gguf", b"GGUF" + bytes(100)),
        ("config.json", b'{"model_type": "bert"}'),
        ("tokenizer.json", b'{"vocab": [' + b'"a", ' * 90_000 + b'"b"]}\n'),
        ("index.html", PAGE),
        ("model.bin", b'{"error_rate": 1, "trees": []}'),
        ("model.h5", b"\x89HDF\r\n\x1a\n" + b"x" * 90),
        ("model.h5", b"\0" * 511 + b"u" + b"\x89HDF\r\n\x1a\n" + b"x" * 90),
        ("model.tflite", b"\x1c\0\0\0TFL3" + b"x" * 90),
        ("scaler.npy", b"\x93NUMPY\x01\0" + b"x" * 90),
        ("model.joblib", b"\x80\x04" + b"x" * 90),
        ("merges.txt", b"#version: 0.2\n"),
    ],
)
def test_a_sound_file_raises_no_doubt(tmp_path: Path, name: str, content: bytes) -> None:
    """A file with nothing wrong in what was read is not accused."""
    path = tmp_path / name
    path.write_bytes(content)
    assert look(str(path)) is None


def test_an_archive_is_sound_until_its_end_is_cut(tmp_path: Path) -> None:
    """A zip checkpoint is judged by its directory at the end, also below a long comment."""
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data/0", bytes(100_000))
        archive.comment = b"c" * 60_000
    assert look(str(path)) is None
    os.truncate(path, 90_000)
    assert seen(path).reason == "file_corrupted"


def test_an_archive_without_its_last_byte_is_cut(tmp_path: Path) -> None:
    """A directory that is there but does not reach its own end tells a cut as well, and how much is missing."""
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data/0", bytes(1000))
    size = path.stat().st_size
    os.truncate(path, size - 1)
    finding = seen(path)
    assert finding.reason == "file_corrupted"
    assert finding.detail.endswith(f"{size - 1} of {size} bytes")


@pytest.mark.parametrize("name", ["model.onnx_data", "model.onnx.data"])
@pytest.mark.parametrize(("content", "reason"), [(b"", "file_empty"), (POINTER, "lfs_pointer")])
def test_a_graphs_weights_lie_beside_it(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    """An ONNX graph is as good as the file of its weights, under both names that exporters give it."""
    (tmp_path / "model.onnx").write_bytes(b"\x08\x08" + b"x" * 90)
    assert look(str(tmp_path / "model.onnx")) is None
    (tmp_path / name).write_bytes(content)
    finding = seen(tmp_path / "model.onnx")
    assert (finding.reason, finding.path) == (reason, str(tmp_path / name))


def test_a_saved_models_graph_is_looked_at(tmp_path: Path) -> None:
    """In a SavedModel's folder the graph that was not fetched is found."""
    (tmp_path / "saved_model.pb").write_bytes(POINTER)
    assert seen(tmp_path).reason == "lfs_pointer"


def test_a_part_of_a_tensor_bundle_is_a_shard(tmp_path: Path) -> None:
    """tensorflow's parts have no suffix behind their numbers."""
    assert seen(tmp_path / "variables.data-00000-of-00001").reason == "shard_missing"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A missing file is missing, and the nearest folder that exists is told."""
    finding = seen(tmp_path / "models" / "a" / "model.bin")
    assert finding.reason == "file_missing"
    assert str(tmp_path) in finding.detail


def test_a_shard_that_is_not_there(tmp_path: Path) -> None:
    """A missing file with a shard's name is a missing shard."""
    assert seen(tmp_path / "model-00002-of-00003.safetensors").reason == "shard_missing"


def test_a_link_to_nowhere(tmp_path: Path) -> None:
    """A hub snapshot whose blob was pruned is missing, and the blob is named."""
    (tmp_path / "model.bin").symlink_to("../blobs/4d4d")
    finding = seen(tmp_path / "model.bin")
    assert finding.reason == "file_missing"
    assert "../blobs/4d4d" in finding.detail


def test_pipes_and_devices_are_left_alone(tmp_path: Path) -> None:
    """A pipe without a writer does not hang the look, and a device is not read."""
    os.mkfifo(tmp_path / "model.bin")
    assert look(str(tmp_path / "model.bin")) is None
    assert look("/dev/zero") is None


@pytest.mark.parametrize("path", ["", "\0", "/models/\0", "x" * 10_000, "\udcff"])
def test_a_path_that_cannot_be_is_no_error(path: str) -> None:
    """A path that the system refuses gives a finding or nothing, and raises nothing."""
    finding = look(path)
    assert finding is None or finding.reason == "file_missing"


def test_a_sound_folder_raises_no_doubt(tmp_path: Path) -> None:
    """The weights that a loader takes are sound; what it would leave aside is not looked at."""
    assert look(str(model(tmp_path / "a", model_safetensors=safetensors(), pytorch__model_bin=POINTER))) is None


def test_an_empty_folder(tmp_path: Path) -> None:
    """A mount point without its mount holds no model."""
    assert seen(tmp_path).reason == "file_missing"


def test_a_folder_without_weights(tmp_path: Path) -> None:
    """A config.json alone is no model."""
    assert seen(model(tmp_path / "a")).reason == "file_missing"


def test_a_folder_without_config(tmp_path: Path) -> None:
    """Weights of transformers without their config.json cannot be loaded."""
    folder = model(tmp_path / "a", model_safetensors=safetensors())
    (folder / "config.json").unlink()
    finding = seen(folder)
    assert (finding.reason, Path(finding.path).name) == ("file_missing", "config.json")


def test_a_damaged_file_in_a_folder(tmp_path: Path) -> None:
    """The file to blame is found in the folder and named."""
    finding = seen(model(tmp_path / "a", model_safetensors=safetensors(64, claimed=4096)))
    assert (finding.reason, Path(finding.path).name) == ("file_corrupted", "model.safetensors")
    assert "truncated" in finding.detail


def test_a_shard_that_the_index_names(tmp_path: Path) -> None:
    """A shard of the index that is not in the folder is told by name."""
    names = [f"model-{number:05d}-of-00003.safetensors" for number in (1, 2, 3)]
    folder = model(tmp_path / "a")
    index = {"weight_map": {f"layer.{number}": name for number, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for name in names[:2]:
        (folder / name).write_bytes(safetensors())
    finding = seen(folder)
    assert (finding.reason, Path(finding.path).name) == ("shard_missing", names[2])


def test_a_shard_that_only_the_others_names_tell(tmp_path: Path) -> None:
    """Without a readable index the shards' own names say how many there are."""
    folder = model(tmp_path / "a")
    (folder / "model-00002-of-00003.safetensors").write_bytes(safetensors())
    index = {"weight_map": {f"layer.{number}.{'x' * 40}": 7 for number in range(9000)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    finding = seen(folder)
    assert (finding.reason, Path(finding.path).name) == ("shard_missing", "model-00001-of-00003.safetensors")


@pytest.mark.parametrize("index", [{}, [], {"weight_map": {}}, {"weight_map": ["a"]}])
def test_an_index_that_names_nothing(tmp_path: Path, index: object) -> None:
    """An index without its map is to blame itself, however many shards lie beside it."""
    folder = model(tmp_path / "a", model_safetensors=safetensors())
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    finding = seen(folder)
    assert (finding.reason, Path(finding.path).name) == ("file_corrupted", "model.safetensors.index.json")


def test_an_index_of_folders_is_left_alone(tmp_path: Path) -> None:
    """Files in folders below are not looked for."""
    folder = model(tmp_path / "a", model_safetensors=safetensors())
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "part/model.safetensors"}}')
    assert look(str(folder)) is None


def test_a_link_to_itself(tmp_path: Path) -> None:
    """A link that leads in a circle is missing, and its name says why."""
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert "leads back to itself" in seen(tmp_path / "a").detail


def test_a_claim_of_99999_shards_is_bounded(tmp_path: Path) -> None:
    """A name that claims a hundred thousand shards costs no hundred thousand names."""
    folder = model(tmp_path / "a")
    (folder / "model-00001-of-99999.safetensors").write_bytes(safetensors())
    assert "of 4096 shards" in seen(folder).detail


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(os.getuid())
        os.setegid(os.getgid())


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, which tmp_path is not."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="another user's rights can be had by root only")
@pytest.mark.parametrize("closed", ["model.safetensors", "config.json", ".", ".."])
def test_what_the_user_may_not_read(open_folder: Path, closed: str) -> None:
    """An unreadable file, a folder that may not be entered and a closed folder above it are told as such."""
    folder = model(open_folder / "a", model_safetensors=safetensors())
    (folder / closed).chmod(0o600)
    with nobody():
        finding = look(str(folder))
        assert finding is not None
        assert finding.reason == "permission_denied"
        assert "uid 65534" in finding.detail
    assert look(str(folder)) is None


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="another user's rights can be had by root only")
def test_a_link_into_another_users_cache(open_folder: Path) -> None:
    """What a snapshot's link leads to lies in a folder that is closed: that one is named, not the link's."""
    blobs = open_folder / "home" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "x").write_bytes(safetensors())
    (open_folder / "home").chmod(0o700)
    (open_folder / "model.safetensors").symlink_to(blobs / "x")
    with nobody():
        finding = look(str(open_folder / "model.safetensors"))
    assert finding is not None
    assert finding.reason == "permission_denied"
    assert f"{open_folder / 'home'} (mode 0700, owner 0:0)" in finding.detail


def test_rights_that_the_mode_would_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Denied although the mode allows it: an ACL, a security module or a mount's option, and the mode misleads."""
    path = tmp_path / "model.bin"
    path.write_bytes(b"x")

    def denied(*_args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    assert "would allow it: see its ACL" in seen(path).detail
