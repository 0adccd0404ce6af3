"""torch.save's format since 1.6: a zip, one uncompressed entry a storage, and a pickle that names them.

The header level reads the zip's directory and scans the pickle without executing it; every storage that it names must
be there, as long as it says. The checksum level compares each entry's CRC-32.
"""

import re
from dataclasses import replace
from pathlib import Path

from model_load_exporter.artifacts import bin_files, torch_legacy, zip_entries
from model_load_exporter.artifacts.bounded import Damaged, Region, name_of, note, opened
from model_load_exporter.artifacts.format import Format
from model_load_exporter.artifacts.hashing import Advance
from model_load_exporter.artifacts.pickle_globals import ITEM_BYTES, STORAGE_DTYPES
from model_load_exporter.artifacts.pickle_scan import Scan, scan
from model_load_exporter.artifacts.pickles import is_strict, judge, looks_like_pickle
from model_load_exporter.artifacts.summary import Summary
from model_load_exporter.artifacts.zip_entries import Entry

SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")

MAX_PICKLE = 128 * 2**20
"""Bytes of a pickle in an archive; that of a model with 100,000 tensors has some 20 MB."""

NEWEST_VERSION = 10
"""The newest version of an archive that torch 2.13 reads (caffe2/serialize/versions.h)."""

_MAGIC = b"PK\x03\x04"
_PICKLES = (".pkl", ".pickle")
_SKIPPED = re.compile("/(data|constants|code)/")


def read(path: Path) -> Summary:
    """Sizes and types of one checkpoint's storages. Raises ArtifactError, or OSError where it cannot be read."""
    with opened(path) as region:
        head = region.at(0, min(64, region.size))
        if head.startswith(_MAGIC):
            return _archive(path, region)
        if legacy := torch_legacy.read(region, head, strict=is_strict(path)):
            return legacy
        if path.suffix.lower() == ".bin" and (other := bin_files.format_of(path, region, head)):
            return Summary(other, region.size, region.size)
        raise Damaged("is neither a zip nor a pickle, as torch writes them")


def deep(path: Path, advance: Advance) -> None:
    """Every entry's checksum. Raises as read does."""
    with opened(path) as region:
        if region.at(0, min(4, region.size)) == _MAGIC:
            zip_entries.check(region, zip_entries.entries(region), advance)


def _archive(path: Path, region: Region) -> Summary:
    found = {entry.name: entry for entry in zip_entries.entries(region)}
    if not found:
        raise Damaged("is an archive without entries")
    # torch takes the first entry's folder for the archive's name.
    root = next(iter(found)).partition("/")[0]
    scans = {name: _scanned(region, entry) for name, entry in found.items() if _is_pickle(region, entry)}
    scripted = f"{root}/constants.pkl" in found
    if scripted:
        scans = {name: _without_script_types(pickle) for name, pickle in scans.items()}
    said = judge(scans.values(), strict=is_strict(path))
    main = scans.get(f"{root}/data.pkl")
    if main is None and f"{root}/.data/extern_modules" not in found:
        raise Damaged("is a zip without data.pkl: no checkpoint that torch wrote")
    tensors = sum(entry.full for entry in found.values() if "/data/" in entry.name)
    sizes = _sizes(root, found, main) if main and not scripted else {}
    notes = [said] if said else []
    if unchecked := sum(entry.unchecked for entry in found.values()):
        notes.append(
            f"{unchecked} of {len(found)} entries were written without a checksum: damage to them stays unseen"
        )
    metadata = {"producer": "torch.jit" if scripted else "torch"}
    if version := found.get(f"{root}/version"):
        metadata["version"] = _version(zip_entries.unpacked(region, version, 64))
    if notes:
        metadata["note"] = "; ".join(notes)
    return Summary(
        "torchscript" if scripted else "torch",
        region.size,
        tensors,
        parameters=sum(storage.count for storage in main.storages.values()) if sizes and main else None,
        dtypes=dict(sorted(sizes.items(), key=lambda item: -item[1])),
        metadata=metadata,
    )


def _version(raw: bytes) -> str:
    """Of the archive's layout. Raises Damaged."""
    text = note(raw)
    if text.isdigit() and int(text) > NEWEST_VERSION:
        message = f"is of version {text} of torch's archive; {NEWEST_VERSION} is the newest known here"
        raise Damaged(message, "version_incompatible")
    return text


def _is_pickle(region: Region, entry: Entry) -> bool:
    """By its name; a pickle under any other name than a storage's is one too, but code and constants are not."""
    if entry.name.lower().endswith(_PICKLES):
        return True
    if _SKIPPED.search(entry.name) or entry.method != zip_entries.STORED or entry.full < 2:
        return False
    return looks_like_pickle(zip_entries.data_of(region, entry).at(0, 2))


def _scanned(region: Region, entry: Entry) -> Scan:
    raw = zip_entries.unpacked(region, entry, MAX_PICKLE)
    return scan(lambda offset, length: raw[offset : offset + length], 0, len(raw))


def _without_script_types(pickle: Scan) -> Scan:
    """TorchScript's pickles name classes that the archive's own script defines: no Python imports them."""
    named = {name: None for name in pickle.globals if name.module.partition(".")[0] != "__torch__"}
    return replace(pickle, globals={name: None for name in named if name.module != "torch.jit._pickle"})


def _sizes(root: str, found: dict[str, Entry], main: Scan) -> dict[str, int]:
    """Bytes by data type. Raises Damaged where a storage is not there, or shorter than the pickle says."""
    sizes = dict[str, int]()
    for storage in main.storages.values():
        entry = found.get(f"{root}/data/{storage.key}")
        if entry is None:
            raise Damaged(f"lacks the storage {name_of(storage.key)} that its pickle names")
        dtype = STORAGE_DTYPES.get(storage.kind, "")
        if storage.count * ITEM_BYTES.get(dtype, 0) > entry.full:
            raise Damaged(f"has {entry.full} bytes of storage {name_of(storage.key)}, fewer than its pickle says")
        sizes[dtype] = sizes.get(dtype, 0) + entry.full
    return {dtype: size for dtype, size in sizes.items() if dtype}


FORMAT = Format("torch", SUFFIXES, read, magics=(), deep=deep)
