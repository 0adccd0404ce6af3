"""Keras 3's .keras: a zip of config.json, metadata.json and the weights as HDF5."""

from collections.abc import Callable
from pathlib import Path

from model_load_exporter.artifacts import hdf5, zip_entries
from model_load_exporter.artifacts.bounded import Damaged, Region, json_object, note, opened
from model_load_exporter.artifacts.format import Format
from model_load_exporter.artifacts.hdf5_tree import Contents
from model_load_exporter.artifacts.keras_config import inspect
from model_load_exporter.artifacts.summary import Summary
from model_load_exporter.artifacts.zip_entries import DEFLATED, Entry

MAX_CONFIG = 8 * 2**20
MAX_UNPACKED_WEIGHTS = 64 * 2**20
"""Keras stores weights unpacked; packed ones up to this size are unpacked to be looked at."""

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


def read(path: Path) -> Summary:
    """The archive's directory, the configuration and the tree of the weights. Raises ArtifactError, OSError."""
    with opened(path) as region:
        if region.at(0, min(4, region.size)) == hdf5.SIGNATURE[:4]:
            raise Damaged("is HDF5, not a .keras archive: rename it to .h5")
        entries = {entry.name: entry for entry in zip_entries.entries(region)}
        for name in (CONFIG, METADATA):
            if name not in entries:
                raise Damaged(f"has no {name}: it is no .keras archive")
        notes = _metadata(zip_entries.unpacked(region, entries[METADATA], MAX_CONFIG))
        notes |= inspect(zip_entries.unpacked(region, entries[CONFIG], MAX_CONFIG), CONFIG)
        contents = _weights(region, entries)
        return Summary(
            format="keras",
            file_bytes=region.size,
            tensor_bytes=sum(contents.sizes.values()),
            parameters=contents.parameters if contents.is_whole else None,
            dtypes=dict(sorted(contents.sizes.items(), key=lambda item: -item[1])),
            metadata=notes,
        )


def deep(path: Path, advance: Callable[[int], None]) -> None:
    """Every entry against its CRC. Raises ArtifactError, OSError."""
    with opened(path) as region:
        zip_entries.check(region, zip_entries.entries(region), advance)


def _metadata(raw: bytes) -> dict[str, str]:
    document = json_object(raw, METADATA)
    version, saved = document.get("keras_version"), document.get("date_saved")
    notes = {"version": note(version), "producer": f"keras {note(version)}"} if isinstance(version, str) else {}
    if isinstance(saved, str):
        notes["saved"] = note(saved)
    return notes


def _weights(region: Region, entries: dict[str, Entry]) -> Contents:
    entry = entries.get(WEIGHTS)
    if entry is None:
        if any(name.startswith("model") and name.endswith((".weights.json", ".weights.h5")) for name in entries):
            return Contents()
        raise Damaged(f"has no {WEIGHTS}")
    if entry.method == DEFLATED:
        if entry.full > MAX_UNPACKED_WEIGHTS:
            return Contents()
        return hdf5.contents_of(Region.of(zip_entries.unpacked(region, entry, MAX_UNPACKED_WEIGHTS)))
    try:
        return hdf5.contents_of(zip_entries.data_of(region, entry))
    except Damaged as error:
        raise Damaged(f"has weights ({WEIGHTS}) whose file {error}", error.reason) from None


FORMAT = Format("keras", (".keras",), read, deep=deep)
