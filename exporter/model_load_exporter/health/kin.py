"""Which processes are of one service, as procfs tells: the process itself, all below it, the workers of one server."""

from __future__ import annotations

import os
import time

_GENERATIONS = 64
_STATE, _PARENT, _START, _STACK = 0, 1, 19, 25
"""Places in /proc/PID/stat after the command's name: state, parent, start in ticks since boot, begin of the stack."""
_SPAWNED = b"--multiprocessing-fork"
"""What multiprocessing has on the command line of a child that it starts by exec."""


def born(pid: int) -> int | None:
    """When that process began, in clock ticks since boot; None for one that is gone, or dead and not reaped yet."""
    fields = _stat(pid)
    return None if fields is None or fields[_STATE] in (b"Z", b"X") else int(fields[_START])


def began(ticks: int) -> float:
    """What `born` says, in unix seconds of the clock as it goes now."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def descends(pid: int, ancestor: int) -> bool:
    """True where `pid` is that process or one below it."""
    for _ in range(_GENERATIONS):
        if pid == ancestor:
            return True
        fields = _stat(pid)
        if fields is None:
            return False
        pid = int(fields[_PARENT])
        if pid <= 1:
            return pid == ancestor
    return False


def server() -> int:
    """The process that all workers of this server are children of: the parent of a worker; else this process.

    A worker is a fork of its parent, or was started by multiprocessing. Any other parent (a shell, an init, a test) may
    be that of services that have nothing to do with each other.
    """
    own, parent = os.getpid(), os.getppid()
    if _forked(own, parent) or (_SPAWNED in _command(own).split(b"\0") and not _orphan(parent)):
        return parent
    return own


def _orphan(parent: int) -> bool:
    """True where the server is gone, and an init has its workers; in a container the server may be process 1 itself."""
    if parent > 1:
        return False
    try:
        return os.readlink(f"/proc/{parent}/exe") != os.readlink("/proc/self/exe")
    except OSError:
        return True


def _forked(pid: int, parent: int) -> bool:
    """Without exec since: the same command line or, where a server writes titles into it, the same stack."""
    command = _command(pid)
    if command and command == _command(parent):
        return True
    fields, theirs = _stat(pid), _stat(parent)
    if fields is None or theirs is None:
        return False
    # 0 or 1: the kernel does not tell.
    return fields[_STACK] == theirs[_STACK] and int(fields[_STACK]) > 1


def _command(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _stat(pid: int) -> list[bytes] | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return fields if len(fields) > _STACK else None
