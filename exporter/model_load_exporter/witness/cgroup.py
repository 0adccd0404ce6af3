"""The memory cgroup of a process: its folder, its limit and how many OOM kills it counted. cgroup v1, v2 and both."""

import contextlib
import os
from dataclasses import dataclass

_UNLIMITED = 2**60
"""v1 says `no limit` with a number near 2**63; no host has this much memory."""


@dataclass(frozen=True, slots=True)
class MemoryCgroup:
    """One memory cgroup. v2: whether it is of the unified hierarchy. path: as the kernel log names it."""

    folder: str
    v2: bool
    path: str = ""

    def oom_kills(self) -> int | None:
        """Processes of this very cgroup that an OOM killer ended so far; None where it cannot be read."""
        # v2's memory.events counts all below too; .local only this one, as v1's oom_control does.
        return _count(f"{self.folder}/{'memory.events.local' if self.v2 else 'memory.oom_control'}", "oom_kill")

    def group_kills(self) -> int:
        """How often this cgroup, or one above it, was ended as a whole (memory.oom.group; v2 alone has it)."""
        if not self.v2:
            return 0
        return sum(_count(f"{folder}/memory.events.local", "oom_group_kill") or 0 for folder in self.line())

    def members(self) -> set[int] | None:
        """Pids of its processes, as the reader's pid namespace sees them; None where they cannot be read."""
        try:
            with open(f"{self.folder}/cgroup.procs", encoding="ascii") as file:
                return {int(line) for line in file}
        except (OSError, ValueError):
            return None

    def line(self) -> list[str]:
        """Its folder and those of the cgroups above it, up to the root."""
        folders = [self.folder]
        while os.path.isfile(f"{os.path.dirname(folders[-1])}/cgroup.procs"):
            folders.append(os.path.dirname(folders[-1]))
        return folders

    def limit(self) -> int | None:
        """Bytes of memory that this very cgroup may use; None where it has no limit of its own."""
        name = "memory.max" if self.v2 else "memory.limit_in_bytes"
        with contextlib.suppress(OSError, ValueError), open(f"{self.folder}/{name}", encoding="ascii") as file:
            text = file.read(64).strip()
            return int(text) if text != "max" and int(text) < _UNLIMITED else None
        return None

    def limited(self) -> bool:
        """True where this cgroup has a memory limit of its own."""
        return self.limit() is not None


def memory_cgroup(pid: int | str, procfs: str, sysfs: str) -> MemoryCgroup | None:
    """The cgroup that accounts for the memory of a process; None where that cannot be told. pid may be `self`."""
    try:
        # Whoever may make cgroups names them: in any bytes but a newline.
        with open(f"{procfs}/{pid}/cgroup", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            rows = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return None
    for _, controllers, path in (row for row in rows if len(row) == 3):
        if "memory" in controllers.split(","):
            return _existing(f"{sysfs}/fs/cgroup/memory", path, v2=False)
    for number, controllers, path in (row for row in rows if len(row) == 3):
        if number == "0" and not controllers:
            found = _existing(f"{sysfs}/fs/cgroup", path, v2=True)
            return found or _existing(f"{sysfs}/fs/cgroup/unified", path, v2=True)
    return None


def _existing(top: str, path: str, *, v2: bool) -> MemoryCgroup | None:
    folder = top + path.rstrip("/")
    return MemoryCgroup(folder, v2, path) if os.path.isdir(folder) else None


def _count(path: str, name: str) -> int | None:
    with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
        for line in file:
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return None
