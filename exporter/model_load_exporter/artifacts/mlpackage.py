"""Core ML's .mlpackage: a folder with Manifest.json, the specification, and weights in a file of blobs."""

import os
from pathlib import Path

from model_load_exporter.artifacts.bounded import Damaged, json_object, name_of, opened
from model_load_exporter.artifacts.format import FolderFormat
from model_load_exporter.artifacts.mil_blob import blobs
from model_load_exporter.artifacts.mlmodel import specification
from model_load_exporter.artifacts.summary import ArtifactError, Summary

MAX_MANIFEST = 2**20
MAX_ITEMS = 1000
_FILES = 1000
_WEIGHTS = "weight.bin"


def matches(folder: Path) -> bool:
    """By the folder's name, or by what every package has."""
    return folder.suffix.lower() == ".mlpackage" or (
        (folder / "Manifest.json").is_file() and (folder / "Data" / "com.apple.CoreML").is_dir()
    )


def read(folder: Path) -> Summary:
    """The package: each item of its manifest there, its specification and its weights whole. Raises ArtifactError."""
    manifest = folder / "Manifest.json"
    try:
        root, items = _manifest(manifest)
    except FileNotFoundError:
        raise ArtifactError("file_missing", f"{manifest} is missing: the package is not complete") from None
    for item in items:
        if not item.exists():
            raise ArtifactError("file_missing", f"{item} is missing, and {manifest} names it")
    with opened(root) as region:
        notes, _ = specification(region)
    file_bytes, tensor_bytes, parameters, dtypes = 0, 0, 0, dict[str, int]()
    for file in _files(items):
        file_bytes += file.stat().st_size
        if file.name != _WEIGHTS:
            continue
        with opened(file) as region:
            for dtype, elements, size in blobs(region):
                dtypes[dtype] = dtypes.get(dtype, 0) + size
                tensor_bytes += size
                parameters += elements
    return Summary(
        format="mlpackage",
        file_bytes=file_bytes,
        tensor_bytes=tensor_bytes,
        parameters=parameters or None,
        dtypes=dict(sorted(dtypes.items(), key=lambda item: -item[1])),
        metadata=notes,
    )


def _manifest(manifest: Path) -> tuple[Path, list[Path]]:
    """(the specification, every item), none outside of the package."""
    with opened(manifest) as region:
        if region.size > MAX_MANIFEST:
            raise Damaged(f"has {region.size} bytes; a manifest has less than {MAX_MANIFEST}")
        document = json_object(region.at(0, region.size), "a manifest")
        entries, identifier = document.get("itemInfoEntries"), document.get("rootModelIdentifier")
        if not isinstance(entries, dict) or not isinstance(identifier, str) or identifier not in entries:
            raise Damaged("does not say which of its items is the model")
        if len(entries) > MAX_ITEMS:
            raise Damaged(f"names {len(entries)} items")
        items = {}
        for key, entry in entries.items():
            path = entry.get("path") if isinstance(entry, dict) else None
            if not isinstance(path, str) or not path or "\0" in path or ".." in Path(path).parts or path[0] == "/":
                raise Damaged(f"names an item at {name_of(path if isinstance(path, str) else '')}, outside of Data")
            items[key] = manifest.parent / "Data" / path
    return items[identifier], list(items.values())


def _files(items: list[Path]) -> list[Path]:
    """The items, and what lies in those that are folders."""
    files = []
    for item in items:
        if not item.is_dir():
            files.append(item)
            continue
        with os.scandir(item) as entries:
            files += [Path(entry.path) for entry, _ in zip(entries, range(_FILES), strict=False) if entry.is_file()]
    return files


FORMAT = FolderFormat("mlpackage", matches, read)
