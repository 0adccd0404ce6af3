"""Control groups, read: where this process lives, and what a group's files say.

The memory controller may be on cgroup v2, or on v1 beside a v2 hierarchy that has none (hybrid).
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

_UNLIMITED = 2**60
"""cgroup v1 says `no limit` by a number near 2^63."""
_CHARGED_AT_ONCE = 2 * 2**20
"""The kernel charges memory in steps: an OOM kill comes when the next step, a huge page at most, does not fit."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of a cgroup hierarchy. version: 1 or 2. top: where the hierarchy is mounted, the last folder above."""

    version: int
    folder: Path
    top: Path

    def lineage(self) -> tuple[Path, ...]:
        """The folder and all above it, up to the mount point."""
        folders = [self.folder]
        while folders[-1] != self.top and self.top in folders[-1].parents:
            folders.append(folders[-1].parent)
        return tuple(folders)


@dataclass(frozen=True, slots=True)
class Own:
    """Where this process lives: the hierarchy that counts memory, and the v2 one; the same on a pure v2 host."""

    memory: Place | None
    unified: Place | None


def own_cgroups(procfs: str = "/proc", sysfs: str = "/sys") -> Own:
    """This process's cgroups, by /proc/self/cgroup and mountinfo. What cannot be read or reached is None."""
    try:
        cgroups = Path(procfs, "self/cgroup").read_text()
        mounts = Path(procfs, "self/mountinfo").read_text()
        return _parse(cgroups.splitlines(), mounts.splitlines(), sysfs)
    except (OSError, ValueError):
        return Own(None, None)


def _parse(cgroups: list[str], mounts: list[str], sysfs: str) -> Own:
    """The two files' lines to places. Raises ValueError for lines of another shape."""
    paths: dict[str, str] = {}
    for line in cgroups:
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    legacy = unified = None
    for line in mounts:
        left, _, right = line.partition(" - ")
        root, point = left.split(" ")[3:5]
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup" and "memory" in paths and "memory" in options.split(" ")[-1].split(","):
            legacy = legacy or _place(1, root, point, paths["memory"], sysfs)
        elif kind == "cgroup2" and "" in paths:
            unified = unified or _place(2, root, point, paths[""], sysfs)
    if legacy is None and unified is not None and "memory" in words_in(unified.folder / "cgroup.controllers"):
        return Own(unified, unified)
    return Own(legacy, unified)


def _place(version: int, root: str, point: str, path: str, sysfs: str) -> Place | None:
    """The folder of cgroup `path` below a mount that shows the hierarchy from `root` on."""
    if root != "/":
        if path != root and not path.startswith(root + "/"):
            return None
        path = path[len(root) :]
    # A path that climbs out belongs to another cgroup namespace: nothing of it can be reached from here.
    if ".." in path.split("/"):
        return None
    top = Path(sysfs + point.removeprefix("/sys") if point.startswith("/sys/") else point)
    folder = top / path.strip("/")
    return Place(version, folder, top) if folder.is_dir() else None


def number_in(file: Path, default: int | None = None) -> int | None:
    """The number in a kernel file; the default where there is none (`max`, no file, no right)."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return default


def fields_in(file: Path) -> dict[str, int]:
    """A kernel file of `name number` lines; empty where it cannot be read."""
    found = {}
    with contextlib.suppress(OSError):
        for line in file.read_text().splitlines():
            name, _, value = line.partition(" ")
            with contextlib.suppress(ValueError):
                found[name] = int(value)
    return found


def words_in(file: Path) -> list[str]:
    """A kernel file's words; none where it cannot be read."""
    try:
        return file.read_text().split()
    except OSError:
        return []


def limit_of(folder: Path, version: int) -> int | None:
    """The memory limit of one group in bytes, None when unlimited."""
    limit = number_in(folder / ("memory.max" if version == 2 else "memory.limit_in_bytes"))
    return limit if limit is not None and limit < _UNLIMITED else None


def limit_hits(folder: Path, version: int) -> int:
    """How often a group ran into its own limit; v1 kernels since 6.x do not count, and touched_limit() must tell."""
    if version == 2:
        return fields_in(folder / "memory.events").get("oom", 0)
    # With equal limits the one that counts swap too is hit first.
    files = ("memory.failcnt", "memory.memsw.failcnt")
    return sum(number_in(folder / file, 0) or 0 for file in files)


def touched_limit(folder: Path, version: int) -> bool:
    """True when a group's use was once as high as its limit lets it."""
    limit = limit_of(folder, version)
    peak = number_in(folder / ("memory.peak" if version == 2 else "memory.max_usage_in_bytes"))
    return limit is not None and peak is not None and peak >= limit - _CHARGED_AT_ONCE


def kills_all_at_once(own: Own) -> bool:
    """True where one OOM kill ends everything in this process's container (memory.oom.group, v2 only)."""
    if own.memory is None or own.memory.version != 2:
        return False
    return any(number_in(folder / "memory.oom.group") == 1 for folder in own.memory.lineage())
