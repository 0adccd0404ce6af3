"""HDF5, as .h5 of Keras and others: the superblock says where the file ends, and a tree of objects where the data is.

The tree is walked as h5py writes it, old and new style: each dataset must lie within the file. Groups of more than
eight links in the new style (libver="latest") keep them in a heap that is not read here.
"""

import struct
from pathlib import Path

from model_load_exporter.artifacts.bounded import Damaged, Region, clip, note, opened
from model_load_exporter.artifacts.format import Format
from model_load_exporter.artifacts.hdf5_object import File
from model_load_exporter.artifacts.hdf5_tree import Contents, walk
from model_load_exporter.artifacts.keras_config import inspect
from model_load_exporter.artifacts.lookup3 import lookup3
from model_load_exporter.artifacts.summary import Summary

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_WIDTHS = (2, 4, 8)
_U32 = struct.Struct("<I")
_OPEN_FOR_WRITING = 1
_SHOWN = {"keras_version": "version", "backend": "backend"}


def read(path: Path) -> Summary:
    """One file. Raises ArtifactError, OSError."""
    with opened(path) as region:
        contents = contents_of(region)
        notes = notes_of(contents)
        return Summary(
            format="hdf5",
            file_bytes=region.size,
            tensor_bytes=sum(contents.sizes.values()),
            parameters=contents.parameters if contents.is_whole else None,
            dtypes=dict(sorted(contents.sizes.items(), key=lambda item: -item[1])),
            metadata=notes,
        )


def contents_of(region: Region) -> Contents:
    """What the file's tree holds. Raises Damaged."""
    at = _signature(region)
    version = region.at(at + 8, 1, "its superblock")[0]
    if version > 3:
        raise Damaged(
            f"has a superblock of version {version}; 3 is the newest known here",
            "version_incompatible" if version < 10 else "file_corrupted",
        )
    # The end is told as of the whole file, all other addresses as of the superblock.
    file, root, end = (_superblock_0 if version < 2 else _superblock_2)(region, at, version)
    if end > region.size:
        raise Damaged(f"is truncated: it should have {clip(end)} bytes, and has {region.size}")
    return walk(file, root)


def notes_of(contents: Contents) -> dict[str, str]:
    """What Keras noted in the file's attributes. Raises Damaged for code in them."""
    notes = {shown: note(contents.attributes[key]) for key, shown in _SHOWN.items() if key in contents.attributes}
    if "keras_version" in contents.attributes:
        notes["producer"] = f"keras {notes['version']}"
    if "model_config" in contents.attributes:
        notes |= inspect(contents.attributes["model_config"], "its attribute model_config")
    return notes


def _signature(region: Region) -> int:
    """Where it begins: a block of the user's own may precede it."""
    at = 0
    while at + len(SIGNATURE) <= region.size:
        if region.at(at, len(SIGNATURE)) == SIGNATURE:
            return at
        at = at * 2 or 512
    raise Damaged("does not have the signature of HDF5")


def _superblock_0(region: Region, at: int, version: int) -> tuple[File, int, int]:
    offsets, lengths = region.at(at + 13, 2, "its superblock")
    _known(offsets, lengths)
    place = at + 24 + (4 if version == 1 else 0)
    raw = region.at(place, 6 * offsets, "its superblock")
    file = File(region.part(at, region.size - at), offsets, lengths)
    numbers = [int.from_bytes(raw[index * offsets : (index + 1) * offsets], "little") for index in range(6)]
    return file, numbers[5], numbers[2] - numbers[0] + at


def _superblock_2(region: Region, at: int, version: int) -> tuple[File, int, int]:
    offsets, lengths, flags = region.at(at + 9, 3, "its superblock")
    _known(offsets, lengths)
    raw = region.at(at, 12 + 4 * offsets + 4, "its superblock")
    if lookup3(raw[:-4]) != _U32.unpack(raw[-4:])[0]:
        raise Damaged("has a damaged superblock: its checksum does not match")
    if version == 3 and flags & _OPEN_FOR_WRITING:
        raise Damaged("was not closed by its writer; if it is whole, `h5clear -s` makes it readable")
    file = File(region.part(at, region.size - at), offsets, lengths)
    numbers = [int.from_bytes(raw[12 + index * offsets : 12 + (index + 1) * offsets], "little") for index in range(4)]
    return file, numbers[3], numbers[2] - numbers[0] + at


def _known(offsets: int, lengths: int) -> None:
    if offsets not in _WIDTHS or lengths not in _WIDTHS:
        raise Damaged(f"claims addresses of {offsets} and lengths of {lengths} bytes")


FORMAT = Format("hdf5", (".h5", ".hdf5"), read, magics=(SIGNATURE,))
