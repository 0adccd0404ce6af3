"""faulthandler's dump in the spool: `ID.fault` beside the journal `ID.jsonl`. Opt-in; standard library only.

Where the interpreter faults (SIGSEGV, SIGBUS, SIGILL, SIGABRT, SIGFPE), faulthandler writes the Python stack of each
thread there before the process dies: the kind of the fault and its place in the code, also for a reader that is told
no exit status. It writes nothing before, costs nothing, and a file without a fault stays empty and goes with its load.
"""

import contextlib
import os
import stat
from typing import IO

FAULT_SUFFIX = ".fault"
READ_AT_MOST = 16 * 1024
"""Bytes read of a dump: the faulting thread comes first but for a few lines."""

_armed: "list[FaultFile]" = []


class FaultFile:
    """The dump of one load, open while the load is. faulthandler has one file a process: the outermost load's."""

    def __init__(self, path: str, file: IO[bytes]) -> None:
        self._path, self._file, self._pid = path, file, os.getpid()

    def disarm(self) -> None:
        """The load is over without a fault, or this is a forked child. Never raises."""
        with contextlib.suppress(Exception):
            if self in _armed:
                import faulthandler

                _armed.remove(self)
                faulthandler.disable()
                # A forked child lets go of what is its parent's.
                if os.getpid() == self._pid:
                    os.unlink(self._path)
            self._file.close()


def arm(folder: str, file_id: str) -> FaultFile | None:
    """Has faults written beside that journal. Never raises.

    None where faulthandler is in use already: the service's own choice is left alone.
    """
    with contextlib.suppress(Exception):
        import faulthandler

        if _armed or faulthandler.is_enabled():
            return None
        path = f"{folder}/{file_id}{FAULT_SUFFIX}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        file = open(fd, "wb", buffering=0)  # noqa: SIM115 - open for as long as the load is
        os.fchmod(fd, 0o644)
        faulthandler.enable(file=file, all_threads=True)
        armed = FaultFile(path, file)
        _armed.append(armed)
        return armed
    return None


def read_fault(folder: str, file_id: str, owner: int) -> str:
    """The dump's text; '' where there is none, or one of another user than the journal's."""
    with contextlib.suppress(OSError):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(f"{folder}/{file_id}{FAULT_SUFFIX}", flags)
        try:
            status = os.fstat(fd)
            if stat.S_ISREG(status.st_mode) and status.st_uid == owner:
                return os.read(fd, READ_AT_MOST).decode("utf-8", "replace")
        finally:
            os.close(fd)
    return ""


def forget_fault(folder: str, file_id: str) -> None:
    """The load is on record."""
    with contextlib.suppress(OSError):
        os.unlink(f"{folder}/{file_id}{FAULT_SUFFIX}")
