"""CRC-32C (Castagnoli), the checksum of TensorFlow's checkpoints: by a library where one is installed, else here.

google-crc32c or crc32c uses the processor's instruction, over 10 GB a second; the table below manages 15 MB.
"""

import functools
import importlib
from collections.abc import Callable
from typing import Any

Update = Callable[[bytes | memoryview, int], int]
"""(data, the checksum so far) -> the checksum."""

_POLYNOMIAL = 0x82F63B78


def _table() -> tuple[int, ...]:
    entries = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        entries.append(value)
    return tuple(entries)


_TABLE = _table()


def by_table(data: bytes | memoryview, value: int = 0) -> int:
    """The checksum of `data` behind what `value` covers, in plain Python."""
    table, value = _TABLE, value ^ 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


@functools.cache
def fastest() -> Update:
    """The fastest that is installed; all answer the same."""
    for name in ("google_crc32c", "crc32c"):
        try:
            module: Any = importlib.import_module(name)  # by name: none of them needs to be there
        except ImportError:
            continue
        if name == "crc32c":
            return lambda data, value: int(module.crc32c(data, value))
        if module.implementation == "c":
            return lambda data, value: int(module.extend(value, bytes(data)))
    return by_table


def mask(value: int) -> int:
    """As LevelDB and TensorFlow store it: a checksum of data that holds checksums would be weak."""
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
