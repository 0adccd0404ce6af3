"""HDF5 by hand, in its newer form with checksums; h5py's own files are in the integration tests."""

import json
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings

from model_load_exporter.artifacts import hdf5
from model_load_exporter.artifacts.lookup3 import lookup3
from support import format_bytes as make
from support.hostile import Change, changed, changes, refused, survives, within

CONFIG = json.dumps({"class_name": "Sequential", "config": {"name": "small", "layers": []}}).encode()


def small(*extra: tuple[int, bytes], dataset: int = 400, **more: int) -> bytes:
    """A root with one dataset of 100 float32."""
    size = len(make.hdf5_object(*extra, make.hdf5_link("w", 0)))
    place = 48 + size
    kernel = make.hdf5_dataset([10, 10], place + len(make.hdf5_dataset([10, 10], 0, 0)), dataset)
    return make.hdf5(make.hdf5_object(*extra, make.hdf5_link("w", place)), kernel, bytes(400), **more)


GOOD = small(make.hdf5_text("keras_version", b"3.1"), make.hdf5_text("model_config", CONFIG))


def write(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


def test_a_file_tells_its_datasets_and_what_keras_noted(tmp_path: Path) -> None:
    """Numbers and bytes by type; version and kind of the model from attributes."""
    summary = hdf5.read(write(tmp_path / "m.h5", GOOD))

    assert (summary.parameters, summary.dtypes) == (100, {"float32": 400})
    assert summary.metadata == {
        "version": "3.1", "producer": "keras 3.1", "architecture": "Sequential", "name": "small",
    }  # fmt: skip


def test_a_block_before_the_superblock_is_skipped(tmp_path: Path) -> None:
    """It may be of 512 bytes, or twice as many, and so on."""
    head = bytearray(small(end=len(small()) + 1024)[:48])
    struct.pack_into("<Q", head, 12, 1024)
    struct.pack_into("<I", head, 44, lookup3(bytes(head[:44])))

    assert hdf5.read(write(tmp_path / "m.h5", bytes(1024) + head + small()[48:])).parameters == 100


@pytest.mark.parametrize("length", range(0, len(GOOD), 11))
def test_a_truncated_file_is_found_wherever_it_ends(tmp_path: Path, length: int) -> None:
    """The superblock says where the file ends."""
    assert refused(hdf5.read, write(tmp_path / "m.h5", GOOD[:length])).reason in ("file_corrupted", "file_empty")


@pytest.mark.parametrize(
    ("raw", "reason", "says"),
    [
        (b"\x88" + GOOD[1:], "file_corrupted", "signature"),
        (GOOD[:8] + b"\x04" + GOOD[9:], "version_incompatible", "version 4"),
        (GOOD[:8] + b"\xff" + GOOD[9:], "file_corrupted", "version 255"),
        (GOOD[:9] + b"\x03" + GOOD[10:], "file_corrupted", "addresses of 3"),
        (GOOD[:20] + b"\x01" + GOOD[21:], "file_corrupted", "superblock"),
        (small(version=3, flags=1), "file_corrupted", "h5clear"),
        (small(dataset=399), "file_corrupted", "shape needs 400"),
        (small(dataset=2**40), "file_corrupted", "truncated"),
        (small(end=2**50), "file_corrupted", "truncated"),
        (small(make.hdf5_text("model_config", b"{")), "config_invalid", "JSON"),
        (make.hdf5(bytes(64)), "file_corrupted", "no object"),
    ],
)
def test_a_file_that_does_not_load_is_refused(tmp_path: Path, raw: bytes, reason: str, says: str) -> None:
    """Each with what is wrong."""
    error = refused(hdf5.read, write(tmp_path / "m.h5", raw))

    assert (error.reason, says in str(error)) == (reason, True)


def test_code_in_the_configuration_is_refused(tmp_path: Path) -> None:
    """Keras 2 wrote a Lambda layer as a list with marshalled code."""
    layer = {"class_name": "Lambda", "config": {"function": ["4wEAAAA=", None, None], "function_type": "lambda"}}
    text = json.dumps({"class_name": "Sequential", "config": {"layers": [layer]}}).encode()

    path = write(tmp_path / "m.h5", small(make.hdf5_text("model_config", text)))
    assert refused(hdf5.read, path).reason == "unsafe_pickle"


def test_links_that_lead_in_circles_end(tmp_path: Path) -> None:
    """A group that is its own child, and a header that goes on at its own beginning."""
    loop = make.hdf5(make.hdf5_object(make.hdf5_link("self", 48), make.hdf5_link("again", 48)))
    assert hdf5.read(write(tmp_path / "m.h5", loop)).parameters == 0

    size = len(make.hdf5_object((0x10, bytes(16))))
    again = make.hdf5(make.hdf5_object((0x10, struct.pack("<QQ", 48, size))))
    with within(seconds=10, mebibytes=16):
        refused(hdf5.read, write(tmp_path / "m.h5", again))


def test_a_claimed_terabyte_costs_nothing(tmp_path: Path) -> None:
    """A header of that length, in a hole of that length."""
    head = b"OHDR" + struct.pack("<BBQ", 2, 3, 2**40)
    path = write(tmp_path / "m.h5", make.hdf5(head, end=2**41))
    os.truncate(path, 2**41)

    with within(seconds=1, mebibytes=4):
        assert "metadata" in str(refused(hdf5.read, path))


@pytest.mark.parametrize(("text", "expected"), [(b"", 0xDEADBEEF), (b"Four score and seven years ago", 0x17770551)])
def test_the_checksum_is_jenkins(text: bytes, expected: int) -> None:
    """The vectors of lookup3.c."""
    assert lookup3(text) == expected


@settings(max_examples=400, deadline=None)
@given(what=changes(len(GOOD)))
def test_changed_bytes_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, what: list[Change]) -> None:
    """With the checksums as they are, and with any taken for right."""
    path = write(tmp_path_factory.getbasetemp() / "changed.h5", changed(GOOD, what))
    survives(hdf5.read, path)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("hdf5", "hdf5_object"):
            patch.setattr(f"model_load_exporter.artifacts.{module}.lookup3", lambda _: Anything())
        survives(hdf5.read, path)


class Anything:
    """Equal to every checksum, so that the parser behind them meets changed bytes, too."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 0
