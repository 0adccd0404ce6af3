"""Mutation that knows where a binary file keeps its lengths: it changes the numbers that could be one."""

import struct
from collections.abc import Sequence
from functools import lru_cache

from hypothesis import strategies as st

_WIDTHS = {1: "B", 2: "H", 4: "I", 8: "Q"}
INTERESTING = (
    0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 4095, 4096, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
    10**12, 2**40, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 8, 2**64 - 1,
)  # fmt: skip
"""Numbers at the edges of types, and lengths that no machine has room for."""

_TOKENS = (
    b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"GGUF", b"\x89HDF\r\n\x1a\n", b"TFL3",
    b"OHDR", b"TREE", b"SNOD", b"HEAP", b"FRHP", b"\x80\x02", b"\x80\x04", b"\xff" * 8, b"\0" * 16, b"{", b"}",
    b"[" * 64,
    b'"', b"\\u0000", b"\\ud800", b"null", b"1e999", b"-1", b"NaN", b"\n", b"\r\n", b"../", b"/", b"\x1b[31m", b"%s",
    b"data_offsets", b"weight_map", b"sha256", b"version https://git-lfs.github.com/spec/v1\n", b"<!DOCTYPE html>",
)  # fmt: skip


@lru_cache(maxsize=256)
def places(data: bytes) -> list[tuple[int, int, str]]:
    """(offset, width, byte order) of the numbers near both ends that could be a length or an offset in the file."""
    found = []
    ends = (range(min(len(data), 1024)), range(max(len(data) - 512, 1024), len(data)))
    for width, code in ((8, "Q"), (4, "I"), (2, "H")):
        for order in "<>":
            for at in (at for end in ends for at in end if at + width <= len(data)):
                (value,) = struct.unpack_from(order + code, data, at)
                if 0 < value <= len(data):
                    found.append((at, width, order))
    return found


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes], most: int = 6) -> bytes:
    """One of the seeds, changed up to `most` times: cut, flipped, spliced, repeated, its lengths replaced."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, most))):
        size = len(data)
        at = draw(st.integers(0, size))
        match draw(st.sampled_from(("length", "length", "flip", "bytes", "cut", "drop", "insert", "splice", "repeat"))):
            case "length":
                known = places(bytes(data))
                if known:
                    at, width, order = draw(st.sampled_from(known))
                    number = draw(st.sampled_from(INTERESTING) | st.integers(0, 2 ** (8 * width) - 1))
                    number &= 2 ** (8 * width) - 1
                    struct.pack_into(order + _WIDTHS[width], data, at, number)
            case "flip" if at < size:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "bytes":
                new = draw(st.binary(min_size=1, max_size=8))
                data[at : at + len(new)] = new
            case "cut":
                del data[at:]
            case "drop":
                del data[at : at + draw(st.integers(1, 64))]
            case "insert":
                data[at:at] = draw(st.sampled_from(_TOKENS) | st.binary(min_size=1, max_size=64))
            case "splice":
                other = draw(st.sampled_from(seeds))
                start = draw(st.integers(0, len(other)))
                data[at:] = other[start : start + 8192]
            case "repeat":
                data[at:at] = data[at : at + draw(st.integers(1, 256))] * draw(st.integers(1, 40))
    return bytes(data[: 1 << 18])
