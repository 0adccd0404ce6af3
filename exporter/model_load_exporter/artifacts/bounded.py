"""An open file of unknown intent, read by offset: no read goes past its end, and none is longer than asked for.

Every length in a file is its writer's word. A reader here never allocates for one before the file was seen to be that
long, and reads whatever it skips not at all: a claimed terabyte costs a comparison.
"""

import errno
import json
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from model_load_exporter.artifacts.summary import ArtifactError

WINDOW = 256 * 1024
"""Bytes of one read: small values that lie close together cost one system call."""

MAX_NOTE = 200
"""Characters of a file's text that are shown to people."""

_IN_MEMORY = -1
_LFS = b"version https://git-lfs"
_PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")


class Damaged(ValueError):  # noqa: N818 (a verdict on a file; what leaves this package is ArtifactError)
    """What is wrong with a file, as the rest of a sentence that begins with its path; `reason` is of the closed set."""

    def __init__(self, message: str, reason: str = "file_corrupted") -> None:
        super().__init__(message)
        self.reason = reason


class Region:
    """Bytes begin..end of an open file, numbered from 0. Reads raise Damaged past its end, OSError as pread does."""

    def __init__(self, descriptor: int, begin: int, end: int) -> None:
        self.descriptor = descriptor
        self.begin = begin
        self.size = end - begin
        self._base = 0
        self._window = b""

    @classmethod
    def of(cls, data: bytes) -> "Region":
        """Bytes that are in memory already."""
        region = cls(_IN_MEMORY, 0, len(data))
        region._window = data
        return region

    def part(self, offset: int, length: int) -> "Region":
        """A region within this one, with numbers of its own."""
        self.require(offset, length, "a part")
        if (offset, length) == (0, self.size):
            return self
        region = Region(self.descriptor, self.begin + offset, self.begin + offset + length)
        if self.descriptor == _IN_MEMORY:
            region._window = self._window[offset : offset + length]
        return region

    def require(self, offset: int, length: int, what: str) -> None:
        """Refuses what would lie beyond the end, without reading it."""
        if offset < 0 or length < 0 or offset + length > self.size:
            if offset < 0:
                raise Damaged(f"is damaged: {what} would begin before its first byte")
            raise Damaged(
                f"is truncated or damaged: {what} should reach to byte {clip(offset + length)}, and it has {self.size}"
            )

    def at(self, offset: int, length: int, what: str = "a value") -> bytes:
        """Exactly `length` bytes. The caller bounds `length`; more than the window costs a read of its own."""
        start = offset - self._base
        if start >= 0 and start + length <= len(self._window):
            return self._window[start : start + length]
        self.require(offset, length, what)
        if length > WINDOW:
            return self._read(offset, length)
        self._base, self._window = offset, self._read(offset, min(WINDOW, self.size - offset))
        return self._window[:length]

    def window(self, offset: int) -> tuple[int, bytes]:
        """(its offset, bytes) of a window that covers `offset` and the 64 bytes after it, as far as there are."""
        self.at(offset, min(64, self.size - offset))
        return self._base, self._window

    def unpack(self, layout: struct.Struct, offset: int, what: str = "a value") -> tuple[Any, ...]:
        """The values of one packed structure."""
        return layout.unpack(self.at(offset, layout.size, what))

    def _read(self, offset: int, length: int) -> bytes:
        data = os.pread(self.descriptor, length, self.begin + offset)
        while len(data) < length:
            more = os.pread(self.descriptor, length - len(data), self.begin + offset + len(data))
            if not more:
                raise Damaged(f"shrank while it was read, at byte {self.begin + offset + len(data)}")
            data += more
        return data


@contextmanager
def opened(path: Path) -> Iterator[Region]:
    """The whole file. Damaged becomes ArtifactError with the path; empty, pointer and web page are refused at once."""
    # O_NONBLOCK: a pipe by that name must not hold the reader.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        state = os.fstat(descriptor)
        if stat.S_ISDIR(state.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(state.st_mode):
            raise Damaged("is no regular file")
        region = Region(descriptor, 0, state.st_size)
        _refuse_stand_ins(region)
        yield region
    except Damaged as error:
        raise ArtifactError(error.reason, f"{path} {error}") from None
    finally:
        os.close(descriptor)


def refuse_stand_ins(path: Path) -> None:
    """Raises ArtifactError where the file is empty, a pointer or a web page: data without a header of its own."""
    with opened(path):
        pass


def _refuse_stand_ins(region: Region) -> None:
    if region.size == 0:
        raise Damaged("is empty", "file_empty")
    head = region.at(0, min(64, region.size))
    if head.startswith(_LFS):
        raise Damaged("is a Git LFS pointer, not the weights", "lfs_pointer")
    if head.lstrip()[:16].lower().startswith(_PAGES):
        raise Damaged("is a web page, not weights: a download that got an error page")


def json_object(raw: bytes, what: str) -> dict[str, Any]:
    """The JSON object. Raises Damaged; a document of a million brackets is one too."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        raise Damaged(f"has {what} that is not JSON") from None
    if not isinstance(document, dict):
        raise Damaged(f"has {what} that is no JSON object")
    return document


def note(raw: bytes | str) -> str:
    """A file's own text as one short line that is safe to show."""
    text = raw[: 4 * MAX_NOTE].decode("utf-8", "replace") if isinstance(raw, bytes) else raw[: 4 * MAX_NOTE]
    return "".join(letter if letter.isprintable() else " " for letter in text)[:MAX_NOTE].strip()


def clip(number: int) -> str:
    """A number of a file, in words that no file can make long."""
    return str(number) if abs(number) < 10**24 else "over 10^24"


def name_of(raw: bytes | str) -> str:
    """The name of a tensor or file in a message: quoted, at most 80 characters."""
    return repr(note(raw)[:80])
