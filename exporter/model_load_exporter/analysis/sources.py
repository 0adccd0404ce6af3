"""A source to bytes: files, pipes and standard input, compressed or not, in UTF-8, UTF-16 or UTF-32.

What is read is never kept: a log of any size, or a small file that unpacks to one, costs time and no memory.
"""

import bz2
import codecs
import gzip
import importlib
import io
import lzma
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

STDIN = "-"

Fill = Callable[[memoryview], int]
"""Reads into a buffer; the number of bytes, 0 at the end. Raises SourceError."""

_HEAD = 8
_CHUNK = 256 << 10
_XZ_MEMORY = 256 << 20
"""xz -9 needs 65 MiB to unpack; a file may ask for 4 GiB."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_NO_LOG = (
    (b"PK\x03\x04", "is a zip archive: unzip -p {0} | model-load-exporter analyze -"),
    (b"LPKSHHRH", "is the journal's own format: journalctl --file {0} -o short-iso | model-load-exporter analyze -"),
    (b"\x04\x22\x4d\x18", "is lz4: lz4 -dc {0} | model-load-exporter analyze -"),
)
_ZSTD = b"\x28\xb5\x2f\xfd"


class SourceError(Exception):
    """A source that cannot be read, or not to its end: one line that names it and says what to do."""


class Source:
    """An open source. name: as given. fill: its text in UTF-8. position: bytes read of the file as it lies on disk."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        # A file that grows is read to where it ended when it was opened. Files of /proc say 0.
        self._left = status.st_size if stat.S_ISREG(status.st_mode) and status.st_size else None
        self.position = 0
        self.fill = self._decoded(self._unpacked())

    def _read(self, view: memoryview) -> int:
        if self._left is not None:
            view = view[: self._left]
        try:
            count = os.readv(self._descriptor, [view]) if view else 0
        except OSError as error:
            raise SourceError(f"{self.name}: reading failed after {self.position} bytes: {error.strerror}") from None
        if self._left is not None:
            self._left -= count
        self.position += count
        return count

    def _unpacked(self) -> Fill:
        head, fill = _peeked(self._read)
        for magic, advice in _NO_LOG:
            if head.startswith(magic):
                raise SourceError(f"{self.name} {advice.format(self.name)}")
        make = _unpacker(head)
        if make is None:
            return fill
        try:
            packed = make(io.BufferedReader(_File(fill), _CHUNK))
        except ImportError:
            raise SourceError(
                f"{self.name} is zstd, which this Python cannot read (3.14 can): "
                f"zstd -dc {self.name} | model-load-exporter analyze -"
            ) from None
        return lambda view: self._unpack(packed, view)

    def _unpack(self, packed: IO[bytes], view: memoryview) -> int:
        try:
            data = packed.read1(len(view))  # type: ignore[attr-defined]  # IO lacks what each of these files has
        except EOFError:
            raise SourceError(f"{self.name}: the compressed data ends early; what stands before was read") from None
        except (MemoryError, SourceError):
            raise
        except Exception as error:  # each unpacker has errors of its own, with no class in common
            raise SourceError(
                f"{self.name}: the compressed data is damaged near byte {self.position} ({error}); "
                f"what stands before was read"
            ) from None
        view[: len(data)] = data
        return len(data)

    def _decoded(self, fill: Fill) -> Fill:
        head, again = _peeked(fill)
        for bom, encoding in _BOMS:
            if head.startswith(bom):
                return _transcoded(again, encoding) if encoding != "utf-8" else _without(again, len(bom))
        return again


@contextmanager
def opened(name: str) -> Iterator[Source]:
    """The source of that name, "-" for standard input. Raises SourceError."""
    descriptor = _open(name)
    try:
        yield Source(name, descriptor)
    finally:
        if name != STDIN:
            os.close(descriptor)


def size(name: str) -> int | None:
    """The bytes of a regular file; 0 for what cannot be opened; None for what tells no size."""
    try:
        status = os.fstat(0) if name == STDIN else os.stat(name)
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _open(name: str) -> int:
    try:
        if name == STDIN:
            os.fstat(0)
            return 0
        _refuse(name, os.stat(name).st_mode)
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise SourceError(f"{name}: there is no such file") from None
    except PermissionError:
        raise SourceError(
            f"{name}: user {os.geteuid()} may not read it: run as root or as its owner, or copy it"
        ) from None
    except OSError as error:
        raise SourceError(f"{'standard input' if name == STDIN else name}: {error.strerror}") from None


def _refuse(name: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise SourceError(f"{name} is a folder: name the logs in it, as in {name.rstrip('/')}/*.log")
    if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode) or (stat.S_ISCHR(mode) and name != os.devnull):
        kind = "a socket" if stat.S_ISSOCK(mode) else "a device"
        advice = ": dmesg | model-load-exporter analyze -" if name.endswith("kmsg") else ", not a log"
        # Opening some devices does something by itself, and others never end.
        if not (stat.S_ISCHR(mode) and os.path.realpath(name).startswith("/dev/pts/")):
            raise SourceError(f"{name} is {kind}{advice}")


class _File(io.RawIOBase):
    """A Fill as the file that the standard library's unpackers read from."""

    def __init__(self, fill: Fill) -> None:
        self._fill = fill

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # Any: typeshed's WriteableBuffer has no name at run time
        return self._fill(memoryview(buffer).cast("B"))


def _unpacker(head: bytes) -> Callable[[IO[bytes]], Any] | None:
    if head.startswith(b"\x1f\x8b"):
        return _gunzip
    if head.startswith(b"BZh"):
        return bz2.BZ2File
    if head.startswith(b"\xfd7zXZ\0"):
        # LZMAFile takes no limit of memory.
        return lambda file: io.BufferedReader(_Xz(file), _CHUNK)
    if head.startswith(_ZSTD):
        return lambda file: importlib.import_module("compression.zstd").ZstdFile(file)
    return None


def _gunzip(file: IO[bytes]) -> Any:
    try:
        return importlib.import_module("isal.igzip").IGzipFile(fileobj=file)  # three times as fast, where it is there
    except ImportError:
        return gzip.GzipFile(fileobj=file)


class _Xz(io.RawIOBase):
    """LZMAFile with a limit of memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._stream: lzma.LZMADecompressor | None = None
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # Any: as above
        view = memoryview(buffer)
        while True:
            if self._stream is None or self._stream.eof:
                rest = self._stream.unused_data if self._stream is not None else b""
                rest = rest.lstrip(b"\0") or self._file.read(_CHUNK).lstrip(b"\0")  # padding between streams
                if not rest:
                    return 0
                self._stream = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
            elif self._stream.needs_input:
                rest = self._file.read(_CHUNK)
                if not rest:
                    raise EOFError
            else:
                rest = b""
            data = self._stream.decompress(rest, len(view))
            if data:
                view[: len(data)] = data
                return len(data)


def _peeked(fill: Fill) -> tuple[bytes, Fill]:
    """The first bytes, and a Fill that gives them once more."""
    buffer = bytearray(_HEAD)
    got = 0
    while got < _HEAD and (count := fill(memoryview(buffer)[got:])):
        got += count
    return bytes(buffer[:got]), _with(bytes(buffer[:got]), fill)


def _with(head: bytes, fill: Fill) -> Fill:
    rest = head

    def again(view: memoryview) -> int:
        nonlocal rest
        if not rest:
            return fill(view)
        count = min(len(view), len(rest))
        view[:count] = rest[:count]
        rest = rest[count:]
        return count

    return again


def _without(fill: Fill, count: int) -> Fill:
    dropped = bytearray(count)
    while count and (got := fill(memoryview(dropped)[:count])):
        count -= got
    return fill


def _transcoded(fill: Fill, encoding: str) -> Fill:
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    chunk = bytearray(_CHUNK)
    rest = b""
    ended = False

    def text(view: memoryview) -> int:
        nonlocal rest, ended
        while not rest and not ended:
            count = fill(memoryview(chunk))
            ended = count == 0
            rest = decoder.decode(bytes(chunk[:count]), final=ended).encode(errors="replace")
        count = min(len(view), len(rest))
        view[:count] = rest[:count]
        rest = rest[count:]
        return count

    return text
