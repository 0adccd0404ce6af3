"""GGUF headers by hand: what they tell, and what a hostile one costs."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_load_exporter.artifacts import gguf
from model_load_exporter.artifacts.gguf_types import TENSOR_TYPES
from support import format_bytes as make
from support.hostile import Change, changed, changes, refused, survives, within

LLAMA = {
    "general.architecture": "llama",
    "general.name": "small",
    "general.file_type": 15,
    "llama.context_length": 4096,
    "llama.block_count": 2,
    "tokenizer.ggml.tokens": ["a", "b", "c"],
    "tokenizer.ggml.token_type": [1, 1, 1],
}
TENSORS = [("embedding", [64, 2], 0, 0), ("norm", [10], 1, 512), ("layer", [256, 2], 12, 544)]
DATA = 544 + 288
GOOD = make.gguf(LLAMA, TENSORS, DATA)


def write(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


def test_a_header_tells_what_the_model_is(tmp_path: Path) -> None:
    """Parameters, bytes by type, architecture, quantisation, context."""
    summary = gguf.read(write(tmp_path / "m.gguf", GOOD))

    assert (summary.parameters, summary.tensor_bytes) == (128 + 10 + 512, 512 + 20 + 288)
    assert summary.dtypes == {"float32": 512, "q4_k": 288, "float16": 20}
    assert summary.metadata == {
        "version": "3", "architecture": "llama", "name": "small", "quantization": "Q4_K_M", "context": "4096",
        "layers": "2",
    }  # fmt: skip


@pytest.mark.parametrize(("behind", "told"), [(bytes(4096), "4096 bytes behind"), (GOOD, f"{len(GOOD)} bytes behind")])
def test_bytes_behind_the_last_tensor_are_noted(tmp_path: Path, behind: bytes, told: str) -> None:
    """llama.cpp never reads them, so they are no fault; the padding of the last tensor is none of them."""
    assert told in gguf.read(write(tmp_path / "m.gguf", GOOD + behind)).metadata["note"]
    odd = make.gguf({}, [("w", [10], 1, 0)], 20)
    for raw in (odd, odd + bytes(12), GOOD):
        assert "note" not in gguf.read(write(tmp_path / "m.gguf", raw)).metadata


@pytest.mark.parametrize("kind", TENSOR_TYPES)
def test_each_type_has_the_size_that_its_blocks_take(tmp_path: Path, kind: int) -> None:
    """One block too little at the end is seen."""
    _, block, width = TENSOR_TYPES[kind]
    whole = make.gguf({}, [("w", [block, 3], kind, 0)], 3 * width)

    assert gguf.read(write(tmp_path / "m.gguf", whole)).tensor_bytes == 3 * width
    assert "truncated" in str(refused(gguf.read, write(tmp_path / "short.gguf", whole[:-1])))


@pytest.mark.parametrize("length", range(0, len(GOOD), 37))
def test_a_truncated_file_is_found_wherever_it_ends(tmp_path: Path, length: int) -> None:
    """In magic, metadata, table and data alike."""
    expected = "file_corrupted" if length else "file_empty"

    assert refused(gguf.read, write(tmp_path / "m.gguf", GOOD[:length])).reason == expected


@pytest.mark.parametrize(
    ("raw", "reason", "says"),
    [
        (b"ZZZZ" + GOOD[4:], "file_corrupted", "does not begin with GGUF"),
        (b"tjgg" + bytes(100), "version_incompatible", "ggjt"),
        (GOOD[:4] + struct.pack("<I", 1) + GOOD[8:], "version_incompatible", "version 1"),
        (GOOD[:4] + struct.pack("<I", 4) + GOOD[8:], "version_incompatible", "version 4"),
        (GOOD[:4] + struct.pack(">I", 3) + GOOD[8:], "version_incompatible", "byte order"),
        (GOOD[:4] + struct.pack("<I", 0) + GOOD[8:], "file_corrupted", "version 0"),
        (make.gguf(LLAMA, [("w", [32], 99, 0)], 128), "version_incompatible", "type 99"),
        (make.gguf(LLAMA, [("w", [32], 4, 0)], 128), "version_incompatible", "type 4"),
        (make.gguf(LLAMA, [("w", [32], 2**31, 0)], 128), "file_corrupted", "type 2147483648"),
        (make.gguf(LLAMA, [("w", [33], 2, 0)], 128), "file_corrupted", "block of 32"),
        (make.gguf(LLAMA, [("w", [32], 0, 32)], 512), "file_corrupted", "not at 0"),
        (make.gguf(LLAMA, [("w", [32], 0, 0), ("v", [32], 0, 96)], 512), "file_corrupted", "not at 128"),
        (make.gguf(LLAMA, [("w", [1, 1, 1, 1, 1], 0, 0)], 128), "file_corrupted", "5 dimensions"),
        (make.gguf(LLAMA, [("w", [2**63, 2**63], 0, 0)], 128), "file_corrupted", "impossible"),
        (make.gguf({"general.alignment": 3}, [], 0), "file_corrupted", "power of two"),
        (make.gguf({"general.alignment": 0}, [], 0), "file_corrupted", "power of two"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "lfs_pointer", "LFS"),
        (b"<!DOCTYPE html><html>", "file_corrupted", "web page"),
    ],
)
def test_a_file_that_does_not_load_is_refused(tmp_path: Path, raw: bytes, reason: str, says: str) -> None:
    """With the reason that llama.cpp has, too."""
    error = refused(gguf.read, write(tmp_path / "m.gguf", raw))

    assert (error.reason, says in str(error)) == (reason, True)


def test_a_missing_part_of_a_split_is_a_missing_shard(tmp_path: Path) -> None:
    """By the names of the others, which llama.cpp goes by; a blob under another name stands for itself."""
    raw = make.gguf({"split.count": 3, "split.no": 0}, [], 0)
    for number in (1, 2):
        write(tmp_path / f"m-0000{number}-of-00003.gguf", raw)

    error = refused(gguf.read, tmp_path / "m-00001-of-00003.gguf")

    assert (error.reason, "m-00003-of-00003.gguf" in str(error)) == ("shard_missing", True)
    write(tmp_path / "m-00003-of-00003.gguf", raw)
    assert gguf.read(tmp_path / "m-00001-of-00003.gguf").metadata["split"] == "1 of 3"
    assert gguf.read(write(tmp_path / "blob", raw)).metadata["split"] == "1 of 3"


def test_a_vocabulary_of_hundreds_of_thousands_is_stepped_over(tmp_path: Path) -> None:
    """It is longer than the window that is read at a time."""
    words = [f"word {number}" for number in range(100_000)]
    path = write(tmp_path / "m.gguf", make.gguf({"tokens": words, "general.name": "behind it"}, [], 0))

    with within(seconds=1, mebibytes=2):
        assert gguf.read(path).metadata["name"] == "behind it"


@pytest.mark.parametrize(
    "claim",
    [
        struct.pack("<IQQ", 3, 2**63, 0),
        struct.pack("<IQQ", 3, 0, 2**63),
        struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**40),
        struct.pack("<IQQ", 3, 0, 1) + make.gguf_string("k") + struct.pack("<IIQ", 9, 8, 2**37),
        struct.pack("<IQQ", 3, 0, 1) + make.gguf_string("k") + struct.pack("<IIQ", 9, 0, 2**40),
        struct.pack("<IQQ", 3, 0, 1) + make.gguf_string("k") + struct.pack("<IIQ", 9, 9, 2**40),
        struct.pack("<IQQ", 3, 200_000, 0),
    ],
    ids=["tensors", "keys", "key", "texts", "bytes", "lists", "table"],
)
def test_a_claimed_terabyte_costs_nothing(tmp_path: Path, claim: bytes) -> None:
    """Even in a file that is that long: a hole of two terabytes behind the claim."""
    path = write(tmp_path / "m.gguf", b"GGUF" + claim)
    with open(path, "r+b") as file:
        file.truncate(2**41)

    with within(seconds=20, mebibytes=8):
        refused(gguf.read, path)


@settings(max_examples=300, deadline=None)
@given(what=changes(len(GOOD)))
def test_changed_bytes_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, what: list[Change]) -> None:
    """Any change is answered or refused."""
    path = tmp_path_factory.getbasetemp() / "changed.gguf"
    survives(gguf.read, write(path, changed(GOOD, what)))


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=200))
def test_any_bytes_behind_the_magic_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    """No structure is taken for granted."""
    path = tmp_path_factory.getbasetemp() / "any.gguf"
    survives(gguf.read, write(path, b"GGUF\x03\0\0\0" + raw))
