"""What a process that does not move waits for, as procfs shows it from outside: the wait channel of a stalled load.

The state and the kernel function that a thread sleeps in (`wchan`), and, with the right to trace it, the system call
with the file that it is about. Without rights there is less to say, and nothing is made up.
"""

import os
import platform
from dataclasses import dataclass

from model_load_exporter.witness import family

_MOST_THREADS = 64

# The number of a system call, by machine, for those whose first argument is the file descriptor that is waited for.
_CALLS = {
    "x86_64": {0: "read", 1: "write", 17: "pread64", 20: "writev", 19: "readv", 42: "connect", 43: "accept",
               45: "recvfrom", 47: "recvmsg", 73: "flock", 72: "fcntl", 74: "fsync", 75: "fdatasync"},
    "aarch64": {63: "read", 64: "write", 67: "pread64", 66: "writev", 65: "readv", 203: "connect", 202: "accept",
                207: "recvfrom", 212: "recvmsg", 32: "flock", 25: "fcntl", 82: "fsync", 83: "fdatasync"},
}  # fmt: skip

# By the kernel's functions, whose names change little: parts of names, the first that fits.
_CHANNELS = (
    ("frozen", ("freezer", "refrigerator")),
    ("stopped", ("do_signal_stop", "ptrace_stop")),
    ("lock", ("flock_lock", "locks_lock", "posix_lock", "fcntl_setlk")),
    ("fifo", ("pipe_", "fifo_open", "wait_for_partner")),
    ("network", ("sk_wait", "sock_", "tcp_", "inet_", "unix_stream", "unix_wait", "skb_", "udp_")),
    ("network file system", ("nfs", "rpc_", "fuse_", "cifs", "ceph", "p9_")),
    ("disk", ("folio_", "io_schedule", "wait_on_page", "bio_", "blk_", "jbd2", "ext4", "xfs", "btrfs", "submit_")),
    ("memory", ("mem_cgroup", "throttle", "reclaim", "shrink_")),
    ("poll", ("poll_schedule", "ep_poll", "do_select", "do_epoll")),
    ("thread", ("futex",)),
    ("child", ("do_wait",)),
    ("time", ("nanosleep",)),
)
_TELLING = ("frozen", "stopped", "lock", "fifo", "network", "network file system", "disk", "memory")
"""What says more about a stalled load than that its main thread waits for another one."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one thread waits for. kind: a word for a person; channel: the kernel's function; '' where not known.

    call, target: the system call and the file that it is about, where this process may see them.
    """

    kind: str
    state: str
    channel: str
    call: str = ""
    target: str = ""

    def text(self) -> str:
        """In a line."""
        details = [part for part in (self.channel, self.call, self.target) if part]
        return f"{self.kind} ({', '.join([f'state {self.state}', *details])})"


def waiting(pid: int, procfs: str) -> Waiting | None:
    """What the process waits for; None where it runs, is gone, or shows nothing.

    The main thread's, unless that only waits for another thread which tells more.
    """
    main = _thread(pid, pid, procfs)
    if main is None or main.kind in _TELLING:
        return main
    for thread in sorted(family.threads(pid, procfs) - {pid})[:_MOST_THREADS]:
        found = _thread(pid, thread, procfs)
        if found is not None and found.kind in _TELLING:
            return found
    return main


def _thread(pid: int, thread: int, procfs: str) -> Waiting | None:
    folder = f"{procfs}/{pid}/task/{thread}"
    try:
        with open(f"{folder}/stat", "rb") as file:
            state = file.read(1024).rpartition(b")")[2].split()[0].decode()
    except (OSError, ValueError, IndexError):
        return None
    if state not in ("S", "D", "T", "t"):
        return None
    channel = _text(f"{folder}/wchan").strip("0\n ")
    call, descriptor = _call(_text(f"{folder}/syscall"))
    target = _target(f"{procfs}/{pid}/fd/{descriptor}") if descriptor is not None else ""
    return Waiting(_kind(state, channel, call, target), state, channel, call, target)


def _kind(state: str, channel: str, call: str, target: str) -> str:
    if state in ("T", "t"):
        return "stopped"
    unknown = "disk" if state == "D" else "unknown"
    kind = next((kind for kind, parts in _CHANNELS if any(part in channel for part in parts)), unknown)
    if kind in ("unknown", "poll", "fifo") and target.startswith("socket:"):
        return "network"
    if kind == "unknown" and target.startswith("pipe:"):
        return "fifo"
    if call == "flock" or (kind == "lock" and target):
        return "hub lock" if target.endswith(".lock") else "lock"
    return kind


def _call(text: str) -> tuple[str, int | None]:
    """(name, descriptor) of the system call that a thread is in; ('', None) where that is not told or of no help."""
    fields = text.split()
    try:
        name = _CALLS.get(platform.machine(), {}).get(int(fields[0]), "")
        return (name, int(fields[1], 16)) if name else ("", None)
    except (ValueError, IndexError):
        return "", None


def _text(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(256)
    except OSError:
        return ""


def _target(path: str) -> str:
    try:
        return os.readlink(path)[:500]
    except OSError:
        return ""
