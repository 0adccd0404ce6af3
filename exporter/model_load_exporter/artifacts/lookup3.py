"""Bob Jenkins' lookup3, the checksum of HDF5's newer metadata."""

import struct

_WORDS = struct.Struct("<3I")
_MASK = 0xFFFFFFFF


def lookup3(data: bytes) -> int:
    """hashlittle(data, length, 0), as HDF5 calls it."""
    a = b = c = 0xDEADBEEF + len(data) & _MASK
    at, left = 0, len(data)
    while left > 12:
        x, y, z = _WORDS.unpack_from(data, at)
        a, b, c = _mix(a + x & _MASK, b + y & _MASK, c + z & _MASK)
        at, left = at + 12, left - 12
    if not left:
        return c
    x, y, z = _WORDS.unpack(data[at:].ljust(12, b"\0"))
    return _final(a + x & _MASK, b + y & _MASK, c + z & _MASK)


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    a, c = a - c & _MASK ^ _rotate(c, 4), c + b & _MASK
    b, a = b - a & _MASK ^ _rotate(a, 6), a + c & _MASK
    c, b = c - b & _MASK ^ _rotate(b, 8), b + a & _MASK
    a, c = a - c & _MASK ^ _rotate(c, 16), c + b & _MASK
    b, a = b - a & _MASK ^ _rotate(a, 19), a + c & _MASK
    c, b = c - b & _MASK ^ _rotate(b, 4), b + a & _MASK
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    c = (c ^ b) - _rotate(b, 14) & _MASK
    a = (a ^ c) - _rotate(c, 11) & _MASK
    b = (b ^ a) - _rotate(a, 25) & _MASK
    c = (c ^ b) - _rotate(b, 16) & _MASK
    a = (a ^ c) - _rotate(c, 4) & _MASK
    b = (b ^ a) - _rotate(a, 14) & _MASK
    return (c ^ b) - _rotate(b, 24) & _MASK


def _rotate(value: int, shift: int) -> int:
    return (value << shift | value >> 32 - shift) & _MASK
