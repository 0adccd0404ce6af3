"""The threads of a process and the processes below it, as procfs shows them while it lives."""

import contextlib
import os

_MOST_THREADS = 256
_MOST_PROCESSES = 64
_PF_EXITING = 0x4
_SIGKILL_BIT = 1 << 8


def threads(pid: int, procfs: str) -> set[int]:
    """Ids of its threads now: the kernel log names the thread that faulted."""
    try:
        return {int(name) for name in os.listdir(f"{procfs}/{pid}/task")}
    except (OSError, ValueError):
        return set()


def descendants(pid: int, procfs: str) -> list[int]:
    """Its children, their children and so on, at most 64; none where the kernel does not list them."""
    found: list[int] = []
    waiting = [pid]
    while waiting and len(found) < _MOST_PROCESSES:
        for child in _children(waiting.pop(0), procfs):
            if child not in found:
                found.append(child)
                waiting.append(child)
    return found[:_MOST_PROCESSES]


def _children(pid: int, procfs: str) -> list[int]:
    """A child belongs to the thread that began it."""
    children: list[int] = []
    for thread in sorted(threads(pid, procfs))[:_MOST_THREADS]:
        path = f"{procfs}/{pid}/task/{thread}/children"
        with contextlib.suppress(OSError, ValueError), open(path, "rb") as file:
            children += map(int, file.read(4096).split()[:_MOST_PROCESSES])
    return children


def doomed(pid: int, procfs: str) -> bool:
    """True where it is ending already: a SIGKILL that waits for it, or it is on its way out."""
    try:
        with open(f"{procfs}/{pid}/stat", "rb") as file:
            fields = file.read(1024).rpartition(b")")[2].split()
        if fields[0] in (b"Z", b"X") or int(fields[6]) & _PF_EXITING:
            return True
        with open(f"{procfs}/{pid}/status", "rb") as file:
            pending = [int(line.split()[1], 16) for line in file if line.startswith((b"SigPnd:", b"ShdPnd:"))]
    except (OSError, ValueError, IndexError):
        return True
    return any(mask & _SIGKILL_BIT for mask in pending)


def last_pid(procfs: str) -> int | None:
    """The pid that was given last: where it is the same, no process or thread began in between."""
    try:
        with open(f"{procfs}/loadavg", "rb") as file:
            return int(file.read(128).split()[4])
    except (OSError, ValueError, IndexError):
        return None
