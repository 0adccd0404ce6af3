"""The lines after one that was found: kept as bytes, and read when somebody asks, which is seldom."""

import re
from collections.abc import Iterator, Sequence
from typing import overload

from model_load_exporter.analysis import wrapping
from model_load_exporter.analysis.blocks import COLOUR

FOLLOWING = 12
"""Lines that are given with each: what a traceback or a kernel report goes on to say."""
FOLLOWING_TEXT = 2000
"""Characters of each."""
KEPT = 8 << 10
"""Bytes kept of them, wrappers included."""

_EXPORTED, _EXPORTED_KEPT = 400, 32 << 10
"""What holds 12 messages of `journalctl -o export`: an entry has up to 30 fields."""
_COLOUR = re.compile(COLOUR)
_BREAK = re.compile(r"\r?\n|[\r\0]+")


class Following(Sequence[str]):
    """At most FOLLOWING lines.

    inner: those of the same message. exported: whether the source is a journal's export. cut: whether the line that
    they follow goes on in the next block.
    """

    __slots__ = ("_cut", "_exported", "_inner", "_kept", "_missing", "_more", "_most", "_read")

    def __init__(self, inner: Sequence[str], *, exported: bool, cut: bool) -> None:
        self._inner = inner
        self._exported = exported
        self._missing, self._most = (_EXPORTED, _EXPORTED_KEPT) if exported else (FOLLOWING, KEPT)
        self._kept = b""
        self._cut = cut
        self._more: Iterator[str] | None = None
        self._read: list[str] = []

    @property
    def enough(self) -> bool:
        """Whether more bytes would not be used."""
        return self._missing <= 0 or len(self._kept) >= self._most

    def grow(self, data: bytes | bytearray, at: int, end: int) -> None:
        """Takes what it needs of data[at:end], which comes after what it has."""
        if self._cut:
            newline = data.find(b"\n", at, end)
            if newline < 0:
                return
            at, self._cut = newline + 1, False
        if not self.enough:
            more = bytes(data[at : min(end, at + self._most - len(self._kept))])
            self._kept += more
            if len(self._kept) < self._most:  # else there is no need to count
                self._missing -= more.count(b"\n")

    def _texts(self) -> Iterator[str]:
        """Each line as a terminal would leave it; a wrapped message of several lines is several."""
        yield from self._inner
        at = 0
        while at < len(self._kept):
            newline = self._kept.find(b"\n", at)
            stop = newline if newline >= 0 else len(self._kept)
            raw, at = self._kept[at:stop], stop + 1
            if newline < 0 and len(self._kept) >= self._most:
                raw += "…".encode()
            if not (self._exported and wrapping.is_field(raw)):
                yield from shown(raw)

    def _upto(self, count: int) -> list[str]:
        if self._more is None:
            self._more = self._texts()
        while len(self._read) < min(count, FOLLOWING) and (text := next(self._more, None)) is not None:
            self._read.append(text if len(text) <= FOLLOWING_TEXT else text[:FOLLOWING_TEXT] + "…")
        return self._read

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...
    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, int):
            return self._upto(index + 1 if index >= 0 else FOLLOWING)[index]
        ends = (index.start or 0, FOLLOWING if index.stop is None else index.stop)
        return tuple(self._upto(ends[1] if min(ends) >= 0 else FOLLOWING)[index])

    def __len__(self) -> int:
        return len(self._upto(FOLLOWING))

    def __repr__(self) -> str:
        return repr(tuple(self))


def split(text: str) -> list[str]:
    """The lines of a message, without colours."""
    return _BREAK.split(_COLOUR.sub("", text).rstrip("\r\n\0"))


def shown(raw: bytes) -> list[str]:
    """A line as a terminal would leave it; of a wrapped message each of its lines."""
    unwrapped = wrapping.unwrap(raw)
    if unwrapped is not None:
        return split(unwrapped.text)[:FOLLOWING]
    left = raw.rstrip(b"\r\0")
    left = left[max(left.rfind(b"\r"), left.rfind(b"\0")) + 1 :]
    return [wrapping.message_field(left).decode(errors="replace")]
