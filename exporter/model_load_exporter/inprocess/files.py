"""The journal files of a spool as they are now: read from their start with each look, nothing kept in between."""

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from model_load_exporter.attempt import LoadAttempt
from model_load_exporter.holding import Holding
from model_load_exporter.journal.format import ID, JournalError
from model_load_exporter.journal.line import SUFFIX
from model_load_exporter.journal.tail import Tail

_STALE_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class File:
    """One journal file. released: no process has it locked; its Tail is closed then, else open until the look ends."""

    tail: Tail
    released: bool

    @property
    def id(self) -> str:
        """The attempt's or the holder's id."""
        return self.tail.file_id

    @property
    def subject(self) -> LoadAttempt | Holding:
        """What it tells of."""
        found = self.tail.attempt or self.tail.holding
        assert found is not None  # noqa: S101 - `files` hands out no other
        return found

    @property
    def time(self) -> float:
        """Unix time of its first event."""
        subject = self.subject
        return subject.begin.time if isinstance(subject, LoadAttempt) else subject.first.time


@contextmanager
def files(folder: str) -> Iterator[list[File]]:
    """Every journal file of loads and holders, by the time of its first event. Raises OSError without the folder."""
    found: list[File] = []
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(SUFFIX)]
        for name in names:
            file = _read(folder, name)
            if file is not None:
                found.append(file)
        yield sorted(found, key=lambda file: (file.time, file.id))
    finally:
        for file in found:
            file.tail.close()


def delete(folder: str, file: File) -> None:
    """Deletes a file that is on record and that nobody holds; another's in a folder that is not ours stays."""
    with contextlib.suppress(OSError):
        path = f"{folder}/{file.tail.name}"
        if file.released and os.lstat(path).st_ino == file.tail.inode:
            os.unlink(path)


def tidy(folder: str) -> None:
    """Deletes what never became a journal: its writer died before the first line was whole."""
    now = time.time()
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                half_made = entry.name.startswith(".") and entry.name.endswith(".tmp")
                blank = entry.name.endswith(SUFFIX) and entry.stat(follow_symlinks=False).st_size == 0
                if (half_made or blank) and now - entry.stat(follow_symlinks=False).st_mtime > _STALE_SECONDS:
                    os.unlink(entry.path)


def _read(folder: str, name: str) -> File | None:
    if not ID.match(name.removesuffix(SUFFIX)):
        return None
    try:
        tail = Tail(folder, name)
    except (OSError, JournalError):
        return None
    try:
        # The lock first, then the bytes: what a writer wrote before it let go is read.
        released = tail.released()
        tail.read()
    except OSError:
        tail.close()
        return None
    if released or (tail.attempt is None and tail.holding is None):
        # Dead workers may have left thousands: no descriptor is kept of those.
        tail.close()
    if tail.foreign or (tail.attempt is None and tail.holding is None):
        return None
    return File(tail, released)
