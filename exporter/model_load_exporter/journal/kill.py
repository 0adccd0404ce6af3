"""The kill note: whoever ends a process writes down first that it does, and why. Standard library only.

One small file, `k-NAMESPACE-PID.kill`, which the witness looks for when that process is dead. A note of another
user than root or the process's own is not believed: only those could have sent the signal.
"""

import contextlib
import os
import stat
import time

from model_load_exporter.attempt import Kill
from model_load_exporter.journal.format import JournalError, decode
from model_load_exporter.journal.line import MAX_LINE, VERSION, encode
from model_load_exporter.journal.process import boot_id, pid_namespace
from model_load_exporter.journal.spool import find_spool

NOTE_SUFFIX = ".kill"
BELIEVED_SECONDS = 60.0
"""How long before a death its note may have been written: a supervisor warns, waits, and kills."""
_MOST_ENTRIES = 20_000


def tell_kill(pid: int, cause: str) -> bool:
    """Says that this process is about to end `pid` (of this pid namespace); call it before the signal is sent.

    cause: `timeout` when it did not answer in time; else a word for a person. False where it could not be told. Never
    raises: a supervisor must be able to kill whatever becomes of the note.
    """
    with contextlib.suppress(Exception):
        spool = find_spool()
        if len(os.listdir(spool.folder)) > max(_MOST_ENTRIES, 2 * spool.max_files):
            return False
        event = {
            "event": "kill", "v": VERSION, "time": round(time.time(), 6), "pid": pid, "cause": cause[:200],
            "boot_id": boot_id(), "pid_namespace": pid_namespace(), "by": os.getpid(),
        }  # fmt: skip
        hidden = f"{spool.folder}/.k-{os.urandom(8).hex()}.tmp"
        fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.fchmod(fd, 0o644)
            line = encode(event)
            if os.write(fd, line) != len(line):
                raise OSError("short write: the disk is full")
            # An earlier process of that pid may have left one; in a sticky folder only one's own can be replaced.
            os.rename(hidden, f"{spool.folder}/{_name(pid, pid_namespace())}")
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(hidden)
            raise
        finally:
            os.close(fd)
        return True
    return False


def read_kill(folder: str, pid: int, namespace: int | None, owner: int) -> Kill | None:
    """The note on that process; None where there is none, or none to believe. owner: uid of the process."""
    path = f"{folder}/{_name(pid, namespace)}"
    with contextlib.suppress(OSError, JournalError):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, owner):
                return None
            note = decode(os.read(fd, MAX_LINE))
        finally:
            os.close(fd)
        if isinstance(note, Kill) and note.pid == pid and note.pid_namespace == namespace:
            return note if note.boot_id == boot_id() else None
    return None


def _name(pid: int, namespace: int | None) -> str:
    return f"k-{namespace or 0}-{pid}{NOTE_SUFFIX}"
