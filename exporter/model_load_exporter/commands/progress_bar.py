"""A progress bar with bytes, speed and time left; only where a person watches."""

import shutil
import time
from types import TracebackType
from typing import Self, TextIO

from model_load_exporter.artifacts.bounded import note
from model_load_exporter.artifacts.report import Progress
from model_load_exporter.units import format_duration, format_size

_BAR = 24
_CLEAR = "\r\x1b[K"
_QUIET = 0.3
"""Seconds before it shows: what is over by then needs no bar."""


class ProgressBar:
    """One line on a terminal, rewritten in place and gone at the end. shown: False where `stream` is no terminal."""

    def __init__(self, stream: TextIO) -> None:
        self.shown = stream.isatty()
        self._stream = stream
        self._began = time.monotonic()
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._drawn:
            self._stream.write(_CLEAR)
            self._stream.flush()

    def update(self, progress: Progress) -> None:
        """Draws how far it is."""
        seconds = time.monotonic() - self._began
        if seconds < _QUIET:
            return
        self._drawn = True
        width = shutil.get_terminal_size().columns
        self._stream.write(_CLEAR + line(progress, seconds)[: max(width - 1, 20)])
        self._stream.flush()


def line(progress: Progress, seconds: float) -> str:
    """The bar as text, `seconds` after it began."""
    done, total = progress.done, progress.total
    if not total:
        return f"{progress.files_done} of {progress.files} files  {note(progress.path.name)}"
    filled = min(_BAR * done // total, _BAR)
    speed = done / seconds if seconds else 0.0
    left = f"  {format_duration(round((total - done) / speed))} left" if speed else ""
    return (
        f"[{'#' * filled}{' ' * (_BAR - filled)}] {_rounded(done)} of {_rounded(total)}  {_rounded(int(speed))}/s{left}"
        f"  {note(progress.path.name)}"
    )


def _rounded(size: int) -> str:
    return format_size(float(f"{size:.3g}"))
