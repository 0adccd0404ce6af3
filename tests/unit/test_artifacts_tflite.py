"""TensorFlow Lite by hand: tables, buffers, and offsets that lead astray."""

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_load_exporter.artifacts import flatbuffer, tflite
from support import format_bytes as make
from support.hostile import Change, changed, changes, refused, survives, within

GOOD = make.tflite()


def write(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


def test_a_model_tells_its_weights(tmp_path: Path) -> None:
    """Numbers and bytes of the tensors that have data."""
    summary = tflite.read(write(tmp_path / "m.tflite", GOOD))

    assert (summary.parameters, summary.dtypes, summary.metadata) == (16, {"float32": 64}, {"version": "3"})


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_a_truncated_file_is_found_wherever_it_ends(tmp_path: Path, length: int) -> None:
    """The data is behind everything else, as converters write it."""
    assert refused(tflite.read, write(tmp_path / "m.tflite", GOOD[:length])).reason in ("file_corrupted", "file_empty")


def test_data_behind_the_buffer_is_found(tmp_path: Path) -> None:
    """Models of more than two gigabytes name their data by offset and size."""

    def model(offset: int, size: int) -> bytes:
        flat = make.Flat()
        model = flat.table(("u32", 3), None, ("to", 0), None, ("to", 0))
        subgraphs, buffers = flat.offsets(model, 2, 1), flat.offsets(model, 4, 1)
        subgraph = flat.table(("to", 0))
        tensors = flat.offsets(subgraph, 0, 1)
        flat.aim(subgraphs, [subgraph])
        flat.aim(buffers, [flat.table(None, ("u64", offset), ("u64", size))])
        flat.aim(tensors, [flat.table(None, ("i8", 9), ("u32", 0))])
        return flat.root(model)

    path = write(tmp_path / "m.tflite", model(4096, 1000))
    os.truncate(path, 5096)
    assert tflite.read(path).dtypes == {"int8": 1000}
    os.truncate(path, 5095)
    assert "truncated" in str(refused(tflite.read, path))
    assert refused(tflite.read, write(path, model(2**63, 2**63))).reason == "file_corrupted"


@pytest.mark.parametrize(
    ("raw", "reason", "says"),
    [
        (GOOD[:4] + b"TFL2" + GOOD[8:], "file_corrupted", "TFL3"),
        (make.tflite(version=4), "version_incompatible", "version 4"),
        (make.tflite(version=0), "file_corrupted", "version 0"),
        (make.tflite(buffer=7), "file_corrupted", "buffer 7 of 2"),
        (make.tflite(shape=[1] * 65), "file_corrupted", "65 numbers"),
        (struct.pack("<I", 2**31) + GOOD[4:], "file_corrupted", "root table"),
        (struct.pack("<I", 9) + GOOD[4:], "file_corrupted", ""),
        (make.Flat().raw, "file_corrupted", ""),
    ],
)
def test_a_file_that_does_not_load_is_refused(tmp_path: Path, raw: bytes, reason: str, says: str) -> None:
    """Each with what is wrong."""
    error = refused(tflite.read, write(tmp_path / "m.tflite", raw))

    assert (error.reason, says in str(error)) == (reason, True)


def test_a_model_without_a_subgraph_is_refused(tmp_path: Path) -> None:
    """There is nothing to run."""
    flat = make.Flat()
    raw = flat.root(flat.table(("u32", 3)))

    assert "no subgraph" in str(refused(tflite.read, write(tmp_path / "m.tflite", raw)))


def test_offsets_that_share_a_table_end_somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand subgraphs that are one, each with a thousand tensors that are one, would be a million."""
    monkeypatch.setattr(flatbuffer.Walk.__init__, "__defaults__", (50_000,))
    flat = make.Flat()
    model = flat.table(("u32", 3), None, ("to", 0))
    subgraphs = flat.offsets(model, 2, 1000)
    subgraph = flat.table(("to", 0))
    tensors = flat.offsets(subgraph, 0, 1000)
    flat.aim(subgraphs, [subgraph] * 1000)
    flat.aim(tensors, [flat.table(None)] * 1000)
    path = write(tmp_path / "m.tflite", flat.root(model))

    with within(seconds=2, mebibytes=16):
        assert "tables" in str(refused(tflite.read, path))


@settings(max_examples=500, deadline=None)
@given(what=changes(len(GOOD)))
def test_changed_bytes_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, what: list[Change]) -> None:
    """Any change is answered or refused."""
    path = tmp_path_factory.getbasetemp() / "changed.tflite"
    survives(tflite.read, write(path, changed(GOOD, what)))


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=200))
def test_any_bytes_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    """No structure is taken for granted."""
    path = tmp_path_factory.getbasetemp() / "any.tflite"
    survives(tflite.read, write(path, b"\x10\0\0\0TFL3" + raw))
