"""numpy's arrays: whole, of their shape, and a pickle in one looked into."""

import pickle
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_load_exporter.artifacts import npy
from model_load_exporter.artifacts.verify import verify
from support.hostile import refused, survives, within

RUNS = b"\x80\x02cposix\nsystem\n)R."


def array(descr: object, shape: object, data: bytes, version: int = 1) -> bytes:
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2 if version == 1 else 4, "little") + header + data


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize(
    ("descr", "shape", "size"),
    [("<f4", (3, 5), 60), ("|b1", (), 1), ("<U7", (2,), 56), ("|S3", (2,), 6), ("<M8[ns]", (2,), 16), ("<f8", (0,), 0)],
)
def test_an_array_is_as_long_as_it_says(tmp_path: Path, descr: str, shape: object, size: int, version: int) -> None:
    """One byte less is seen."""
    file = tmp_path / "a.npy"
    file.write_bytes(array(descr, shape, bytes(size), version))
    assert npy.read(file).metadata["dtype"] == descr
    if size:
        file.write_bytes(array(descr, shape, bytes(size - 1), version))
        assert refused(npy.read, file).reason == "file_corrupted"


@pytest.mark.parametrize("descr", ["|O", [("a", "<f4"), ("b", "|O")], [("a", [("b", "|O8")], (2,))]])
def test_a_pickle_in_an_array_is_looked_into(tmp_path: Path, descr: object) -> None:
    """numpy writes all of an array of objects as a pickle, of a field of objects too."""
    file = tmp_path / "a.npy"
    file.write_bytes(array(descr, (1,), RUNS))
    assert verify([file], level="header").files[0].reason == "unsafe_pickle"
    file.write_bytes(array(descr, (1,), pickle.dumps(["a"])))
    (report,) = verify([file]).files
    assert report.ok
    assert report.format == "npy"
    assert "allow_pickle" in report.metadata["note"]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x93NUMPY\x01\0\xff\xff{}",
        b"\x93NUMPY\x02\0\xff\xff\xff\xff",
        array("<f4", (2**62, 2**62), b""),
        array("<f4", (-1,), b""),
        array("<f4", "x", b""),
        b"\x93NUMPY\x01\0\x10\x27" + b"(" * 10_000,
    ],
)
def test_a_header_that_lies_costs_nothing(tmp_path: Path, raw: bytes) -> None:
    """Lengths, shapes and brackets."""
    file = tmp_path / "a.npy"
    file.write_bytes(raw)
    with within(seconds=2, mebibytes=32):
        assert refused(npy.read, file).reason == "file_corrupted"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_of_arrays_is_looked_into(tmp_path: Path, method: int) -> None:
    """Each array as it would be by itself, packed or not; a flipped bit by the zip's checksum."""
    file = tmp_path / "a.npz"

    def archive(second: bytes) -> None:
        with zipfile.ZipFile(file, "w", method) as zipped:
            zipped.writestr("arr_0.npy", array("<f4", (2,), b"abcdefgh"))
            zipped.writestr("arr_1.npy", second)

    archive(array("|O", (1,), pickle.dumps(["a"])))
    (report,) = verify([file]).files
    assert report.ok
    assert (report.format, "allow_pickle" in report.metadata["note"]) == ("npz", True)
    archive(array("<f8", (3,), bytes(23)))
    assert verify([file], level="header").files[0].reason == "file_corrupted"
    archive(array("|O", (1,), RUNS))
    assert verify([file], level="header").files[0].reason == "unsafe_pickle"
    archive(array("<f8", (3,), bytes(24)))
    raw = file.read_bytes()
    at = raw.index(b"arr_0.npy") + 100 if method == zipfile.ZIP_DEFLATED else raw.index(b"abcdefgh")
    file.write_bytes(raw[:at] + bytes([raw[at] ^ 0x10]) + raw[at + 1 :])
    assert verify([file]).files[0].reason == "file_corrupted"


@given(st.binary(max_size=300))
def test_any_bytes_are_borne(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """As a header, an answer or a refusal."""
    file = tmp_path_factory.getbasetemp() / "any.npy"
    file.write_bytes(b"\x93NUMPY\x01\0" + len(data).to_bytes(2, "little") + data)
    survives(npy.read, file)
