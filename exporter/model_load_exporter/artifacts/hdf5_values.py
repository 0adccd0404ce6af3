"""Types, shapes and attributes of HDF5, out of the messages that hold them."""

import struct

from model_load_exporter.artifacts.bounded import Damaged, note
from model_load_exporter.artifacts.hdf5_object import File

MAX_ATTRIBUTE = 8 * 2**20
"""Bytes of an attribute's value: the configuration of a large Keras model has one megabyte."""

_FIXED, _FLOAT, _STRING, _VARIABLE = 0, 1, 3, 9
_HEAD = struct.Struct("<II")
_ATTRIBUTE = struct.Struct("<BBHHH")
_HEAP_OBJECT = struct.Struct("<HH4x")
_MAX_DIMENSIONS = 32


def data_type(data: bytes) -> tuple[str, int]:
    """(name, bytes of one value). Raises Damaged."""
    if len(data) < 8:
        raise Damaged("is damaged: a data type is cut off")
    first, width = _HEAD.unpack_from(data)
    kind, signed = first & 15, first >> 8 & 8
    if kind == _FIXED:
        return f"{'' if signed else 'u'}int{8 * width}" if width <= 16 else "integer", width
    if kind == _FLOAT:
        exponent = data[13] if len(data) > 13 else 0
        return "bfloat16" if (width, exponent) == (2, 8) else f"float{8 * width}" if width <= 16 else "float", width
    return {_STRING: "string", _VARIABLE: "string"}.get(kind, f"class {kind}"), width


def element_count(file: File, data: bytes) -> int:
    """Values of a dataset: the product of its dimensions, 1 for a scalar, 0 for an empty one. Raises Damaged."""
    if len(data) < 4 or data[0] not in (1, 2):
        raise Damaged("is damaged: a shape is of no known form")
    dimensions, at = data[1], 8 if data[0] == 1 else 4
    if dimensions > _MAX_DIMENSIONS:
        raise Damaged(f"is damaged: a dataset of {dimensions} dimensions")
    if data[0] == 2 and data[3] == 2:
        return 0
    elements = 1
    for index in range(dimensions):
        elements *= file.length(data, at + index * file.lengths)
    if elements >= 2**63:
        raise Damaged("is damaged: a dataset of an impossible shape")
    return elements


def attribute(file: File, data: bytes) -> tuple[str, bytes | None]:
    """(name, its text), None for what is no single text. Raises Damaged."""
    if len(data) < 8:
        raise Damaged("is damaged: an attribute is cut off")
    version, flags, *lengths = _ATTRIBUTE.unpack_from(data)
    if version not in (1, 2, 3) or (version > 1 and flags & 3):
        return "", None
    at, parts = 8 + (version == 3), []
    for length in lengths:
        parts.append(data[at : at + length])
        at += -(-length // 8) * 8 if version == 1 else length
    name, kind, space = parts
    shown = note(name.rstrip(b"\0"))
    if len(kind) < 8 or element_count(file, space) != 1:
        return shown, None
    first, width = _HEAD.unpack_from(kind)
    if first & 15 == _STRING:
        return shown, data[at : at + min(width, MAX_ATTRIBUTE)].rstrip(b"\0")
    if first & 15 == _VARIABLE and first >> 8 & 15 == 1:
        return shown, _from_heap(file, data[at:])
    return shown, None


def _from_heap(file: File, data: bytes) -> bytes | None:
    """A text of any length: its length, and the collection and number of its object in the global heap."""
    if len(data) < 8 + file.offsets:
        raise Damaged("is damaged: an attribute is cut off")
    length, heap = int.from_bytes(data[:4], "little"), file.address(data, 4)
    wanted = int.from_bytes(data[4 + file.offsets :][:4], "little")
    if heap is None or not length or length > MAX_ATTRIBUTE:
        return None
    start = file.read(heap, 8 + file.lengths, "a collection of texts")
    if start[:4] != b"GCOL":
        raise Damaged(f"is damaged: there are no texts at byte {heap}")
    at, end = heap + 8 + file.lengths, heap + file.length(start, 8)
    while at + 8 + file.lengths <= end:
        raw = file.read(at, 8 + file.lengths, "a text")
        number, size = _HEAP_OBJECT.unpack_from(raw)[0], file.length(raw, 8)
        at += 8 + file.lengths
        if number == wanted:
            return file.read(at, min(size, length), "a text").rstrip(b"\0")
        if number == 0:
            break
        at += -(-size // 8) * 8
    raise Damaged(f"is damaged: a text at byte {heap} is missing")
