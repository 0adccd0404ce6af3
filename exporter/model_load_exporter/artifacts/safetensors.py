"""safetensors: eight bytes of length, a JSON header, then the tensors. Only the header is ever read.

The length is the writer's word: it is compared with the limit and with the file before a byte is read for it. The
format has no checksum; its tensors must lie side by side and fill the file, each as long as its type and shape say.
"""

import math
import re
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from model_load_exporter.artifacts.bounded import Damaged, Region, clip, json_object, name_of, note, opened
from model_load_exporter.artifacts.format import Format
from model_load_exporter.artifacts.summary import Summary

MAX_HEADER = 100_000_000
"""Bytes of a header; the library refuses larger ones too."""

SUFFIXES = (".safetensors",)

DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu", "C64": "complex64",
    "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F6_E2M3": "float6_e2m3", "F6_E3M2": "float6_e3m2", "F4": "float4_e2m1fn_x2",
}  # fmt: skip
BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32,
    "U16": 16, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "C64": 64, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip
_MAX_DIMENSIONS = 64
_MAX_METADATA = 64
_SIGN = re.compile(rb"[\[,\s]-")
"""What precedes every negative number; a name may have one too, which costs the careful way and no more."""


class Header(NamedTuple):
    """The JSON by tensor name. room: bytes behind it. plain: True where it has no negative number."""

    tensors: dict[str, Any]
    room: int
    plain: bool


def read(path: Path) -> Summary:
    """The header of one file. Raises ArtifactError, or OSError where it cannot be read."""
    with opened(path) as region:
        return _summary(header(region), region.size)


def header(region: Region) -> Header:
    """The header as it stands. Raises Damaged."""
    if region.size < 8:
        raise Damaged(f"is truncated: it ends within its header after {region.size} bytes")
    length = int.from_bytes(region.at(0, 8), "little")
    if length > MAX_HEADER:
        raise Damaged(f"claims a header of {length} bytes; {MAX_HEADER} is the limit")
    region.require(8, length, "its header")
    raw = region.at(8, length)
    return Header(json_object(raw, "a header"), region.size - 8 - length, not (b"-" in raw and _SIGN.search(raw)))


def tensor_names(path: Path) -> set[str]:
    """The tensors in a file. Raises ArtifactError, OSError."""
    with opened(path) as region:
        return set(header(region).tensors) - {"__metadata__"}


def _summary(head: Header, size: int) -> Summary:
    tensors, room, plain = head
    metadata = tensors.pop("__metadata__", None)
    if not isinstance(metadata, dict):
        metadata = {}
    sizes, end = (_in_order(tensors) if plain else None) or _in_any_order(tensors, room)
    if end != room:
        verb = "is truncated" if end > room else "has bytes behind its last tensor"
        raise Damaged(f"{verb}: its tensors take {clip(end)} bytes, it has {room}")
    return Summary(
        format="safetensors",
        file_bytes=size,
        tensor_bytes=end,
        parameters=sum(count * 8 // BITS[kind] for kind, count in sizes.items()),
        dtypes={DTYPES[kind]: count for kind, count in sorted(sizes.items(), key=lambda item: -item[1])},
        metadata={
            note(key): note(value) for key, value in list(metadata.items())[:_MAX_METADATA] if isinstance(value, str)
        },
    )


_Totals = tuple[dict[str, int], int]
"""Bytes by type, and where the last tensor ends."""

_FIELDS = itemgetter("dtype", "shape", "data_offsets")


def _in_order(tensors: dict[str, Any]) -> _Totals | None:
    """The totals of a header as every writer makes it, each tensor behind the one before. None where one is odd.

    There is no negative number in it. A check's time goes here and into the JSON: little is done for each tensor, and
    what is wrong is for the careful way to say.
    """
    sizes, last, begun, end, width = dict[str, int](), "", 0, 0, 0
    try:
        for kind, shape, (begin, stop) in map(_FIELDS, tensors.values()):
            if kind != last:
                width = BITS[kind]
                sizes[last] = sizes.get(last, 0) + end - begun
                last, begun = kind, end
            if begin != end or len(shape) > _MAX_DIMENSIONS or math.prod(shape) * width != (stop - begin) * 8:
                return None
            end = stop
    except (KeyError, TypeError, ValueError):
        return None
    sizes[last] = sizes.get(last, 0) + end - begun
    sizes.pop("", None)
    # A fraction or an infinity anywhere would have made a sum one too.
    return (sizes, end) if all(type(size) is int for size in sizes.values()) else None


def _in_any_order(tensors: dict[str, Any], room: int) -> _Totals:
    """The totals, each tensor checked by itself. Raises Damaged with the name of the one that is wrong."""
    sizes, name = dict[str, int](), ""
    try:
        for name, tensor in tensors.items():
            kind, shape, (begin, stop) = _FIELDS(tensor)
            if not (type(begin) is type(stop) is int and 0 <= begin <= stop <= room):
                raise Damaged(_misplaced(name, begin, stop, room))
            valid = len(shape) <= _MAX_DIMENSIONS and all(type(side) is int and side >= 0 for side in shape)
            count = math.prod(shape) if valid else -1
            if count * BITS[kind] != (stop - begin) * 8:
                raise Damaged(f"has a tensor {name_of(name)} whose bytes do not fit its type and shape")
            sizes[kind] = sizes.get(kind, 0) + stop - begin
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, Damaged):
            raise
        raise Damaged(f"has a tensor {name_of(name)} that is described wrongly in the header") from None
    return sizes, _joined(tensors)


def _misplaced(name: str, begin: object, stop: object, room: int) -> str:
    if isinstance(begin, int) and isinstance(stop, int) and 0 <= begin <= stop:
        return f"is truncated: its tensor {name_of(name)} ends at byte {clip(stop)} of {room}"
    return f"has a tensor {name_of(name)} that has no valid place in the file"


def _joined(tensors: dict[str, Any]) -> int:
    """Where the last tensor ends. Raises Damaged where two overlap or leave a hole."""
    end = 0
    for begin, stop, name in sorted((*tensor["data_offsets"], name) for name, tensor in tensors.items()):
        if begin != end:
            verb = "overlaps the tensor before it" if begin < end else "leaves a hole before it"
            raise Damaged(f"has a tensor {name_of(name)} that {verb}")
        end = stop
    return end


FORMAT = Format("safetensors", SUFFIXES, read)
