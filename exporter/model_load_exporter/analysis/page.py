"""One block of a log as texts: which of them fit a row."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from model_load_exporter.analysis import wrapping
from model_load_exporter.analysis.blocks import Block
from model_load_exporter.analysis.following import FOLLOWING, Following, split
from model_load_exporter.analysis.matcher import Matcher

TEXT = 4096
"""Characters of a text that are judged together. A longer one is judged in pieces, with "…" at each cut."""
TEXTS = 64
"""Texts given of one line at most."""

ABOVE = 2
"""Lines given from above each: a logger's own line stands over the traceback that it prints."""
_ABOVE = 600
"""Bytes of each, from its start."""
_OVERLAP = 1024
"""Characters that two pieces share: a wording may stand across the cut."""
_BREAK = re.compile(rb"[\r\0]+")
_NEWLINE = 10


class Line(NamedTuple):
    """A line that fits, or one of several texts of it.

    source: as it was given. number: from 1, as `sed -n Np` counts. text: unwrapped, without colours, at most TEXT
    characters and "…" where it was cut. rows: indices of the rows that fit, ascending. following: the next FOLLOWING
    lines, bounded; decoded as far as they are asked for. time: what a wrapper (Docker, Kubernetes, the journal, a JSON
    logger) gives beside the text, or "". above: the ABOVE lines before it at most, the nearest first, as they stand
    in the source; `shown` reads them.
    """

    source: str
    number: int
    text: str
    rows: tuple[int, ...]
    following: Sequence[str] = ()
    time: str = ""
    above: tuple[bytes, ...] = ()


class _Fit(NamedTuple):
    """A text that fits. inner, above: the lines after and before it within the same message."""

    text: str
    rows: tuple[int, ...]
    time: str
    inner: Sequence[str]
    above: tuple[bytes, ...] = ()


class Page:
    """A block. number: its first line's. entry_time: of the journal's entry (`-o export`) it begins in; else None."""

    def __init__(
        self, source: str, block: Block, number: int, entry_time: str | None, above: tuple[bytes, ...] = ()
    ) -> None:
        """above: the last lines before the block, the nearest first."""
        self._above = above
        self._source = source
        self._block = block
        self._number = number
        self._counted = 0
        self._entry_time = entry_time

    def found(self, matcher: Matcher) -> Iterator[tuple[Line, Following]]:
        """The texts that fit at least one row, in order, each with its `following`, which may have to grow."""
        data, end, opens, closes = self._block
        done = 0
        hits = matcher.hits(data, end)
        index = 0
        while index < len(hits):
            first = index
            at = hits[first][0]
            start = data.rfind(b"\n", done, at) + 1 or done
            stop = data.find(b"\n", at, end)
            if stop < 0:
                stop = end
            done = stop + 1
            while index < len(hits) and hits[index][0] < stop:
                index += 1
            line = bytes(data[start:stop])
            candidates = matcher.candidates(line, [literal for _, literal in hits[first:index]])
            for text, rows, time, inner, above in self._fits(
                line, start, opens or start > 0, closes or stop < end, candidates, matcher
            ):
                following = Following(inner, exported=self._entry_time is not None, cut=stop == end)
                following.grow(data, done, end)
                above = (*above, *self._lines_above(start))[:ABOVE]
                yield Line(self._source, self._number_at(start), text, rows, following, time, above), following

    def grow(self, following: Following) -> None:
        """Gives the first lines to one that was found before the block."""
        following.grow(self._block.data, 0, self._block.end)

    def last_lines(self) -> tuple[bytes, ...]:
        """The `above` for the block after this one."""
        return self._lines_above(self._block.end)

    def _lines_above(self, at: int) -> tuple[bytes, ...]:
        data, found = self._block.data, list[bytes]()
        while at > 0 and len(found) < ABOVE:
            stop = at - 1 if data[at - 1] == _NEWLINE else at
            at = data.rfind(b"\n", 0, stop) + 1
            found.append(bytes(data[at : min(stop, at + _ABOVE)]))
        return (*found, *self._above)[:ABOVE]

    def next_number(self) -> int:
        """The number of the first line after the block, once its texts were found."""
        return self._number_at(self._block.end)

    def last_entry_time(self) -> str | None:
        """The `entry_time` for the block after this one."""
        if self._entry_time is None:
            return None
        return wrapping.exported_time(self._block.data, self._block.end) or self._entry_time

    def _number_at(self, at: int) -> int:
        self._number += self._block.data.count(b"\n", self._counted, at)
        self._counted = at
        return self._number

    def _fits(
        self, line: bytes, start: int, opens: bool, closes: bool, candidates: Sequence[int], matcher: Matcher
    ) -> Sequence[_Fit]:
        """What fits in the line that begins at `start`. opens, closes: False where it was cut."""
        if opens and closes and (unwrapped := wrapping.unwrap(line)) is not None:
            fits = list(islice(_inner(unwrapped, candidates, matcher), TEXTS))
            if fits:
                return fits  # else something beside the message may fit: a field of Kubernetes' events, say
        time = ""
        if self._entry_time is not None and opens:
            line = wrapping.message_field(line)
            time = wrapping.exported_time(self._block.data, start) or self._entry_time
        if b"\r" in line or b"\0" in line or len(line) > TEXT or not (opens and closes):
            return list(islice(_plain(line, time, opens, closes, matcher), TEXTS))
        text = line.decode(errors="replace")
        rows = matcher.fit(text, candidates)
        return (_Fit(text, rows, time, ()),) if rows else ()


def _plain(line: bytes, time: str, opens: bool, closes: bool, matcher: Matcher) -> Iterator[_Fit]:
    texts = _BREAK.split(line)
    last = len(texts) - 1
    for index, text in enumerate(texts):
        if candidates := matcher.candidates(text):
            for piece in _pieces(text.decode(errors="replace"), opens or index > 0, closes or index < last):
                if rows := matcher.fit(piece, candidates):
                    yield _Fit(piece, rows, time, ())


def _inner(unwrapped: wrapping.Unwrapped, candidates: Sequence[int], matcher: Matcher) -> Iterator[_Fit]:
    texts = split(unwrapped.text)
    for index, text in enumerate(texts):
        for piece in _pieces(text, opens=True, closes=True):
            if rows := matcher.fit(piece, candidates):
                above = tuple(one[:_ABOVE].encode() for one in reversed(texts[max(index - ABOVE, 0) : index]))
                yield _Fit(piece, rows, unwrapped.time, texts[index + 1 : index + 1 + FOLLOWING], above)


def _pieces(text: str, opens: bool, closes: bool) -> Iterator[str]:
    """The text, in pieces where it is too long. "…" keeps an expression from taking a cut for a line's end."""
    at = 0
    while True:
        stop = at + TEXT
        last = stop >= len(text)
        yield ("" if opens and at == 0 else "…") + text[at:stop] + ("" if closes and last else "…")
        if last:
            return
        at = stop - _OVERLAP
