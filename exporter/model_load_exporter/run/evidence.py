"""What the parent alone may know: how a child ended, told to the loads and holders that the child left open.

The daemon has better evidence where it may look (pidfd, kernel log). Unprivileged, or in another pid namespace, it has
none: then this line is what it knows. `exit_status` is appended to each journal file of the dead process that has no
end; only its own user could have written there, and the file is nobody's any more.
"""

import contextlib
import fcntl
import os
from typing import Any

_MOST = 2000
_HEAD, _TAIL = 4096, 8192
_SLACK = 5.0


def tell_exit_status(pid: int, status: int, since: float) -> int:
    """Tells how `pid` ended; status: as wait(2) has it. Returns to how many files. Never raises.

    since: when the service was started, unix seconds; files untouched since are not its.
    """
    told = 0
    with contextlib.suppress(Exception):
        from model_load_exporter.journal.line import SUFFIX
        from model_load_exporter.journal.spool import find_spool

        looked = 0
        for entry in os.scandir(find_spool().folder):
            if looked >= _MOST:
                break
            with contextlib.suppress(OSError, ValueError):
                if not entry.name.endswith(SUFFIX) or entry.stat(follow_symlinks=False).st_mtime < since - _SLACK:
                    continue
                looked += 1
                told += _tell(entry.path, pid, status)
    return told


def exit_status_event(pid: int, status: int) -> dict[str, Any]:
    """The event itself."""
    from model_load_exporter.journal.writer import stamp

    return {**stamp("exit_status"), "pid": pid, "status": status}


def _tell(path: str, pid: int, status: int) -> bool:
    from model_load_exporter.journal.line import encode

    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        if not _left_by(fd, pid):
            return False
        # Held by somebody: a child that inherited it works on, or the supervisor itself has the file.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        tail = os.pread(fd, _TAIL, max(0, size - _TAIL))
        if b'"event":"end"' in tail or b'"event":"exit"' in tail or b'"event":"exit_status"' in tail:
            return False
        line = encode(exit_status_event(pid, status))
        # A process that died in the middle of a line spoils that one only.
        os.write(fd, line if tail.endswith(b"\n") else b"\n" + line)
        return True
    finally:
        os.close(fd)


def _left_by(fd: int, pid: int) -> bool:
    """True for a file that this process wrote, which was one of this very pid namespace."""
    import json

    from model_load_exporter.journal.process import pid_namespace

    first = json.loads(os.pread(fd, _HEAD, 0).partition(b"\n")[0])
    return bool(first.get("pid") == pid) and first.get("pid_namespace") == pid_namespace()
