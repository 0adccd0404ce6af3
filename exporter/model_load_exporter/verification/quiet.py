"""How a helper process keeps out of everybody's way: last for CPU and disk, first to be killed, gone with us."""

import ctypes
import os
import resource
import signal

from model_load_exporter.canary.child import lower_priority

_PDEATHSIG = 1
_MEMORY = 2**30
"""Bytes of its own memory: a file that makes a parser want more costs that parser a MemoryError."""


def lie_low(parent: int) -> None:
    """For the helper's first line. parent: the daemon's pid; the helper ends at once where that is gone already."""
    lower_priority()
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard), hard))
