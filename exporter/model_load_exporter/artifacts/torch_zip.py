"""torch.save's format since 1.6: a zip, one uncompressed entry a storage, and a pickle that names them.

Only the zip's central directory is read. The pickle stays unread: reading it could run it.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO

from model_load_exporter.artifacts.summary import ArtifactError, Summary

SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")

MAX_DIRECTORY = 64 * 2**20
"""Bytes of a central directory: some 600,000 storages."""

_ENTRY = struct.Struct("<4s6xH4xIIIHHH8xI")
_END = struct.Struct("<4s4H2IH")
_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LARGE = 0xFFFFFFFF
_LFS = b"version https://git-lfs"


def read(path: Path) -> Summary:
    """Sizes of one checkpoint's storages. Raises ArtifactError, or OSError where it cannot be read.

    A file from before the zip format is a bare pickle; its tensors are about as large as itself.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        first = file.read(len(_LFS))
        if size == 0:
            raise ArtifactError("file_empty", f"{path} is empty")
        if first == _LFS:
            raise ArtifactError("lfs_pointer", f"{path} is a Git LFS pointer, not the weights")
        if not first.startswith(b"PK\x03\x04"):
            if not first.startswith(b"\x80"):
                raise ArtifactError("file_corrupted", f"{path} is neither a zip nor a pickle")
            return Summary("pickle", size, size)
        try:
            tensors = sum(_storages(_directory(file, size)))
        except (ValueError, struct.error) as error:
            raise ArtifactError("file_corrupted", f"{path}: {error}") from None
    return Summary("torch", size, tensors)


def _directory(file: BinaryIO, size: int) -> bytes:
    """The raw central directory. Raises ValueError, struct.error."""
    file.seek(max(0, size - 65_557))
    tail = file.read(65_557)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0:
        raise ValueError("it has no end of central directory: the file is truncated")
    *_, length, offset, _ = _END.unpack_from(tail, at)
    if _LARGE in (length, offset) or 0xFFFF in _END.unpack_from(tail, at)[1:5]:
        _, _, place, _ = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
        if place > size:
            raise ValueError("its zip64 directory lies beyond its end")
        file.seek(place)
        *_, length, offset = _END64.unpack(file.read(_END64.size))
    if length > MAX_DIRECTORY:
        raise ValueError(f"it claims a directory of {length} bytes; {MAX_DIRECTORY} is the limit")
    if offset + length > size:
        raise ValueError("its directory lies beyond its end: the file is truncated")
    file.seek(offset)
    return file.read(length)


def _storages(directory: bytes) -> list[int]:
    """Bytes of each entry `*/data/N`. Raises ValueError, struct.error."""
    sizes, at = [], 0
    while at < len(directory):
        signature, _, _, _, full, name_length, extra_length, comment_length, _ = _ENTRY.unpack_from(directory, at)
        if signature != b"PK\x01\x02":
            raise ValueError("its central directory is damaged")
        at += _ENTRY.size
        name = directory[at : at + name_length]
        extra = directory[at + name_length : at + name_length + extra_length]
        if b"/data/" in name:
            sizes.append(_full_size(full, extra))
        at += name_length + extra_length + comment_length
    return sizes


def _full_size(full: int, extra: bytes) -> int:
    """The uncompressed size, from the zip64 extra field where it does not fit in 32 bits."""
    if full != _LARGE:
        return full
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1 and length >= 8:
            return int(struct.unpack_from("<Q", extra, 4)[0])
        extra = extra[4 + length :]
    raise ValueError("an entry's zip64 size is missing")
