"""The memory limit of this process's cgroup; and a cgroup with a limit for a process, where one can be made."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_TOP = Path("/sys/fs/cgroup")
_NONE = 1 << 60
"""cgroup v1 writes "no limit" as a number near 2**63."""


def memory_limit() -> int | None:
    """Bytes of the tightest limit around this process; None where there is none to be seen."""
    found = []
    for folder, name in _folders():
        while folder == _TOP or _TOP in folder.parents:
            with contextlib.suppress(OSError, ValueError):
                found.append(int((folder / name).read_text(encoding="ascii")))
            folder = folder.parent
    return min((limit for limit in found if limit < _NONE), default=None)


def _folders() -> list[tuple[Path, str]]:
    """(this process's cgroup, the file of its limit) in version 2 and in version 1."""
    folders = []
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            folders.append((_TOP / path.lstrip("/"), "memory.max"))
        elif "memory" in controllers.split(","):
            folders.append((_TOP / "memory" / path.lstrip("/"), "memory.limit_in_bytes"))
    return folders


class LimitedGroup:
    """A cgroup of its own with a memory limit. `wrapper` goes before the command that is to live in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def wrapper(self) -> list[str]:
        """A shell that enters the group and then becomes the command."""
        return ["sh", "-c", f"echo $$ > '{self.folder}/cgroup.procs' && exec \"$@\"", "sh"]

    def remove(self) -> None:
        """Takes it away once its last process is gone; gives up after five seconds."""
        ends = time.monotonic() + 5
        while self.folder.exists() and time.monotonic() < ends:
            with contextlib.suppress(OSError):
                self.folder.rmdir()
                return
            time.sleep(0.02)


def limited_group(limit: int) -> LimitedGroup | None:
    """A new cgroup below this process's own with that limit in bytes; None where this process may not make one."""
    for folder, name in _folders():
        made = folder / f"model-load-demo-{os.getpid()}"
        try:
            made.mkdir()
        except OSError:
            continue
        try:
            (made / name).write_text(str(limit), encoding="ascii")
        except OSError:
            made.rmdir()
            continue
        with contextlib.suppress(OSError):
            # Swap would only make the kill come later.
            swap = made / ("memory.swap.max" if name == "memory.max" else "memory.swappiness")
            swap.write_text("0", encoding="ascii")
        return LimitedGroup(made)
    return None
