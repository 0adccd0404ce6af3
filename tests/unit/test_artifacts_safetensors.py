"""The safetensors header: what it says, and what a hostile one costs."""

import json
import time
import tracemalloc
from pathlib import Path

import pytest

from model_load_exporter.artifacts import safetensors
from model_load_exporter.artifacts.summary import ArtifactError


def write(path: Path, header: object, data: int, length: int | None = None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write((len(raw) if length is None else length).to_bytes(8, "little") + raw)
        file.truncate(8 + len(raw) + data)
    return path


def tensor(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def test_a_header_tells_sizes_types_and_metadata(tmp_path: Path) -> None:
    """Bytes and parameters of all tensors, the largest data type first."""
    header = {
        "__metadata__": {"format": "pt"},
        "norm": tensor(0, 40, [10]),
        "weight": tensor(40, 2040, [10, 100], "BF16"),
    }
    summary = safetensors.read(write(tmp_path / "m.safetensors", header, 2040))

    assert (summary.tensor_bytes, summary.parameters, summary.dtype) == (2040, 1010, "bfloat16")
    assert summary.dtypes == {"bfloat16": 2000, "float32": 40}
    assert summary.metadata == {"format": "pt"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "file_empty"),
        (b"\x01\x02", "file_corrupted"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "lfs_pointer"),
        ((2**63).to_bytes(8, "little") + b"{}", "file_corrupted"),
        ((2).to_bytes(8, "little") + b"[]", "file_corrupted"),
        ((2).to_bytes(8, "little") + b"{!", "file_corrupted"),
        ((60_000).to_bytes(8, "little") + b"[" * 60_000, "file_corrupted"),
    ],
    ids=["empty", "short", "lfs", "length-beyond-file", "no-object", "no-json", "deep"],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    """Each with the reason that a load of it would have."""
    file = tmp_path / "m.safetensors"
    file.write_bytes(content)

    with pytest.raises(ArtifactError) as caught:
        safetensors.read(file)

    assert caught.value.reason == reason
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        {"a": tensor(0, 400, [10])},
        {"a": tensor(0, 40, [10]), "b": tensor(40, 80, [10])},
        {"a": tensor(40, 0, [10])},
        {"a": tensor(-40, 40, [10])},
        {"a": {"dtype": "F32", "shape": [10], "data_offsets": "0"}},
        {"a": {"dtype": "F32", "shape": "x", "data_offsets": [0, 40]}},
        {"a": {"dtype": "F32"}},
        {"a": 7},
        {},
    ],
)
def test_tensors_that_do_not_fill_the_file_are_refused(tmp_path: Path, header: object) -> None:
    """Truncated, overlong or malformed: the file's forty bytes of data do not match."""
    with pytest.raises(ArtifactError) as caught:
        safetensors.read(write(tmp_path / "m.safetensors", header, 40))

    assert caught.value.reason == "file_corrupted"


def test_a_claimed_length_costs_nothing(tmp_path: Path) -> None:
    """A header of a claimed gigabyte in a file that large is refused without reading it."""
    file = write(tmp_path / "m.safetensors", b"{}", 2**31, length=2**30)
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(ArtifactError, match="limit"):
        safetensors.read(file)
    seconds = time.perf_counter() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2**20
    assert seconds < 0.5
