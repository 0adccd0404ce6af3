"""Reading the spool: inotify tells at once, a sweep every few seconds finds what inotify missed.

A file that ends without an end and is locked by nobody: its process died mid-load. The reader says so; who ended the
process is the witness's to say. Only the holder of `reader.lock` reads for the record and deletes, and never a
locked file.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import time
from typing import Protocol

from model_load_exporter.attempt import LoadAttempt
from model_load_exporter.holding import Holding
from model_load_exporter.journal.format import ID, JournalError
from model_load_exporter.journal.inotify import IN_CLOSE_WRITE, Inotify
from model_load_exporter.journal.line import READER_LOCK, SETTINGS, SUFFIX, VERSION
from model_load_exporter.journal.spool import MAX_BYTES, MAX_FILES, SpoolError, filesystem_type, unsafe
from model_load_exporter.journal.tail import Tail

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 5.0
_STALE_SECONDS = 600.0
# The kernel tells of a close a moment before it frees the lock: look again this much later, then leave it to the sweep.
_RECHECKS = (0.001, 0.003, 0.01, 0.03, 0.1)


class SpoolListener(Protocol):
    """What the reader tells. Each call is made once for each thing that happened in the life of this reader."""

    def begun(self, attempt: LoadAttempt, tail: Tail) -> None:
        """An attempt was seen for the first time: open, or already ended when it was found."""

    def progressed(self, attempt: LoadAttempt) -> None:
        """A stage began or ended."""

    def ended(self, attempt: LoadAttempt) -> None:
        """The process told the end of its load."""

    def abandoned(self, attempt: LoadAttempt) -> None:
        """Nobody holds the file any more, and it has no end."""

    def held(self, holding: Holding, tail: Tail) -> None:
        """A process was first seen to hold models."""

    def holding_changed(self, holding: Holding) -> None:
        """A process took or let go a model."""

    def holding_over(self, holding: Holding) -> None:
        """A holder file was closed; `holding.exited` tells whether in good order."""

    def problem(self, cause: str, message: str) -> None:
        """A line or a file could not be taken."""


def create_spool(folder: str) -> None:
    """Makes the spool where there is none: the folder, open to all writers (1777), and its spool.json.

    Raises SpoolError with what to do.
    """
    kind = filesystem_type(folder)
    if kind is not None and unsafe(kind):
        raise SpoolError(
            f"the spool {folder} would be on {kind}, where locks cannot be trusted: name a local disk: --spool.dir"
        )
    try:
        os.makedirs(folder, exist_ok=True)
        if os.stat(folder).st_uid == os.geteuid():
            # Sticky: writers of all users may add files, and remove only their own.
            os.chmod(folder, 0o1777)  # noqa: S103 - the contract's mode
        settings = f"{folder}/{SETTINGS}"
        if not os.path.exists(settings):
            with open(f"{settings}.tmp", "w", encoding="ascii") as file:
                json.dump({"format": VERSION, "max_files": MAX_FILES, "max_bytes": MAX_BYTES}, file)
            os.rename(f"{settings}.tmp", settings)
    except OSError as error:
        raise SpoolError(
            f"cannot make the spool {folder} ({kind or 'unknown file system'}): {error.strerror}; "
            "name a folder that this user may write: --spool.dir"
        ) from None


def lock_spool(folder: str, patience: float = 1.0) -> int:
    """Takes `reader.lock` and returns its descriptor. Raises SpoolError when another daemon has it.

    Patience: a writer tests the lock for a few microseconds before each load.
    """
    try:
        fd = os.open(f"{folder}/{READER_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise SpoolError(f"cannot open {folder}/{READER_LOCK}: {error.strerror}") from None
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(fd)
                raise SpoolError(
                    f"another exporter reads the spool {folder}: end it, or name another spool: --spool.dir"
                ) from None
            time.sleep(0.01)


class SpoolReader:
    """Follows every file of one spool and tells a listener. Not thread-safe: one thread owns it."""

    def __init__(self, folder: str, listener: SpoolListener) -> None:
        self.folder = folder
        self.events_total = 0
        self.spool_bytes = 0
        self._listener = listener
        self._tails: dict[str, Tail] = {}
        self._ignored: dict[str, int] = {}
        self._deletable: set[str] = set()
        self._rechecks: dict[str, tuple[float, int]] = {}
        self._inotify: Inotify | None = None
        with contextlib.suppress(OSError):
            self._inotify = Inotify(folder)

    @property
    def watching(self) -> bool:
        """False where inotify is not to be had: the sweep alone finds everything, seconds later."""
        return self._inotify is not None

    def fileno(self) -> int:
        """Descriptor to poll, or -1 without inotify."""
        return self._inotify.fileno() if self._inotify else -1

    def next_recheck(self) -> float | None:
        """Monotonic time at which `process` wants to be called even if nothing happened."""
        return min((when for when, _ in self._rechecks.values()), default=None)

    def process(self) -> None:
        """Takes what inotify told, and looks again at the locks that were about to be freed."""
        now = time.monotonic()
        for name, (when, _) in list(self._rechecks.items()):
            if when <= now:
                self._look(name, closed=True)
        if self._inotify is None:
            return
        names, overflowed = self._inotify.read()
        for name, mask in names.items():
            if name.endswith(SUFFIX):
                self._look(name, closed=bool(mask & IN_CLOSE_WRITE))
        if overflowed:
            self.sweep()

    def sweep(self) -> None:
        """Looks at every file: new ones, those whose writer is gone, leftovers. Survives a folder that is gone."""
        size = 0
        try:
            with os.scandir(self.folder) as found:
                entries = list(found)
            names = {entry.name for entry in entries}
            self._ignored = {name: inode for name, inode in self._ignored.items() if name in names}
            for entry in entries:
                with contextlib.suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_size
                    if entry.name.endswith(SUFFIX):
                        self._look(entry.name, closed=True, again=False)
                    elif entry.name.startswith(".") and entry.name.endswith(".tmp"):
                        self._tidy(entry)
            # Somebody deleted these. They can still be read to their end, but inotify tells nothing of them any more.
            for name in self._tails.keys() - names:
                self._look(name, closed=True, again=False)
        except OSError as error:
            self._listener.problem("unreadable", f"{self.folder}: {error.strerror}")
        self.spool_bytes = size

    def delete(self, file_id: str) -> None:
        """The file is on record: it goes now, or as soon as nobody holds it."""
        name = file_id + SUFFIX
        tail = self._tails.get(name)
        if tail is None:
            return
        self._deletable.add(name)
        if tail.released():
            self._remove(tail)

    def close(self) -> None:
        """Lets every file go; nothing is deleted."""
        for tail in self._tails.values():
            tail.close()
        self._tails.clear()
        if self._inotify is not None:
            self._inotify.close()

    def _look(self, name: str, *, closed: bool, again: bool = True) -> None:
        try:
            self._follow(name, closed=closed, again=again)
        except Exception as error:  # the listener's, whose disk may have failed: the other files are not to suffer
            logger.debug("reader", exc_info=True)
            if name in self._tails:
                # Read again from its start with the next sweep: the listener knows what it has on record.
                self._forget(self._tails[name])
            self._listener.problem("unreadable", f"{name}: {type(error).__name__}: {error}; it is read again")

    def _follow(self, name: str, *, closed: bool, again: bool) -> None:
        tail = self._tails.get(name) or self._open(name)
        if tail is None:
            self._rechecks.pop(name, None)
            return
        # The lock first, then the bytes: what a writer wrote before it let go is read in this very look.
        released = closed and tail.released()
        self._read(tail)
        if tail.fd < 0:
            return
        if not released:
            if again:
                self._later(name, closed=closed)
            return
        self._rechecks.pop(name, None)
        if not tail.finished:
            self._finish(tail)
        if name in self._deletable:
            self._remove(tail)

    def _later(self, name: str, *, closed: bool) -> None:
        """After a close that left the lock taken: a few looks more, at growing intervals."""
        tries = self._rechecks.get(name, (0.0, 0))[1]
        if closed and tries < len(_RECHECKS):
            self._rechecks[name] = (time.monotonic() + _RECHECKS[tries], tries + 1)
        else:
            self._rechecks.pop(name, None)

    def _open(self, name: str) -> Tail | None:
        try:
            if not ID.match(name.removesuffix(SUFFIX)):
                raise JournalError("foreign_file", f"{name} is not named like a journal file")
            tail = Tail(self.folder, name)
        except FileNotFoundError:
            return None
        except JournalError as error:
            self._ignore(name, error.cause, str(error))
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                self._ignore(name, "foreign_file", f"{name} is a link")
            elif error.errno in (errno.EMFILE, errno.ENFILE):
                self._listener.problem("unreadable", f"{name}: {error.strerror}; it is read when others are closed")
            else:
                self._ignore(name, "unreadable", f"{name}: {error.strerror}")
            return None
        if self._ignored.get(name) == tail.inode:
            tail.close()
            return None
        self._tails[name] = tail
        return tail

    def _ignore(self, name: str, cause: str, message: str) -> None:
        """A file that is none of ours is counted once and left alone."""
        try:
            inode = os.lstat(f"{self.folder}/{name}").st_ino
        except OSError:
            return
        if self._ignored.get(name) != inode:
            self._ignored[name] = inode
            self._listener.problem(cause, message)

    def _read(self, tail: Tail) -> None:
        first = tail.attempt is None and tail.holding is None
        try:
            events, problems = tail.read()
        except OSError as error:
            self._listener.problem("unreadable", f"{tail.name}: {error.strerror}")
            return
        self.events_total += events
        for problem in problems:
            self._listener.problem(problem.cause, str(problem))
        if tail.foreign:
            self._ignored[tail.name] = tail.inode
            self._forget(tail)
            return
        if events == 0 or tail.finished:
            return
        if tail.attempt is not None:
            if first:
                self._listener.begun(tail.attempt, tail)
            if tail.attempt.open:
                self._listener.progressed(tail.attempt)
            else:
                tail.finished = True
                self._listener.ended(tail.attempt)
        elif tail.holding is not None:
            if first:
                self._listener.held(tail.holding, tail)
            self._listener.holding_changed(tail.holding)

    def _finish(self, tail: Tail) -> None:
        """The writer is gone."""
        if tail.attempt is None and tail.holding is None and tail.age() < _STALE_SECONDS:
            # Nothing in it yet: a writer that makes its file in the open may be about to lock it. Not kept open till
            # then: anybody may leave such files here, and each would cost a descriptor.
            self._forget(tail)
            return
        tail.finished = True
        if tail.torn():
            self._listener.problem("torn", f"{tail.name} ends in the middle of a line")
        elif tail.attempt is None and tail.holding is None:
            self._listener.problem("torn", f"{tail.name} has no complete line")
        if tail.attempt is not None:
            self._listener.abandoned(tail.attempt)
        elif tail.holding is not None:
            self._listener.holding_over(tail.holding)
        elif tail.name in self._tails:
            # Empty, or one torn line: nothing was ever told.
            self._remove(tail)

    def _remove(self, tail: Tail) -> None:
        with contextlib.suppress(OSError):
            path = f"{self.folder}/{tail.name}"
            if os.lstat(path).st_ino == tail.inode:
                os.unlink(path)
        self._forget(tail)

    def _forget(self, tail: Tail) -> None:
        tail.close()
        self._tails.pop(tail.name, None)
        self._deletable.discard(tail.name)
        self._rechecks.pop(tail.name, None)

    def _tidy(self, entry: "os.DirEntry[str]") -> None:
        """A file that was never finished being made: its writer died before its first line was there."""
        if time.time() - entry.stat(follow_symlinks=False).st_mtime > _STALE_SECONDS:
            os.unlink(entry.path)
