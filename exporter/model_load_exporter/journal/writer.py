"""Writing a journal file: what runs inside a service that loads a model.

It fails open: no error of the journal, of the disk below it or of this code reaches the load. It is fork-safe: a
forked child closes the files that it inherited, so that they do not look alive after the parent's death. It never
unlocks: LOCK_UN on a copied descriptor would free the lock for all; closing the last copy does it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import weakref

from model_load_exporter.journal.line import MAX_FILE, MAX_LINE, READER_LOCK, SUFFIX, VERSION, encode
from model_load_exporter.journal.spool import Spool, SpoolError

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    from typing import Any

    from model_load_exporter.journal.fault import FaultFile

FAULTHANDLER = "MODEL_LOAD_EXPORTER_FAULTHANDLER"
"""Set to 1: a fault of the interpreter during a load is written beside its journal (`fault`)."""

_LAST = ("end", "exit")

_open_files: weakref.WeakSet[JournalFile] = weakref.WeakSet()


class JournalFile:
    """One journal file, open for appending and locked until it is closed or the process ends."""

    __slots__ = ("__weakref__", "_fault", "_fd", "_torn", "id", "written")

    def __init__(self, fd: int, file_id: str, written: int) -> None:
        self._fd = fd
        self._torn = False
        self._fault: FaultFile | None = None
        self.id = file_id
        self.written = written
        _open_files.add(self)

    @classmethod
    def create(cls, spool: Spool, first: dict[str, Any], file_id: str) -> JournalFile:
        """Makes the file with its first event; it becomes visible only locked and with that line in it.

        Raises OSError, ValueError or SpoolError; nothing is left behind then.
        """
        if not _daemon_reads(spool) and spool.full():
            raise SpoolError(f"{spool.folder} is full and no daemon reads it")
        line = encode({**first, "v": VERSION, "id": file_id})
        hidden = f"{spool.folder}/.{file_id}.tmp"
        fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        # Known from its first moment on: another thread may fork while the disk takes its time here.
        file = cls(fd, file_id, len(line))
        try:
            # A service's umask may be 077; the daemon need not be root, nor of its group.
            os.fchmod(fd, 0o644)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.write(fd, line) != len(line):
                raise OSError("short write: the disk is full")
            if first.get("event") == "begin" and os.environ.get(FAULTHANDLER, "0") not in ("", "0"):
                from model_load_exporter.journal.fault import arm

                file._fault = arm(spool.folder, file_id)
            os.rename(hidden, f"{spool.folder}/{file_id}{SUFFIX}")
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(hidden)
            file.close()
            raise
        return file

    @property
    def open(self) -> bool:
        """False once closed: by hand, or in a forked child."""
        return self._fd >= 0

    def write(self, event: dict[str, Any]) -> bool:
        """Appends one event; False where it could not be written. Never raises."""
        if self._fd < 0:
            return False
        try:
            line = encode(event)
            if self.written + len(line) > MAX_FILE - 2 * MAX_LINE and event["event"] not in _LAST:
                # Readers stop at MAX_FILE: a load with thousands of stages leaves some out, never its end.
                return False
            if self._torn:
                # The last write was cut short by a full disk: end that line, so that this one stands alone.
                line = b"\n" + line
            done = os.write(self._fd, line)
            self.written += done
            self._torn = done != len(line)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return False
        return not self._torn

    def close(self) -> None:
        """Closes the file, which frees the lock. Never raises; may be called again."""
        fd, self._fd = self._fd, -1
        if self._fault is not None:
            self._fault.disarm()
            self._fault = None
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)


def stamp(event: str) -> dict[str, Any]:
    """A new event of that kind with both clocks read now."""
    return {"event": event, "time": round(time.time(), 6), "monotonic": round(time.monotonic(), 6)}


def _daemon_reads(spool: Spool) -> bool:
    """True while a daemon holds the spool's reader.lock."""
    try:
        fd = os.open(f"{spool.folder}/{READER_LOCK}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def _close_inherited() -> None:
    """In a forked child: the files belong to the parent."""
    for file in list(_open_files):
        file.close()


os.register_at_fork(after_in_child=_close_inherited)
