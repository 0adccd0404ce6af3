"""Core ML by hand: the specification, the package's manifest, the file of blobs."""

import json
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings

from model_load_exporter.artifacts import mlmodel, mlpackage
from support import format_bytes as make
from support.hostile import Change, changed, changes, refused, survives, within

PRODUCER = make.proto((1, "com.github.apple.coremltools.version"), (2, "9.0"))
METADATA = make.proto((3, "somebody"), (100, PRODUCER))
SPECIFICATION = make.proto((1, 8), (2, make.proto((100, METADATA))), (502, make.proto((1, b"x" * 40))))


def blobs(*sizes: int, count: int | None = None, kind: int = 1) -> bytes:
    """weight.bin of float16 blobs."""
    raw = struct.pack("<II56x", len(sizes) if count is None else count, 2)
    for size in sizes:
        raw += struct.pack("<IIQQQ32x", 0xDEADBEEF, kind, size, len(raw) + 64, 0)
        raw += bytes(size)
        raw += bytes(-len(raw) % 64)
    return raw


WEIGHTS = blobs(100, 64)


def package(path: Path, weights: bytes = WEIGHTS, manifest: object = None) -> Path:
    inner = path / "Data" / "com.apple.CoreML"
    (inner / "weights").mkdir(parents=True)
    (inner / "model.mlmodel").write_bytes(SPECIFICATION)
    (inner / "weights" / "weight.bin").write_bytes(weights)
    entries = {"A": {"path": "com.apple.CoreML/model.mlmodel"}, "B": {"path": "com.apple.CoreML/weights"}}
    document = {"itemInfoEntries": entries, "rootModelIdentifier": "A"} if manifest is None else manifest
    (path / "Manifest.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_a_specification_tells_its_kind_and_producer(tmp_path: Path) -> None:
    """Version, type of model, author, the tool that wrote it."""
    path = tmp_path / "m.mlmodel"
    path.write_bytes(SPECIFICATION)

    assert mlmodel.read(path).metadata == {
        "version": "8", "architecture": "mlProgram", "author": "somebody", "producer": "coremltools 9.0",
    }  # fmt: skip


@pytest.mark.parametrize("length", range(len(SPECIFICATION)))
def test_a_truncated_specification_is_found_wherever_it_ends(tmp_path: Path, length: int) -> None:
    """The model itself stands last."""
    path = tmp_path / "m.mlmodel"
    path.write_bytes(SPECIFICATION[:length])

    assert refused(mlmodel.read, path).reason in ("file_corrupted", "file_empty")


def test_a_package_adds_up_its_blobs(tmp_path: Path) -> None:
    """Numbers and bytes by type."""
    summary = mlpackage.read(package(tmp_path / "m.mlpackage"))

    assert (summary.dtypes, summary.parameters) == ({"float16": 164}, 82)
    assert mlpackage.matches(tmp_path / "m.mlpackage")
    assert not mlpackage.matches(tmp_path)


@pytest.mark.parametrize("length", [1, 63, 64, 100, 128, 227, 228, 300, 320, 383])
def test_truncated_weights_are_found(tmp_path: Path, length: int) -> None:
    """In the header, in a blob's own, and in its data."""
    error = refused(mlpackage.read, package(tmp_path / "m.mlpackage", WEIGHTS[:length]))

    assert "weight.bin" in str(error)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (struct.pack("<II56x", 1, 3), "version_incompatible"),
        (struct.pack("<II56x", 1, 2**31), "file_corrupted"),
        (struct.pack("<II56x", 2**31, 2), "file_corrupted"),
        (blobs(100, count=2), "file_corrupted"),
        (struct.pack("<II56x", 1, 2) + struct.pack("<IIQQQ32x", 0xDEADBEEF, 1, 2**40, 128, 0), "file_corrupted"),
        (struct.pack("<II56x", 1, 2) + struct.pack("<IIQQQ32x", 0xDEADBEEF, 1, 2**63, 2**63, 0), "file_corrupted"),
        (struct.pack("<II56x", 1, 2) + struct.pack("<IIQQQ32x", 0xDEADBEEF, 1, 8, 64, 0), "file_corrupted"),
        (b"", "file_empty"),
    ],
)
def test_weights_that_do_not_load_are_refused(tmp_path: Path, weights: bytes, reason: str) -> None:
    """Claims of a terabyte among them."""
    assert refused(mlpackage.read, package(tmp_path / "m.mlpackage", weights)).reason == reason


def test_a_missing_part_is_a_missing_file(tmp_path: Path) -> None:
    """What the manifest names, and the manifest itself."""
    path = package(tmp_path / "m.mlpackage")
    (path / "Data/com.apple.CoreML/model.mlmodel").unlink()
    assert refused(mlpackage.read, path).reason == "file_missing"
    (path / "Manifest.json").unlink()
    assert refused(mlpackage.read, path).reason == "file_missing"


@pytest.mark.parametrize(
    "manifest",
    [
        "not JSON", "[]", "{}", "[" * 50_000,
        {"itemInfoEntries": {"A": {"path": "../../secret"}}, "rootModelIdentifier": "A"},
        {"itemInfoEntries": {"A": {"path": "/etc/passwd"}}, "rootModelIdentifier": "A"},
        {"itemInfoEntries": {"A": {"path": "a\0b"}}, "rootModelIdentifier": "A"},
        {"itemInfoEntries": {"A": {"path": 7}}, "rootModelIdentifier": "A"},
        {"itemInfoEntries": {"A": 7}, "rootModelIdentifier": "A"},
        {"itemInfoEntries": {}, "rootModelIdentifier": "A"},
        {"itemInfoEntries": {"A": {}}, "rootModelIdentifier": []},
        {"itemInfoEntries": {str(number): {"path": "x"} for number in range(1001)}, "rootModelIdentifier": "1"},
    ],
)  # fmt: skip
def test_a_manifest_of_another_form_is_refused(tmp_path: Path, manifest: object) -> None:
    """Nothing outside of the package is looked at."""
    assert refused(mlpackage.read, package(tmp_path / "m.mlpackage", manifest=manifest)).reason == "file_corrupted"


def test_a_claimed_terabyte_costs_nothing(tmp_path: Path) -> None:
    """A hole of two terabytes, whose header claims a million blobs."""
    path = package(tmp_path / "m.mlpackage", struct.pack("<II56x", 1_000_000, 2))
    os.truncate(path / "Data/com.apple.CoreML/weights/weight.bin", 2**41)

    with within(seconds=1, mebibytes=4):
        refused(mlpackage.read, path)


@settings(max_examples=200, deadline=None)
@given(what=changes(len(SPECIFICATION)), other=changes(len(WEIGHTS)))
def test_changed_bytes_raise_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, what: list[Change], other: list[Change]
) -> None:
    """Any change is answered or refused."""
    base = tmp_path_factory.getbasetemp()
    (base / "changed.mlmodel").write_bytes(changed(SPECIFICATION, what))
    survives(mlmodel.read, base / "changed.mlmodel")
    folder = base / "changed.mlpackage"
    if not folder.exists():
        package(folder)
    (folder / "Data/com.apple.CoreML/weights/weight.bin").write_bytes(changed(WEIGHTS, other))
    survives(mlpackage.read, folder)
