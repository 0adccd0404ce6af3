"""The service's output, passed through byte by byte, and read on the way until a line says that it is ready.

Where standard output and error are one and the same they share a pipe, so that their order stays. What `isatty` says
changes for the service; nothing else does.
"""

import _thread
import contextlib
import fcntl
import os
import re
import select
from collections.abc import Callable

_CHUNK = 65536
_TAIL = 64 * 1024
_LINE = 4096


class Output:
    """The pipes of one service. `in_child` before its program, `begin` after its start, `finish` at its end."""

    def __init__(self, pattern: str) -> None:
        self._pattern: re.Pattern[bytes] | None = re.compile(pattern.encode())
        self._ready: Callable[[], None] | None = None
        self._same = _same_file(1, 2)
        self._sources: dict[int, int] = {}
        self._writers: list[int] = []
        for target in (1,) if self._same else (1, 2):
            reader, writer = os.pipe()
            self._sources[reader] = target
            self._writers.append(writer)
        self._wake, self._waker = os.pipe()
        self._partial: dict[int, bytes] = {}
        self._seen = b""
        self._done = _thread.allocate_lock()

    def in_child(self) -> None:
        """In the service's process: its output is the pipes."""
        os.dup2(self._writers[0], 1)
        os.dup2(self._writers[-1], 2)

    def begin(self, ready: Callable[[], None]) -> None:
        """Starts to pass on. ready: called once, in another thread, at the first line that matches."""
        self._ready = ready
        for writer in self._writers:
            os.close(writer)
        self._done.acquire()
        _thread.start_new_thread(self._pass_on, ())

    def finish(self) -> None:
        """Passes on what the service has written; what its children may still write, another process passes on."""
        os.close(self._waker)
        self._done.acquire()
        if self._sources and os.getpid() != 1 and os.fork() == 0:
            # The journal's descriptors above all: their locks end with the service.
            for fd in {int(name) for name in os.listdir("/proc/self/fd")} - {0, 1, 2, *self._sources}:
                with contextlib.suppress(OSError):
                    os.close(fd)
            self._pattern = None
            self._copy(None)
            os._exit(0)

    def seen(self) -> str:
        """The last lines before it was ready."""
        return self._seen.decode(errors="replace")

    def forget(self) -> None:
        """Nobody asks for the last lines any more."""
        self._pattern = None
        self._seen = b""
        self._partial.clear()

    def close_in_helper(self) -> None:
        """In a process that is not the service: its copies must not keep the pipes open."""
        for fd in (*self._writers, *self._sources, self._wake, self._waker):
            os.close(fd)

    def _pass_on(self) -> None:
        try:
            self._copy(self._wake)
        finally:
            self._done.release()

    def _copy(self, wake: int | None) -> None:
        """Until every pipe is at its end; once woken, until they are empty."""
        poll = select.poll()
        for reader in self._sources:
            poll.register(reader, select.POLLIN)
        if wake is not None:
            poll.register(wake, select.POLLIN)
        while self._sources:
            events = poll.poll()
            readable = [fd for fd, _ in events if fd != wake]
            if not readable:
                # Woken and empty: the service is dead, and this was all of its output.
                return
            for reader in readable:
                data = os.read(reader, _CHUNK)
                if not data or not self._write(self._sources[reader], data):
                    poll.unregister(reader)
                    del self._sources[reader]
                    os.close(reader)
                elif self._pattern is not None:
                    self._read(reader, data)

    def _write(self, target: int, data: bytes) -> bool:
        """False where nobody reads any more: the service is to notice, as it would without us."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(target, view) :]
            except BlockingIOError:
                select.select([], [target], [])
            except OSError:
                return False
        return True

    def _read(self, reader: int, data: bytes) -> None:
        self._seen = (self._seen + data)[-_TAIL:]
        *lines, rest = (self._partial.get(reader, b"") + data).split(b"\n")
        self._partial[reader] = rest[-_LINE:]
        pattern = self._pattern
        # The rest too: a prompt that says "ready" may never end its line.
        if pattern is not None and any(pattern.search(line[-_LINE:]) for line in (*lines, rest)):
            self._pattern = None
            if self._ready is not None:
                self._ready()


def check_pattern(pattern: str) -> str | None:
    """What is wrong with a pattern, or None."""
    try:
        re.compile(pattern.encode())
    except re.error as error:
        return str(error)
    return None


def _same_file(one: int, other: int) -> bool:
    try:
        first, second = os.fstat(one), os.fstat(other)
        flags = fcntl.fcntl(one, fcntl.F_GETFL) == fcntl.fcntl(other, fcntl.F_GETFL)
    except OSError:
        return False
    return flags and (first.st_dev, first.st_ino, first.st_rdev) == (second.st_dev, second.st_ino, second.st_rdev)
