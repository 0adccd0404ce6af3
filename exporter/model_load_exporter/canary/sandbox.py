"""What contains one canary load, settled before its process starts: the cgroup, the limit, the environment.

Decided here and done by the child itself as its first act: joining the cgroup, priorities, network, core dumps. A
preexec_fn would run between fork and exec of a daemon with threads, where a lock may be held for ever.
"""

import os
from dataclasses import dataclass

from model_load_exporter.canary import cgroup
from model_load_exporter.canary import group as groups
from model_load_exporter.canary.headroom import RESERVE

_PASSED_ON = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "HF_HOME",
    "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "TORCH_HOME", "MALLOC_ARENA_MAX", "LD_PRELOAD",
)  # fmt: skip
"""The daemon's variables that a load may depend on. No token is among them, nor anything else that is secret."""

_SMALLEST = 64 * 2**20


class WouldHarmError(Exception):
    """No containment is strong enough here; `cause` is one of result.SKIP_CAUSES, the text says why."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The containment of one load.

    group: its cgroup, or None where none can be made. limit: bytes, None where nothing is known to set it by.
    limit_from: whose limit that is, in words. needed: without the group the load must not run. oom_kills_above,
    limit_hits_above: counters of the groups above before the load, to tell whose limit killed it.
    """

    group: groups.CanaryCgroup | None
    limit: int | None
    limit_from: str
    needed: bool
    notes: tuple[str, ...]
    limit_hits_above: int
    own: cgroup.Own

    def spec(self) -> dict[str, object]:
        """The child's part of it: keys of child.py's SPEC."""
        return {
            "cgroups": self.group.files if self.group is not None else [],
            "need_cgroup": self.needed,
            "memory_limit": self.limit,
        }

    def hit_above(self) -> bool:
        """True when a cgroup above, the container's for example, ran into its limit during the load."""
        if self.own.memory is None:
            return False
        version = self.own.memory.version
        uncounted = version == 1 and any(cgroup.touched_limit(one, version) for one in self.own.memory.lineage())
        return uncounted or _hits_above(self.own) > self.limit_hits_above

    def kill(self) -> None:
        """Ends every process of the load that its cgroup knows of."""
        if self.group is not None:
            self.group.kill()

    def remove(self) -> None:
        """Kills what is left and removes the cgroup. Blocks for a second at most."""
        if self.group is not None:
            self.group.remove()


def build(name: str, limit: int | None, available: int | None, procfs: str = "/proc", sysfs: str = "/sys") -> Sandbox:
    """The sandbox for the load `name`.

    limit: canary.memory_limit in bytes. available: what the host has to give now. The tighter of them is the load's
    limit, so that its OOM kill happens in its own cgroup and not among the services. Raises WouldHarmError.
    """
    own = cgroup.own_cgroups(procfs, sysfs)
    groups.remove_stale(own)
    limit_from = "canary.memory_limit"
    if available is not None and (limit is None or limit > available - RESERVE):
        limit, limit_from = max(available - RESERVE, _SMALLEST), "the memory that was free when it started"
    needed = cgroup.kills_all_at_once(own)
    group, notes = None, []
    try:
        if limit is not None:
            group = groups.create(name, limit, own)
    except OSError as error:
        if needed:
            raise WouldHarmError(
                "oom_group",
                "memory.oom.group is 1 here and no cgroup of its own can be made for the load "
                f"({error.strerror}): its OOM kill would end the exporter too",
            ) from None
        notes.append(f"memory limit watched, not enforced by a cgroup: {error.strerror}")
    return Sandbox(group, limit, limit_from, needed, tuple(notes), _hits_above(own), own)


def environment() -> dict[str, str]:
    """The child's environment: only what a load may depend on."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def _hits_above(own: cgroup.Own) -> int:
    if own.memory is None:
        return 0
    return sum(cgroup.limit_hits(folder, own.memory.version) for folder in own.memory.lineage())
