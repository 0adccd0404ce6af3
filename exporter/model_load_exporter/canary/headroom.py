"""How much memory a canary may take without anybody else missing it."""

from pathlib import Path

from model_load_exporter.canary import cgroup

RESERVE = 256 * 2**20
"""Bytes that a canary leaves free at least: below that the kernel starts to take from others."""


def available_memory(procfs: str = "/proc", sysfs: str = "/sys") -> int | None:
    """Bytes that can be had now: the host's MemAvailable or the tightest cgroup's rest, whichever is less.

    None where neither can be read.
    """
    rests = [rest for rest in (host_available(procfs), cgroup_available(procfs, sysfs)) if rest is not None]
    return min(rests, default=None)


def host_available(procfs: str = "/proc") -> int | None:
    """MemAvailable of /proc/meminfo, in bytes."""
    try:
        for line in Path(procfs, "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def cgroup_available(procfs: str = "/proc", sysfs: str = "/sys") -> int | None:
    """Bytes below the tightest memory limit above this process; None when there is no limit."""
    place = cgroup.own_cgroups(procfs, sysfs).memory
    if place is None:
        return None
    rests = []
    for folder in place.lineage():
        limit = cgroup.limit_of(folder, place.version)
        used = cgroup.number_in(folder / ("memory.current" if place.version == 2 else "memory.usage_in_bytes"))
        if limit is not None and used is not None:
            # File pages are counted but given back on demand.
            stat = cgroup.fields_in(folder / "memory.stat")
            prefix = "" if place.version == 2 else "total_"
            cached = stat.get(f"{prefix}inactive_file", 0) + stat.get(f"{prefix}active_file", 0)
            rests.append(max(0, limit - used + cached))
    return min(rests, default=None)
