"""torch checkpoints: sizes from the zip's directory, and nothing unpickled."""

import struct
import zipfile
from pathlib import Path

import pytest

from model_load_exporter.artifacts import torch_zip
from model_load_exporter.artifacts.summary import ArtifactError


def checkpoint(path: Path, *sizes: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02cposix\nsystem\n.")
        for number, size in enumerate(sizes):
            archive.writestr(f"archive/data/{number}", b"\0" * size)
        archive.writestr("archive/version", b"3\n")
    return path


def test_the_storages_are_summed(tmp_path: Path) -> None:
    """Pickle and version are no tensors."""
    summary = torch_zip.read(checkpoint(tmp_path / "m.pth", 1000, 24))

    assert (summary.format, summary.tensor_bytes) == ("torch", 1024)


def test_a_zip64_size_is_read(tmp_path: Path) -> None:
    """A storage over 4 GiB has its size in an extra field."""
    entry = torch_zip._ENTRY.pack(b"PK\x01\x02", 0, 0, 0, 0xFFFFFFFF, len("a/data/0"), 12, 0, 0)
    extra = struct.pack("<HHQ", 1, 8, 5 * 2**30)

    assert torch_zip._storages(entry + b"a/data/0" + extra) == [5 * 2**30]


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
    ],
    ids=["empty", "lfs", "html", "no-directory", "hostile-zip64", "huge-directory", "no-entry"],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    """Each with the reason that a load of it would have."""
    file = tmp_path / "m.pth"
    file.write_bytes(content)

    with pytest.raises(ArtifactError) as caught:
        torch_zip.read(file)

    assert caught.value.reason == reason


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    """Its directory stood at the end."""
    file = checkpoint(tmp_path / "m.pth", 5000)
    file.write_bytes(file.read_bytes()[:3000])

    with pytest.raises(ArtifactError, match="truncated"):
        torch_zip.read(file)


def test_a_pickle_of_before_the_zip_format_is_as_large_as_its_file(tmp_path: Path) -> None:
    """Nothing else can be said of it without reading the pickle."""
    file = tmp_path / "m.pt"
    file.write_bytes(b"\x80\x02" + b"\0" * 500)

    assert torch_zip.read(file).tensor_bytes == 502
