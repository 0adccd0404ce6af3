"""numpy's archives (.npz): a zip of arrays, each looked at as a file of its own would be."""

from pathlib import Path

from model_load_exporter.artifacts import npy, zip_entries
from model_load_exporter.artifacts.bounded import Damaged, Region, name_of, opened
from model_load_exporter.artifacts.format import Format
from model_load_exporter.artifacts.hashing import Advance
from model_load_exporter.artifacts.summary import Summary
from model_load_exporter.artifacts.zip_entries import Entry

MAX_PACKED = 64 * 2**20
"""Bytes of an array that is unpacked to look into it; one that is stored as it is may have any size."""


def read(path: Path) -> Summary:
    """Every array in it. Raises ArtifactError, OSError."""
    with opened(path) as region:
        arrays = [entry for entry in zip_entries.entries(region) if entry.name.endswith(".npy")]
        total, left, objects = 0, 0, ""
        for entry in arrays:
            if entry.method != zip_entries.STORED and max(entry.full, entry.packed) > MAX_PACKED:
                left += 1
                continue
            size, metadata = _array(region, entry)
            total += size
            objects = objects or metadata.get("note", "")
        notes = [f"{len(arrays)} arrays", *([objects] if objects else [])]
        if left:
            notes.append(f"{left} of them compressed and over {MAX_PACKED} bytes: not looked into")
        return Summary("npz", region.size, total, metadata={"note": "; ".join(notes)})


def _array(region: Region, entry: Entry) -> tuple[int, dict[str, str]]:
    if entry.method == zip_entries.STORED:
        data = zip_entries.data_of(region, entry)
    else:
        data = Region.of(zip_entries.unpacked(region, entry, MAX_PACKED))
    try:
        return npy.array(data)
    except Damaged as error:
        raise Damaged(f"has an array {name_of(entry.name)} that {error}", error.reason) from None


def deep(path: Path, advance: Advance) -> None:
    """Every entry's checksum. Raises as read does."""
    with opened(path) as region:
        zip_entries.check(region, zip_entries.entries(region), advance)


FORMAT = Format("npz", (".npz",), read, deep=deep)
