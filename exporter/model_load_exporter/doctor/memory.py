"""Memory: what the host and the cgroup have, against what the configured models need by their files' headers."""

from collections.abc import Sequence
from dataclasses import dataclass

from model_load_exporter.canary.headroom import cgroup_available, host_available
from model_load_exporter.collectors.host import meminfo
from model_load_exporter.doctor.finding import Finding, fine
from model_load_exporter.units import format_size

AREA = "memory"


@dataclass(frozen=True, slots=True)
class Need:
    """What one model needs. memory, gpu, disk: bytes, None where its files do not tell."""

    model: str
    path: str
    memory: int | None
    disk: int | None = None
    gpu: int | None = None


def check(needs: Sequence[Need], procfs: str = "/proc", sysfs: str = "/sys") -> list[Finding]:
    """RAM, swap and the cgroup's limit."""
    try:
        host = meminfo(procfs)
    except (OSError, ValueError, KeyError):
        return [Finding("warning", AREA, f"{procfs}/meminfo cannot be read", "how much memory there is is not known")]
    available = host_available(procfs) or 0
    limit = cgroup_available(procfs, sysfs)
    room = min(available, limit) if limit is not None else available
    what = f"{_size(host['MemTotal'])} of memory, {_size(available)} available"
    if limit is not None:
        what += f"; this cgroup can take {_size(limit)} more"
    found = [fine(AREA, what)]
    for need in needs:
        if need.memory is not None and need.memory > room:
            whose = "its cgroup's limit leaves" if limit is not None and limit < available else "the host has"
            found.append(Finding(
                "problem", AREA,
                f"{need.model} needs about {_size(need.memory)} to load; {whose} {_size(room)}",
                "the OOM killer ends the service in the middle of the load, and its clients see a reset connection",
                "raise the limit (systemd MemoryMax=, docker --memory, resources.limits.memory), or load less: "
                f"model-load-exporter probe --variants {need.path}",
            ))  # fmt: skip
    total = sum(need.memory or 0 for need in needs)
    if len(needs) > 1 and room < total and not any(finding.severity == "problem" for finding in found):
        found.append(Finding(
            "warning", AREA,
            f"all {len(needs)} models together need about {_size(total)}; {_size(room)} can be had",
            "one alone loads, the last of them is killed", "load one after another, and fewer on this host",
        ))  # fmt: skip
    if not host.get("SwapTotal"):
        found.append(fine("swap", "no swap: a load that does not fit is killed at once, and does not crawl"))
    elif host["SwapFree"] < host["SwapTotal"] // 4:
        found.append(Finding(
            "warning", "swap", f"{_size(host['SwapTotal'] - host['SwapFree'])} of swap are in use",
            "loads that touch swapped memory take minutes", "free memory, then: swapoff -a && swapon -a",
        ))  # fmt: skip
    else:
        found.append(fine("swap", f"{_size(host['SwapTotal'])} of swap, {_size(host['SwapFree'])} free"))
    return found


def _size(size: int) -> str:
    return format_size(size // 10_000_000 * 10_000_000) if size > 100_000_000 else format_size(size)
