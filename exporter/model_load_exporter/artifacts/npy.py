"""numpy's arrays (.npy): a magic, a header as a Python literal, and raw items; of objects a pickle in their place."""

import ast
import math
import re
import struct
from pathlib import Path
from typing import Any

from model_load_exporter.artifacts.bounded import Damaged, Region, opened
from model_load_exporter.artifacts.format import Format
from model_load_exporter.artifacts.pickles import imports, in_a_row, judge
from model_load_exporter.artifacts.summary import Summary

MAX_HEADER = 64 * 1024
"""Bytes; numpy itself refuses more than 10,000 unless it is told to trust the file."""

MAGIC = b"\x93NUMPY"
_SHORT, _LONG = struct.Struct("<H"), struct.Struct("<I")
_ITEM = re.compile(r"[<>|=]?([?bBhHiIlLqQefdFDgGSUVmMaiufc])(\d{0,9})(\[\w+\])?")
_MAX_DIMENSIONS = 64


def read(path: Path) -> Summary:
    """One array. Raises ArtifactError, OSError."""
    with opened(path) as region:
        size, metadata = array(region)
        return Summary("npy", region.size, size, metadata=metadata)


def array(region: Region) -> tuple[int, dict[str, str]]:
    """Bytes of an array's items, and what it says of itself. Raises Damaged, OSError."""
    if region.at(0, 6, "its header") != MAGIC:
        raise Damaged("does not begin with NUMPY")
    major = region.at(6, 2, "its header")[0]
    if major not in (1, 2, 3):
        raise Damaged(f"is of version {major} of numpy's arrays; 3 is the newest known here", "version_incompatible")
    layout = _SHORT if major == 1 else _LONG
    (length,) = region.unpack(layout, 8, "its header")
    if length > MAX_HEADER:
        raise Damaged(f"has a header of {length} bytes; {MAX_HEADER} is the limit")
    begin = 8 + layout.size + length
    header = _header(region.at(8 + layout.size, length, "its header"))
    data = region.part(begin, region.size - begin)
    said = _judged(data) if _has_objects(header["descr"]) else _long_enough(data, header)
    return data.size, {"version": str(major), **said}


def _header(raw: bytes) -> dict[str, Any]:
    try:
        header = ast.literal_eval(raw.decode("latin-1").strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise Damaged("has a header that is none of numpy's") from None
    if not isinstance(header, dict) or not {"descr", "shape"} <= header.keys():
        raise Damaged("has a header that is none of numpy's")
    return header


def _has_objects(descr: object) -> bool:
    """True where any field is of Python objects: numpy writes all of the array as a pickle then."""
    if isinstance(descr, str):
        return "O" in descr
    return isinstance(descr, (list, tuple)) and any(_has_objects(part) for field in descr for part in _parts(field))


def _parts(field: object) -> tuple[object, ...]:
    """The type in a field: (name, type) or (name, type, shape)."""
    return field[1:2] if isinstance(field, tuple) else ()


def _judged(data: Region) -> dict[str, str]:
    scans = list(in_a_row(data.at, data.size))
    judge(scans, strict=False)
    said = imports(scans).get("note", "imports nothing")
    return {"note": f"an array of Python objects, which is a pickle: needs allow_pickle=True; {said}"}


def _long_enough(data: Region, header: dict[str, Any]) -> dict[str, str]:
    """Raises Damaged where items are missing; structured types are not added up."""
    shape, descr = header["shape"], header["descr"]
    if not (
        isinstance(shape, tuple)
        and len(shape) <= _MAX_DIMENSIONS
        and all(type(side) is int and 0 <= side < 2**63 for side in shape)
    ):
        raise Damaged("has a shape that is none")
    match = _ITEM.fullmatch(descr) if isinstance(descr, str) else None
    if match is None:
        return {}
    needed = math.prod(shape) * int(match[2] or 1) * (4 if match[1] == "U" else 1)
    if match[1] in "mM":
        needed = math.prod(shape) * 8
    data.require(0, needed, "its array")
    return {"dtype": descr}


FORMAT = Format("npy", (".npy",), read, magics=(MAGIC,))
