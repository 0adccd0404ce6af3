"""weight.bin of an .mlpackage: a count, then blobs, each with its metadata before it, all aligned to 64 bytes."""

import struct
from collections.abc import Iterator

from model_load_exporter.artifacts.bounded import Damaged, Region, clip

DTYPES = {
    1: ("float16", 16), 2: ("float32", 32), 3: ("uint8", 8), 4: ("int8", 8), 5: ("bfloat16", 16), 6: ("int16", 16),
    7: ("uint16", 16), 8: ("int4", 4), 9: ("uint1", 1), 10: ("uint2", 2), 11: ("uint4", 4), 12: ("uint3", 3),
    13: ("uint6", 6), 14: ("int32", 32), 15: ("uint32", 32), 16: ("float8_e4m3fn", 8), 17: ("float8_e5m2", 8),
}  # fmt: skip
"""MIL's BlobDataType: name and bits."""

MAX_BLOBS = 1_000_000
_ALIGNMENT = 64
_HEADER = struct.Struct("<II56x")
_BLOB = struct.Struct("<IIQQQ32x")
_SENTINEL = 0xDEADBEEF
_VERSION = 2


def blobs(region: Region) -> Iterator[tuple[str, int, int]]:
    """(type, numbers, bytes) of each blob. Raises Damaged where one is not whole."""
    count, version = region.unpack(_HEADER, 0, "its header")
    if version != _VERSION:
        raise Damaged(f"claims to be of version {version}; {_VERSION} is known", _reason(version))
    if count > MAX_BLOBS:
        raise Damaged(f"claims {count} blobs")
    at = _HEADER.size
    for number in range(count):
        sentinel, kind, size, offset, padding = region.unpack(_BLOB, at, f"blob {number + 1} of {count}")
        if sentinel != _SENTINEL:
            raise Damaged(f"has no blob {number + 1} of {count} at byte {at}")
        if offset < at + _BLOB.size or offset % _ALIGNMENT:
            raise Damaged(f"has blob {number + 1} of {count} at byte {clip(offset)}, where none can be")
        region.require(offset, size, f"blob {number + 1} of {count}")
        dtype, bits = DTYPES.get(kind, (f"type {kind}", 8))
        yield dtype, max(8 * size - padding, 0) // bits, size
        at = -(-(offset + size) // _ALIGNMENT) * _ALIGNMENT


def _reason(version: int) -> str:
    return "version_incompatible" if version < 100 else "file_corrupted"
