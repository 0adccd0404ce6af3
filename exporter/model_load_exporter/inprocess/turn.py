"""Whose turn it is to keep the spool. Of all processes that look at it, one at a time counts and deletes.

Two locks. `ledger/turn.lock` is among the workers that have a ModelLoadCollector; each has it for the length of one
scrape. `reader.lock` is the spool's own: who cannot have it although it is his turn has met a daemon. Nothing is held
between scrapes, so a worker that dies is in nobody's way, and neither is a worker in the way of a daemon's start.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto

from model_load_exporter.journal.line import READER_LOCK

FOLDER = "ledger"
"""Below the spool: the ledger that the workers share, and their lock."""

_TURN_SECONDS = 0.25
"""A look takes a few milliseconds; who has its turn for longer is stopped, or waits for a disk."""
_READER_SECONDS = 0.02
"""A writer tests `reader.lock` for some microseconds before each load."""


class Turn(Enum):
    """KEEP: count and tidy. DAEMON: a daemon does. BUSY: another worker does, and takes its time."""

    KEEP = auto()
    DAEMON = auto()
    BUSY = auto()


class Turns:
    """Takes turns at one spool. `descriptors`: what a forked child must close, and may not unlock."""

    def __init__(self, spool: str) -> None:
        self._spool = spool
        self._met_daemon = False
        self.descriptors: set[int] = set()

    @contextmanager
    def take(self) -> Iterator[Turn]:
        """Whose turn it is, for the length of the `with`. Raises OSError where the ledger's folder cannot be used."""
        os.makedirs(f"{self._spool}/{FOLDER}", exist_ok=True)
        with self._locked(f"{self._spool}/{FOLDER}/turn.lock", _TURN_SECONDS) as mine:
            if not mine:
                yield Turn.BUSY
                return
            # A daemon stays: who met one last time does not wait for it again.
            patience = 0.0 if self._met_daemon else _READER_SECONDS
            with self._locked(f"{self._spool}/{READER_LOCK}", patience) as free:
                self._met_daemon = not free
                yield Turn.KEEP if free else Turn.DAEMON

    @contextmanager
    def _locked(self, path: str, patience: float) -> Iterator[bool]:
        fd = _open(path)
        self.descriptors.add(fd)
        try:
            yield _lock(fd, patience)
        finally:
            self.descriptors.discard(fd)
            os.close(fd)


def _open(path: str) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        # Without O_CREAT first: the kernel refuses it on another user's file in a folder that is open to all.
        return os.open(path, flags)
    except FileNotFoundError:
        return os.open(path, flags | os.O_CREAT, 0o644)


def _lock(fd: int, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.002)
