"""A container's limits without a container: cgroups (v1 or v2) for memory and CPU. Needs root."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

TOP = Path("/sys/fs/cgroup")


class NoCgroupError(Exception):
    """No such cgroup can be made here; the message says why."""


@contextlib.contextmanager
def cgroup(name: str, controller: str, settings: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """A cgroup below this process's own, with these files' values; gives what goes before a command to live in it."""
    folder = _parent(controller) / name
    try:
        folder.mkdir()
    except OSError as error:
        raise NoCgroupError(f"{folder}: {error.strerror}: root is needed") from None
    try:
        for name, value in settings.items():
            (folder / name).write_text(value)
        yield ("sh", "-c", f'echo $$ > "{folder}/cgroup.procs" && exec "$@"', "sh")
    except PermissionError as error:
        raise NoCgroupError(f"{folder}: {error.strerror}") from None
    finally:
        _remove(folder)


def memory(limit: int) -> dict[str, str]:
    """The files that limit memory, and keep what is in it from being swapped out instead."""
    if _v2("memory"):
        return {"memory.max": str(limit), "memory.swap.max": "0"}
    return {"memory.limit_in_bytes": str(limit), "memory.swappiness": "0"}


def cpu(share: float) -> dict[str, str]:
    """The files that limit CPU time to a share of one core."""
    quota = str(int(share * 100_000))
    return {"cpu.max": f"{quota} 100000"} if _v2("cpu") else {"cpu.cfs_quota_us": quota, "cpu.cfs_period_us": "100000"}


def _v2(controller: str) -> bool:
    return not (TOP / controller / "cgroup.procs").exists()


def _parent(controller: str) -> Path:
    """Where one can be made: this process's own cgroup of v1; in v2 the next above that hands the controller on."""
    rows = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for _, controllers, path in rows:
        folder = TOP / controller / path.strip("/")
        if controller in controllers.split(",") and folder.is_dir():
            return folder
    for _, controllers, path in rows:
        own = TOP / path.strip("/")
        for folder in (own, *own.parents):
            control = folder / "cgroup.subtree_control"
            if not controllers and control.is_file() and controller in control.read_text().split():
                return folder
    raise NoCgroupError(f"there is no {controller} cgroup to make one in")


def _remove(folder: Path) -> None:
    deadline = time.monotonic() + 10
    while folder.exists() and time.monotonic() < deadline:
        for pid in (folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        with contextlib.suppress(OSError):
            # Busy until its last process is reaped.
            folder.rmdir()
            return
        time.sleep(0.02)
