"""A progress bar on standard error: only on a terminal, and only for what takes longer than a moment."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from model_load_exporter.analysis.scan import Progress
from model_load_exporter.units import format_duration, format_size

_PATIENCE = 1.0
"""Seconds that pass without a bar."""
_EVERY = 0.1
_BAR = 30
_CLEAR = "\r\x1b[K"


@contextmanager
def bar(what: str) -> Iterator[Progress | None]:
    """A progress function that draws the bar; None where standard error is no terminal. The bar is gone at the end."""
    if not sys.stderr.isatty():
        yield None
        return
    drawing = _Bar(what)
    try:
        yield drawing
    finally:
        drawing.clear()


class _Bar:
    def __init__(self, what: str) -> None:
        self._what = what
        self._begun = self._drawn = time.monotonic()
        self._shown = False

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._begun < _PATIENCE or now - self._drawn < _EVERY:
            return
        self._drawn, self._shown = now, True
        sys.stderr.write(f"{_CLEAR}{self._what} {_text(done, total, now - self._begun)}")
        sys.stderr.flush()

    def clear(self) -> None:
        """Takes the bar off the line."""
        if self._shown:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()


def _text(done: int, total: int | None, seconds: float) -> str:
    rate = f"{format_size(_round(done / seconds))}/s"
    if not total or done > total:
        return f"{format_size(_round(done))}, {rate}"
    filled = _BAR * done // total
    left = format_duration(round(seconds * (total - done) / done)) if done else "?"
    shown = "#" * filled + "." * (_BAR - filled)
    return f"[{shown}] {100 * done // total}% of {format_size(_round(total))}, {rate}, {left} left"


def _round(size: float) -> int:
    """Three figures: the rest would only flicker."""
    whole = int(size)
    step: int = 10 ** max(len(str(whole)) - 3, 0)
    return whole // step * step
