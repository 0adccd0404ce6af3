"""The tree of an HDF5 file: groups and their links, datasets and where their data lies, the root's attributes."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from model_load_exporter.artifacts.bounded import Damaged, clip
from model_load_exporter.artifacts.hdf5_object import File
from model_load_exporter.artifacts.hdf5_values import attribute, data_type, element_count

_SPACE, _LINKS, _TYPE, _LINK, _LAYOUT, _ATTRIBUTE, _SYMBOLS = 0x01, 0x02, 0x03, 0x06, 0x08, 0x0C, 0x11
_COMPACT, _CONTIGUOUS, _CHUNKED = 0, 1, 2
_NODE = struct.Struct("<4sBBH")
_LEAF = struct.Struct("<4sBxH")
_MAX_ATTRIBUTES = 64
_STRINGS = "string"


@dataclass
class Contents:
    """What a file holds: numbers in all datasets, their bytes by type, attributes of the root that are text.

    is_whole: False where a group keeps its links in a heap that is not read here.
    """

    parameters: int = 0
    is_whole: bool = True
    sizes: dict[str, int] = field(default_factory=dict)
    attributes: dict[str, bytes] = field(default_factory=dict)


def walk(file: File, root: int) -> Contents:
    """All objects from the root on. The list of those still to come is at most as long as the file has objects."""
    contents, waiting = Contents(), [root]
    file.first_visit(root)
    while waiting:
        at = waiting.pop()
        for child in _object(file, at, contents, is_root=at == root):
            if file.first_visit(child):
                waiting.append(child)
    return contents


def _object(file: File, at: int, contents: Contents, *, is_root: bool) -> Iterator[int]:
    """Adds a dataset to the contents; the addresses that a group's links lead to."""
    space = kind = layout = None
    for message in file.messages(at):
        if message.kind == _SPACE:
            space = message.data
        elif message.kind == _TYPE:
            kind = message.data
        elif message.kind == _LAYOUT:
            layout = message.data
        elif message.kind == _SYMBOLS:
            yield from _symbols(file, file.address(message.data, 0))
        elif message.kind == _LINKS and len(message.data) > 1:
            contents.is_whole &= file.address(message.data, 10 if message.data[1] & 1 else 2) is None
        elif message.kind == _LINK:
            target = _hard_link(file, message.data)
            if target is not None:
                yield target
        elif message.kind == _ATTRIBUTE and is_root and len(contents.attributes) < _MAX_ATTRIBUTES:
            name, value = attribute(file, message.data)
            if value is not None:
                contents.attributes[name] = value
    if space is None or kind is None or layout is None:
        return
    dtype, width = data_type(kind)
    elements = element_count(file, space)
    _data(file, at, layout, elements * width)
    if dtype != _STRINGS:
        contents.parameters += elements
        contents.sizes[dtype] = contents.sizes.get(dtype, 0) + elements * width


def _symbols(file: File, root: int | None) -> Iterator[int]:
    """Addresses of a group's objects, from its B-tree."""
    waiting = [] if root is None else [root]
    while waiting:
        at = waiting.pop()
        if not file.first_visit(at):
            continue
        raw = file.read(at, 8, "a group")
        signature, kind, level, count = _NODE.unpack(raw)
        if signature != b"TREE" or kind != 0:
            raise Damaged(f"is damaged: there is no group at byte {clip(at)}")
        step = file.lengths + file.offsets
        data = file.read(at + 8 + 2 * file.offsets, count * step, "a group")
        for index in range(count):
            child = file.address(data, index * step + file.lengths)
            if child is None:
                continue
            if level:
                waiting.append(child)
            elif file.first_visit(child):
                yield from _leaf(file, child)


def _leaf(file: File, at: int) -> Iterator[int]:
    signature, _, count = _LEAF.unpack(file.read(at, 8, "a group's links"))
    if signature != b"SNOD":
        raise Damaged(f"is damaged: there are no links at byte {clip(at)}")
    step = 2 * file.offsets + 24
    data = file.read(at + 8, count * step, "a group's links")
    for index in range(count):
        kind = int.from_bytes(data[index * step + 2 * file.offsets :][:4], "little")
        target = file.address(data, index * step + file.offsets)
        if target is not None and kind != 2:  # 2 is a soft link: a name, no address
            yield target


def _hard_link(file: File, data: bytes) -> int | None:
    """The address of a link message, None for soft and external ones."""
    if len(data) < 3 or data[0] != 1:
        raise Damaged("is damaged: a link is of no known form")
    flags, at = data[1], 2
    if flags & 8:
        if data[at] != 0:
            return None
        at += 1
    at += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    name = int.from_bytes(data[at : at + width], "little")
    return file.address(data, at + width + name)


def _data(file: File, at: int, layout: bytes, size: int) -> None:
    """Where a dataset's data lies must be within the file. Layouts of before 2004 are not looked at."""
    if len(layout) < 2 or layout[0] not in (3, 4):
        return
    version, form = layout[0], layout[1]
    if form == _CONTIGUOUS:
        place = file.address(layout, 2)
        if place is None:
            return
        stored = file.length(layout, 2 + file.offsets)
        file.region.require(place, stored, f"the dataset at byte {at}")
        if stored < size:
            raise Damaged(f"keeps the dataset at byte {at} in {clip(stored)} bytes, and its shape needs {clip(size)}")
    elif form == _CHUNKED and version == 3:
        tree = file.address(layout, 3)
        if tree is not None:
            _chunks(file, tree, layout[2])


def _chunks(file: File, root: int, dimensions: int) -> None:
    """Each chunk that a dataset's B-tree names, within the file."""
    waiting = [root]
    while waiting:
        at = waiting.pop()
        if not file.first_visit(at):
            continue
        signature, kind, level, count = _NODE.unpack(file.read(at, 8, "a dataset's chunks"))
        if signature != b"TREE" or kind != 1:
            raise Damaged(f"is damaged: there are no chunks at byte {clip(at)}")
        key = 8 + 8 * dimensions
        step = key + file.offsets
        data = file.read(at + 8 + 2 * file.offsets, count * step, "a dataset's chunks")
        for index in range(count):
            child = file.address(data, index * step + key)
            if child is None:
                continue
            if level:
                waiting.append(child)
            else:
                file.region.require(child, int.from_bytes(data[index * step :][:4], "little"), "a chunk of a dataset")
