"""LevelDB's sorted table, in which TensorFlow keeps the index of a checkpoint: blocks of sorted keys, each with a CRC.

The whole index is read: it holds a hundred bytes a variable, and each block's checksum is looked at.
"""

import struct
from collections.abc import Iterator

from model_load_exporter.artifacts.bounded import Damaged, Region, clip
from model_load_exporter.artifacts.crc32c import fastest, mask

MAX_TABLE = 64 * 2**20
MAX_ENTRIES = 1_000_000
_FOOTER = 48
_MAGIC = 0xDB4775248B80FB57
_TRAILER = 5
_MAX_KEY = 64 * 1024
_U32 = struct.Struct("<I")
_TAIL = struct.Struct("<Q")

Entry = tuple[bytes, bytes]


def entries(region: Region) -> Iterator[Entry]:
    """(key, value) in the table's order. Raises Damaged."""
    if region.size > MAX_TABLE:
        raise Damaged(f"has {region.size} bytes; an index has less than {MAX_TABLE}")
    footer = region.at(max(region.size - _FOOTER, 0), min(_FOOTER, region.size))
    if len(footer) < _FOOTER or _TAIL.unpack_from(footer, 40)[0] != _MAGIC:
        raise Damaged("does not end as an index does: it is truncated, or no TensorFlow checkpoint")
    at = _handle(footer, 0)[2]
    offset, size, _ = _handle(footer, at)
    budget, end = MAX_ENTRIES, 0
    for _, handle in _block(region, offset, size):
        place, length, _ = _handle(handle, 0)
        if place < end:
            raise Damaged(f"has a block at byte {clip(place)} that overlaps another")
        end = place + length
        for entry in _block(region, place, length):
            budget -= 1
            if budget < 0:
                raise Damaged(f"has more than {MAX_ENTRIES} entries")
            yield entry


def _block(region: Region, offset: int, size: int) -> Iterator[Entry]:
    region.require(offset, size + _TRAILER, "a block of its index")
    raw = region.at(offset, size + _TRAILER)
    data, kind = raw[:size], raw[size]
    (stored,) = _U32.unpack_from(raw, size + 1)
    if mask(fastest()(raw[: size + 1], 0)) != stored:
        raise Damaged(f"is damaged: the block at byte {clip(offset)} does not match its CRC")
    if kind:
        raise Damaged(f"has a compressed block at byte {clip(offset)}, as no checkpoint has")
    if size < 4 or (end := size - 4 - 4 * _U32.unpack_from(data, size - 4)[0]) < 0:
        raise Damaged(f"has a block without an end at byte {clip(offset)}")
    at, key = 0, b""
    while at < end:
        shared, at = _number(data, at)
        fresh, at = _number(data, at)
        length, at = _number(data, at)
        if shared > len(key) or at + fresh + length > end or shared + fresh > _MAX_KEY:
            raise Damaged(f"has an entry without an end in the block at byte {clip(offset)}")
        key = key[:shared] + data[at : at + fresh]
        at += fresh
        yield key, data[at : at + length]
        at += length


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    """(offset, size, index after them)."""
    offset, at = _number(data, at)
    size, at = _number(data, at)
    return offset, size, at


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift <= 63 and at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise Damaged("is damaged: a number in its index has no end")
