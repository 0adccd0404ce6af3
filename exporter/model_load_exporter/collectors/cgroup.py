"""Memory of the cgroups that services run in: what is used, what the limit is, how high it was. cgroup v1, v2, both.

The limit that ends a process may be set on any cgroup above its own: of these the tightest counts. Where the processes
of a target live in several cgroups, the one nearest to its limit is shown: its OOM kill comes first.
"""

import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import Metric

from model_load_exporter.collectors.base import NoData, gauge
from model_load_exporter.live import LiveWriter
from model_load_exporter.witness.cgroup import memory_cgroup

_NO_LIMIT = 2**60
"""v1 says `no limit` with a number near 2**63; no host has this much memory."""

_FILES = {
    False: ("memory.usage_in_bytes", "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
    True: ("memory.current", "memory.max", "memory.peak"),
}


@dataclass(frozen=True, slots=True)
class Memory:
    """One cgroup's memory, in bytes. None: no limit; a peak that the kernel does not keep (v2 before 5.19)."""

    usage: int
    limit: int | None
    peak: int | None

    @property
    def pressure(self) -> tuple[float, int]:
        """How near to its limit, then how large."""
        return (self.usage / max(1, self.limit) if self.limit is not None else 0.0), self.usage


class CgroupCollector:
    """The memory cgroups of the processes that load or hold models. Reads files of procfs and sysfs, off the loop."""

    name = "cgroup"
    blocking = True

    def __init__(self, writers: Callable[[], Iterable[LiveWriter]], procfs: str, sysfs: str) -> None:
        self._writers = writers
        self._procfs, self._sysfs = procfs, sysfs

    def collect(self) -> Iterable[Metric]:
        """One sample a target that has a process whose cgroup can be read."""
        if memory_cgroup("self", self._procfs, self._sysfs) is None:
            raise NoData("no memory cgroups are mounted here")
        usage = gauge("model_cgroup_memory_usage_bytes", "Memory in use in the tightest cgroup around the service.")
        limit = gauge("model_cgroup_memory_limit_bytes", "Memory limit of that cgroup; absent where it has none.")
        peak = gauge("model_cgroup_memory_peak_bytes", "Most memory that was in use in that cgroup.")
        found: dict[str, Memory] = {}
        for writer in self._writers():
            memory = tightest(writer.pid, self._procfs, self._sysfs)
            before = found.get(writer.target)
            if memory is not None and (before is None or memory.pressure > before.pressure):
                found[writer.target] = memory
        for target, memory in sorted(found.items()):
            for family, value in ((usage, memory.usage), (limit, memory.limit), (peak, memory.peak)):
                if value is not None:
                    family.add_sample(family.name, {"target": target}, value)
        return [family for family in (usage, limit, peak) if family.samples]


def tightest(pid: int, procfs: str, sysfs: str) -> Memory | None:
    """Memory of the cgroup with the smallest limit, of that process's own and all above it; its own where none has one.

    None where the process, or its cgroup, cannot be seen from here.
    """
    group = memory_cgroup(pid, procfs, sysfs)
    # `..`: the process lives outside of the part of the tree that this process sees.
    if group is None or ".." in group.folder.split("/"):
        return None
    top = _mount(group.folder, sysfs, v2=group.v2)
    own: Memory | None = None
    best: Memory | None = None
    folder = group.folder
    while True:
        memory = _memory(folder, v2=group.v2)
        own = own or memory
        if memory is not None and memory.limit is not None and (best is None or memory.limit < (best.limit or 0)):
            best = memory
        if folder == top or len(folder) <= len(top):
            return best or own
        if not group.v2 and _number(f"{folder}/memory.use_hierarchy") == 0:
            # v1 of old: limits above do not count what is used here.
            return best or own
        folder = os.path.dirname(folder)


def _mount(folder: str, sysfs: str, *, v2: bool) -> str:
    top = f"{sysfs}/fs/cgroup"
    below = f"{top}/unified" if v2 else f"{top}/memory"
    return below if folder == below or folder.startswith(f"{below}/") else top


def _memory(folder: str, *, v2: bool) -> Memory | None:
    usage, limit, peak = (_number(f"{folder}/{name}") for name in _FILES[v2])
    if usage is None:  # v2's root keeps no account
        return None
    return Memory(usage, limit if limit is not None and limit < _NO_LIMIT else None, peak)


def _number(path: str) -> int | None:
    with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
        return int(file.read(64))  # `max` is no number: no limit
    return None
