"""A source to blocks of whole lines, through one buffer."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from model_load_exporter.analysis import wrapping
from model_load_exporter.analysis.sources import Source, SourceError

CHUNK = 256 << 10
"""Bytes read at once: they stay in the processor's cache until they are searched."""
LONGEST = 1 << 20
"""Bytes of a line that are looked at together: a longer line is cut."""
OVERLAP = 4 << 10
"""Bytes before a cut that are looked at again after it: a wording may stand across it."""

COLOUR = r"\x1b\[[0-?]*[ -/]*[@-~]"
"""Colours, and a terminal's other orders of the form CSI."""
_COLOUR = re.compile(COLOUR.encode() + rb"|\\u001[bB]\[[0-?]*[ -/]*[@-~]")
_CODES = 64
_HEAD = 256
"""Bytes of the first line that tell how a source is written."""


class Block(NamedTuple):
    """data[:end] is text without colour codes, valid until the next block is asked for.

    opens, closes: False where a line that was cut goes on from the block before, or into the next.
    """

    data: bytes | bytearray
    end: int
    opens: bool
    closes: bool


def blocks(source: Source) -> Iterator[Block]:
    """The whole source. Raises SourceError where it cannot be read to its end, after what could be."""
    return _Blocks(source).all()


class _Blocks:
    """The buffer, and where reading stands."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._buffer = bytearray(LONGEST + CHUNK)
        self._view = memoryview(self._buffer)
        self._filled = 0
        self._lineless = 0
        """Bytes at the start that hold no line's end."""
        self._opens = True
        self._cri: bool | None = None
        self._escapes: tuple[bytes, ...] = ()
        self._colours = _Colours()

    def all(self) -> Iterator[Block]:
        failure: SourceError | None = None
        count = 1
        while count:
            try:
                count = self._source.fill(self._view[self._filled : self._filled + CHUNK])
            except SourceError as error:
                failure, count = error, 0
            self._filled += count
            if self._cri is None and (not count or self._first_line() < self._filled or self._filled >= _HEAD):
                self._look()
            while self._first_line() > LONGEST:
                yield self._cut()
                self._drop()
            end = self._buffer.rfind(b"\n", self._lineless, self._filled) + 1 if count else self._filled
            if end:
                yield self._lines(end, final=not count)
                self._drop()
            else:
                self._lineless = self._filled
        if failure is not None:
            raise failure

    def _look(self) -> None:
        """What the first line is decides how the source is read, so that no answer depends on where blocks end."""
        line = bytes(self._buffer[: min(self._filled, _HEAD)]).partition(b"\n")[0]
        self._cri = wrapping.is_cri(line)
        self._escapes = (b"\x1b", b"\\u001b[", b"\\u001B[") if b"{" in line else (b"\x1b",)

    def _first_line(self) -> int:
        newline = self._buffer.find(b"\n", self._lineless, self._filled)
        return self._filled if newline < 0 else newline

    def _cut(self) -> Block:
        """The first part of a line that is too long, up to a progress bar's carriage return if there is one."""
        end = 1 + max(self._buffer.rfind(b"\r", 0, LONGEST), self._buffer.rfind(b"\0", 0, LONGEST))
        between = end > 0
        self._used = end if between else LONGEST - OVERLAP
        return self._block(self._buffer, end or LONGEST, closes=between)

    def _lines(self, end: int, final: bool) -> Block:
        self._used = end
        parts = wrapping.joined(self._buffer, end) if self._cri else None
        if parts is None:
            return self._block(self._buffer, end, closes=True)
        if final or self._filled - parts.used > LONGEST:
            parts = wrapping.joined(self._buffer, end, wait=False) or parts
        self._used = parts.used
        return self._block(parts.data, len(parts.data), closes=True)

    def _block(self, data: bytes | bytearray, end: int, closes: bool) -> Block:
        if any(data.find(escape, 0, end) >= 0 for escape in self._escapes):
            data = self._colours.removed(bytes(data[:end]))
            end = len(data)
        block = Block(data, end, self._opens, closes)
        self._opens = closes
        return block

    def _drop(self) -> None:
        rest = bytes(self._view[self._used : self._filled])
        self._view[: len(rest)] = rest
        self._filled = len(rest)
        self._lineless = 0


class _Colours:
    """Takes out terminal codes. A log uses few, and replacing known ones is far faster than finding them."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def removed(self, data: bytes) -> bytes:
        while True:
            for code in self._known:
                data = data.replace(code, b"")
            found = set(_COLOUR.findall(data)) if b"\x1b[" in data or b"\\u001" in data else set()
            if not found:
                return data
            if len(self._known) + len(found) > _CODES:
                self._known.clear()
                data = _COLOUR.sub(b"", data)
            else:
                self._known |= found
