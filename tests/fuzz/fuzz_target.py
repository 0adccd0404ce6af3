"""What is fuzzed: one entry point of the package that takes foreign bytes, and what it may raise."""

import contextlib
import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

CPU_SECONDS = 2.0
"""Of this thread, for one input of some kilobytes: a hundred times what the slowest takes. No wall clock counts."""

READ_FACTOR, READ_ALLOWANCE = 64, 4 << 20
"""Bytes that a parser may read: so many times the input, and a constant."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parser.

    run: takes the bytes as its file, line or log; raises AssertionError where an answer is not of its form. errors:
    what it is documented to raise. seeds: good and bad inputs that mutation starts from.
    """

    name: str
    run: Callable[[bytes], object]
    errors: tuple[type[Exception], ...] = ()
    seeds: Sequence[bytes] = field(default=(), hash=False)

    def try_with(self, data: bytes) -> None:
        """One input. Whatever is raised that is not documented comes through; so does too much work."""
        read, began = _bytes_read(), time.thread_time()
        with contextlib.suppress(*self.errors):
            self.run(data)
        spent, read = time.thread_time() - began, _bytes_read() - read
        assert spent < CPU_SECONDS, f"{self.name}: {spent:.1f} s of CPU for {len(data)} bytes"
        assert read <= READ_FACTOR * len(data) + READ_ALLOWANCE, f"{self.name}: read {read} bytes for {len(data)}"


def _bytes_read() -> int:
    """By this thread's system calls; what is mapped is not counted."""
    with open("/proc/thread-self/io", "rb") as file:
        return int(file.readline().split()[1])


class Scratch:
    """A file in memory that parsers open by its path: no disk is written for a million inputs."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("fuzz")

    @property
    def path(self) -> str:
        """Where it is opened."""
        return f"/proc/self/fd/{self._descriptor}"

    def write(self, data: bytes) -> str:
        """Its new content; answers its path."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, data, 0)
        return self.path


def limit_memory(extra: int) -> None:
    """From now on this process may take `extra` bytes of address space beyond what it has; for good."""
    with open("/proc/self/statm", "rb") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + extra, used + extra))
