"""The kernel's own news of processes that end: exit codes where a pidfd does not tell them.

The netlink proc connector tells of every process of the host. A filter in the kernel lets through only the ends of
the processes that are watched, so that the daemon neither wakes up nor overflows for the others. Needs CAP_NET_ADMIN
in the first user namespace, and the host's network and pid namespaces.
"""

import contextlib
import ctypes
import errno
import os
import socket
import struct
from collections import deque
from dataclasses import dataclass, field

from model_load_exporter.witness.evidence import ExitStatus

_NETLINK_CONNECTOR = 11
_CN_IDX_PROC, _CN_VAL_PROC = 1, 1
_LISTEN = 1
_EVENT_EXIT = 0x80000000
_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33
_BUFFER = 1 << 20

# Offsets in a message: nlmsghdr 16, cn_msg 20, then proc_event: what, cpu, timestamp (16), then the exit's own fields.
_WHAT, _THREAD, _PID, _PARENT = 36, 52, 56, 72
_LENGTH = 76
_MOST = 1000  # 4 instructions each; the kernel takes 4096
"""Processes in the filter; beyond that every end of the host comes through."""
_THREADS_KEPT = 1024
_CHILDREN_KEPT = 64


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("program", ctypes.c_void_p))


@dataclass(slots=True)
class Heard:
    """What was heard of one process that is watched; its children in the order of their ends, all before its own."""

    pid: int
    watchers: int = 1
    status: ExitStatus | None = None
    threads: set[int] = field(default_factory=set)
    children: "deque[tuple[int, ExitStatus]]" = field(default_factory=lambda: deque(maxlen=_CHILDREN_KEPT))


class ProcConnector:
    """The ends of watched processes, of their threads and of their children. It wakes nobody: `read` is asked for."""

    def __init__(self) -> None:
        """Raises OSError where the kernel has none, or this process may not."""
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, _NETLINK_CONNECTOR)
        self._watched: dict[int, Heard] = {}
        try:
            self._attach_filter()
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
            self._socket.bind((0, _CN_IDX_PROC))
            operation = struct.pack("=I", _LISTEN)
            message = struct.pack("=IIIIHH", _CN_IDX_PROC, _CN_VAL_PROC, 0, 0, len(operation), 0) + operation
            self._socket.send(struct.pack("=IHHII", 16 + len(message), 3, 0, 0, os.getpid()) + message)
        except OSError:
            self._socket.close()
            raise

    def watch(self, pid: int) -> Heard:
        """From now on the end of this process is kept, and those of its children. pid: of the host's namespace."""
        self.read()
        heard = self._watched.get(pid)
        if heard is not None and heard.status is None:
            heard.watchers += 1
            return heard
        # What was heard of an earlier process of that pid stays with those who watched it.
        heard = self._watched[pid] = Heard(pid)
        self._attach_filter()
        return heard

    def let_go(self, heard: Heard) -> None:
        """No more of this process."""
        heard.watchers -= 1
        if heard.watchers == 0 and self._watched.get(heard.pid) is heard:
            del self._watched[heard.pid]
            self._attach_filter()

    def read(self) -> None:
        """Takes what the kernel told since."""
        while True:
            try:
                message = self._socket.recv(4096)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    return
                continue  # some ends were not heard: their processes have no status
            self.take(message)

    def close(self) -> None:
        """Gives the socket back."""
        self._socket.close()

    def take(self, message: bytes) -> None:
        """One message of the kernel."""
        if len(message) < _LENGTH or struct.unpack_from("=I", message, _WHAT)[0] != _EVENT_EXIT:
            return
        thread, pid, code = struct.unpack_from("=IIi", message, _THREAD)
        status = ExitStatus.from_wait(code, "proc connector")
        parent = self._watched.get(struct.unpack_from("=I", message, _PARENT)[0])
        if parent is not None and thread == pid and parent.status is None:
            parent.children.append((pid, status))
        heard = self._watched.get(pid)
        if heard is None:
            return
        if thread == pid:
            heard.status = status
        elif len(heard.threads) < _THREADS_KEPT:
            heard.threads.add(thread)

    def _attach_filter(self) -> None:
        program = exit_filter(list(self._watched))
        buffer = ctypes.create_string_buffer(program, len(program))
        described = _Filter(len(program) // 8, ctypes.addressof(buffer))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, bytes(described))


def exit_filter(pids: list[int]) -> bytes:
    """Classic BPF: lets the ends of these processes and of their children through; of all, where they are too many."""
    load, equal, answer = 0x20, 0x15, 0x06  # LD|W|ABS, JMP|JEQ|K, RET|K
    # The filter loads words in network order, the message is in the host's.
    program = [(load, 0, 0, _WHAT), (equal, 1, 0, socket.htonl(_EVENT_EXIT)), (answer, 0, 0, 0)]
    if len(pids) > _MOST:
        program.append((answer, 0, 0, 0xFFFFFFFF))
    else:
        for offset in (_PID, _PARENT):
            program.append((load, 0, 0, offset))
            for pid in pids:
                program += [(equal, 0, 1, socket.htonl(pid)), (answer, 0, 0, 0xFFFFFFFF)]
        program.append((answer, 0, 0, 0))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
