"""ONNX by hand: the wire format, tensors wherever they lie, and files beside the model."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_load_exporter.artifacts import onnx
from model_load_exporter.artifacts.verify import verify
from support import format_bytes as make
from support.hostile import Change, changed, changes, refused, survives, within

WEIGHTS = make.onnx_tensor("w", [2, 3], 1, bytes(24))
GOOD = make.onnx(WEIGHTS, make.onnx_tensor("half", [5], 10, bytes(10)), make.onnx_tensor("nibbles", [3], 22, bytes(2)))


def write(path: Path, raw: bytes) -> Path:
    path.write_bytes(raw)
    return path


def beside(location: str, **more: str) -> bytes:
    return make.onnx(make.onnx_tensor("w", [2, 3], 1, None, location=location, **more))


def test_a_model_tells_its_tensors_and_versions(tmp_path: Path) -> None:
    """Parameters and bytes by type, IR version, operator set and producer."""
    summary = onnx.read(write(tmp_path / "m.onnx", GOOD))

    assert (summary.parameters, summary.tensor_bytes) == (14, 36)
    assert summary.dtypes == {"float32": 24, "float16": 10, "int4": 2}
    assert summary.metadata == {"version": "8", "producer": "by hand", "opset": "17"}


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_a_truncated_file_is_found_wherever_it_ends(tmp_path: Path, length: int) -> None:
    """At every byte, since the operator sets stand behind the graph."""
    assert refused(onnx.read, write(tmp_path / "m.onnx", GOOD[:length])).reason in ("file_corrupted", "file_empty")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (make.proto((1, 8), (8, make.proto((2, 17)))), "holds no graph"),
        (make.proto((7, b""), (8, make.proto((2, 17)))), "no ir_version"),
        (make.proto((1, 8), (7, b"")), "no opset_import"),
        (b"\x0b" + GOOD, "wire type 3"),
        (b"\x00\x00" + GOOD, "field number 0"),
        (b"\xff" * 11 + GOOD, "more than ten bytes"),
        (make.onnx(make.onnx_tensor("w", [2, 3], 1, bytes(23))), "shape needs 24"),
        (make.onnx(make.onnx_tensor("w", [2, 3])), "no data for tensor 'w'"),
        (make.onnx(make.onnx_tensor("w", [-1], 1, b"")), "impossible shape"),
        (make.onnx(make.onnx_tensor("w", [2**32, 2**32], 1, b"")), "impossible shape"),
        (make.onnx(make.onnx_tensor("w", [1] * 65, 1, bytes(4))), "more than 64 dimensions"),
        (b"<html>", "web page"),
    ],
)
def test_a_file_that_does_not_load_is_refused(tmp_path: Path, raw: bytes, says: str) -> None:
    """Each with what is wrong."""
    error = refused(onnx.read, write(tmp_path / "m.onnx", raw))

    assert (error.reason, says in str(error)) == ("file_corrupted", True)


def test_external_data_is_counted_and_looked_at(tmp_path: Path) -> None:
    """A part of a file beside the model, which must be long enough."""
    path = write(tmp_path / "m.onnx", beside("m.data", offset="16", length="24"))
    write(tmp_path / "m.data", bytes(40))

    assert onnx.read(path).tensor_bytes == 24
    write(tmp_path / "m.data", bytes(39))
    error = refused(onnx.read, path)
    assert (error.reason, "truncated" in str(error)) == ("file_corrupted", True)
    (tmp_path / "m.data").unlink()
    assert refused(onnx.read, path).reason == "file_missing"


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../secret", "a/../../secret", "", "a\0b", "..", "C:\\windows", "a/.."]
)
def test_external_data_outside_of_the_folder_is_refused(tmp_path: Path, location: str) -> None:
    """Whether there is a file or not: nothing is looked at."""
    error = refused(onnx.read, write(tmp_path / "m.onnx", beside(location)))

    assert (error.reason, "outside" in str(error)) == ("file_corrupted", True)


@pytest.mark.parametrize(
    "entry",
    [{"offset": "-1"}, {"offset": "x"}, {"length": "9" * 25}, {"offset": "٣"}, {"length": "12"}, {"offset": "1" * 18}],
)
def test_external_data_at_an_impossible_place_is_refused(tmp_path: Path, entry: dict[str, str]) -> None:
    """Offsets and lengths are text in the file."""
    write(tmp_path / "data", bytes(100))

    assert refused(onnx.read, write(tmp_path / "m.onnx", beside("data", **entry))).reason == "file_corrupted"


def test_external_data_may_be_a_link(tmp_path: Path) -> None:
    """As in the hub's cache, where it leads to a blob above the folder."""
    write(tmp_path / "blob", bytes(24))
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "data").symlink_to("../blob")

    assert onnx.read(write(tmp_path / "snapshot" / "m.onnx", beside("data"))).tensor_bytes == 24


def test_a_pointer_as_external_data_is_told_though_it_is_long_enough(tmp_path: Path) -> None:
    """A small tensor fits into the bytes of a Git LFS pointer."""
    data = write(tmp_path / "m.onnx_data", b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32)
    path = write(tmp_path / "m.onnx", beside(data.name))

    assert refused(lambda _: onnx.read(path), data).reason == "lfs_pointer"
    told = {file.path: file.detail for file in verify([path], level="header").files}
    assert told[path] == f"{data} is a Git LFS pointer, not the weights"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that other users may enter: they may not enter pytest's."""
    with tempfile.TemporaryDirectory(prefix="model-load-onnx-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_external_data_that_may_not_be_read_is_no_good_model(open_folder: Path) -> None:
    """Its size alone can be had by everybody. Read as another user, for whom root's rights do not count."""
    path = write(open_folder / "m.onnx", beside("data"))
    path.chmod(0o644)
    write(open_folder / "data", bytes(24)).chmod(0)
    read, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.seteuid(65534)
        try:
            onnx.read(path)
            said = "good"
        except BaseException as error:  # whatever it is, the parent compares it
            said = f"{getattr(error, 'reason', type(error).__name__)}: {error}"
        os.write(write_end, said.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(write_end)
    with open(read, encoding="utf-8") as pipe:
        said = pipe.read()
    assert said.startswith("permission_denied: "), said
    assert "'data'" in said


def test_the_files_beside_a_model_are_named(tmp_path: Path) -> None:
    """Each once, and only those that are there, in its folder."""
    tensors = [
        make.onnx_tensor(name, [2, 3], 1, None, location=location)
        for name, location in (("a", "data"), ("b", "sub/more"), ("c", "./data"), ("d", "lost"), ("e", "../up"))
    ]
    (tmp_path / "sub").mkdir()
    for name in ("data", "sub/more"):
        write(tmp_path / name, bytes(24))

    found = onnx.beside(write(tmp_path / "m.onnx", make.onnx(*tensors)))
    assert found == [tmp_path / "data", tmp_path / "sub/more"]


def test_tensors_of_branches_and_functions_count(tmp_path: Path) -> None:
    """A graph in an attribute of a node, and a node of a function, may hold weights, too."""
    inner = make.proto((5, WEIGHTS))
    branch = make.proto((5, make.proto((1, "then_branch"), (6, inner))))
    constant = make.proto((7, make.proto((5, make.proto((5, WEIGHTS))))))
    raw = make.onnx(graph=make.proto((1, branch))) + make.proto((25, constant))

    assert onnx.read(write(tmp_path / "m.onnx", raw)).parameters == 12


def nested(depth: int) -> bytes:
    raw = b""
    for _ in range(depth):
        raw = make.proto((1, make.proto((5, make.proto((6, raw))))))
    return make.onnx(graph=raw)


def test_graphs_within_graphs_end_somewhere(tmp_path: Path) -> None:
    """Nothing recurses; protobuf's own parsers refuse more than a hundred messages, too."""
    assert onnx.read(write(tmp_path / "m.onnx", nested(30))).parameters == 0
    assert "nests" in str(refused(onnx.read, write(tmp_path / "deep.onnx", nested(2000))))


def test_a_claimed_terabyte_costs_nothing(tmp_path: Path) -> None:
    """A tensor of that length is stepped over where the file has it, and refused where it has not."""
    size = 2**40
    claim = make.varint(9 << 3 | 2) + make.varint(size)
    head = make.proto((1, 2**38), (2, 1), (8, "huge"))
    tensor = make.varint(5 << 3 | 2) + make.varint(len(head) + len(claim) + size) + head + claim
    graph = make.varint(7 << 3 | 2) + make.varint(len(tensor) + size) + tensor
    path = write(tmp_path / "m.onnx", make.proto((1, 8), (8, make.proto((2, 17)))) + graph)

    with within(seconds=1, mebibytes=4):
        assert "truncated" in str(refused(onnx.read, path))
        with open(path, "r+b") as file:
            file.truncate(path.stat().st_size + size)
        assert onnx.read(path).tensor_bytes == size


def test_millions_of_empty_fields_end_somewhere(tmp_path: Path) -> None:
    """Ten million nodes of nothing are refused after the budget of fields."""
    nodes = make.proto((1, b"")) * 10_000_000
    path = write(tmp_path / "m.onnx", make.onnx(graph=nodes))
    del nodes

    with within(seconds=60, mebibytes=8):
        assert "fields" in str(refused(onnx.read, path))


@settings(max_examples=400, deadline=None)
@given(what=changes(len(GOOD)))
def test_changed_bytes_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, what: list[Change]) -> None:
    """Any change is answered or refused."""
    path = tmp_path_factory.getbasetemp() / "changed.onnx"
    survives(onnx.read, write(path, changed(GOOD, what)))


@settings(max_examples=200, deadline=None)
@given(raw=st.binary(max_size=200))
def test_any_bytes_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    """No structure is taken for granted, in the model and in its graph."""
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    survives(onnx.read, write(path, raw))
    survives(onnx.read, write(path, make.onnx(graph=raw)))
