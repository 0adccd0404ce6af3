"""The exit status of another's child, by pidfd.

PIDFD_GET_INFO with PIDFD_INFO_EXIT gives the wait status of any process once its parent has reaped it, to anybody who
attached while it lived (kernels from about 6.15). Until the parent has reaped it, /proc/PID/stat of the zombie has the
same number for root.
"""

import contextlib
import fcntl
import os
import select
import signal
import struct

from model_load_exporter.witness.evidence import ExitStatus

_INFO_EXIT = 1 << 3
_SIZE = 72
_STATUS_OFFSET = 60
_GET_INFO = (3 << 30) | (_SIZE << 16) | (0xFF << 8) | 11


class Process:
    """One process of somebody else, held by a pidfd: the pid cannot come to mean another one."""

    __slots__ = ("_fd", "pid")

    def __init__(self, pid: int) -> None:
        """Raises OSError: no such process any more, no descriptors left."""
        self.pid = pid
        self._fd = os.pidfd_open(pid)

    def alive(self) -> bool:
        """False once the process has ended, reaped or not."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return not poll.poll(0)

    def exit_status(self) -> ExitStatus | None:
        """How it ended, by pidfd; None while it lives, and where that does not tell (yet: until it is reaped)."""
        status = _status_by_pidfd(self._fd)
        return ExitStatus.from_wait(status, "pidfd") if status is not None else None

    def zombie_status(self, procfs: str) -> ExitStatus | None:
        """How it ended, by procfs; None while it lives, without the right to see it, and once it is reaped."""
        status = _status_of_zombie(procfs, self.pid)
        with contextlib.suppress(OSError):
            # It is not reaped yet: what was read under its pid was its own.
            signal.pidfd_send_signal(self._fd, 0)
            return status
        return None

    def close(self) -> None:
        """Gives the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def age_of(pid: int, procfs: str) -> float | None:
    """Seconds since the process began; None where that cannot be read."""
    try:
        with open(f"{procfs}/{pid}/stat", "rb") as file:
            began = int(file.read(1024).rpartition(b")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        with open(f"{procfs}/uptime", "rb") as file:
            return float(file.readline().split()[0]) - began
    except (OSError, ValueError, IndexError):
        return None


def supported() -> bool:
    """True where this kernel tells the exit status of another's child, by asking it about this process."""
    try:
        fd = os.pidfd_open(os.getpid())
    except OSError:
        return False
    try:
        fcntl.ioctl(fd, _GET_INFO, _request())
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _request() -> bytearray:
    return bytearray(struct.pack("<Q", _INFO_EXIT).ljust(_SIZE, b"\0"))


def _status_by_pidfd(fd: int) -> int | None:
    info = _request()
    try:
        fcntl.ioctl(fd, _GET_INFO, info)
    except OSError:
        return None
    if not struct.unpack_from("<Q", info)[0] & _INFO_EXIT:
        return None
    return int(struct.unpack_from("<i", info, _STATUS_OFFSET)[0])


def _status_of_zombie(procfs: str, pid: int) -> ExitStatus | None:
    try:
        with open(f"{procfs}/{pid}/stat", "rb") as file:
            fields = file.read(1024).rpartition(b")")[2].split()
        # Field 3 is the state, field 52 the exit code: 0 there means ended well, or no right to see it.
        if fields[0] not in (b"Z", b"X") or int(fields[49]) == 0:
            return None
        return ExitStatus.from_wait(int(fields[49]), "zombie")
    except (OSError, ValueError, IndexError):
        return None
