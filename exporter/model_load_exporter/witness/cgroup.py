"""The memory cgroup of a process: its folder, its limit and how many OOM kills it counted. cgroup v1, v2 and both."""

import contextlib
import os
from dataclasses import dataclass

_UNLIMITED = 2**60
"""v1 says `no limit` with a number near 2**63; no host has this much memory."""


@dataclass(frozen=True, slots=True)
class MemoryCgroup:
    """One memory cgroup. v2: whether it is of the unified hierarchy."""

    folder: str
    v2: bool

    def oom_kills(self) -> int | None:
        """Processes of this very cgroup that an OOM killer ended so far; None where it cannot be read."""
        # v2's memory.events counts all below too; .local only this one, as v1's oom_control does.
        name = "memory.events.local" if self.v2 else "memory.oom_control"
        with contextlib.suppress(OSError, ValueError), open(f"{self.folder}/{name}", encoding="ascii") as file:
            for line in file:
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
        return None

    def limited(self) -> bool:
        """True where this cgroup has a memory limit of its own."""
        name = "memory.max" if self.v2 else "memory.limit_in_bytes"
        with contextlib.suppress(OSError, ValueError), open(f"{self.folder}/{name}", encoding="ascii") as file:
            text = file.read(64).strip()
            return text != "max" and int(text) < _UNLIMITED
        return False


def memory_cgroup(pid: int | str, procfs: str, sysfs: str) -> MemoryCgroup | None:
    """The cgroup that accounts for the memory of a process; None where that cannot be told. pid may be `self`."""
    try:
        with open(f"{procfs}/{pid}/cgroup", encoding="utf-8") as file:
            rows = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return None
    for _, controllers, path in (row for row in rows if len(row) == 3):
        if "memory" in controllers.split(","):
            return _existing(f"{sysfs}/fs/cgroup/memory{path.rstrip('/')}", v2=False)
    for number, controllers, path in (row for row in rows if len(row) == 3):
        if number == "0" and not controllers:
            found = _existing(f"{sysfs}/fs/cgroup{path.rstrip('/')}", v2=True)
            return found or _existing(f"{sysfs}/fs/cgroup/unified{path.rstrip('/')}", v2=True)
    return None


def _existing(folder: str, *, v2: bool) -> MemoryCgroup | None:
    return MemoryCgroup(folder, v2) if os.path.isdir(folder) else None
