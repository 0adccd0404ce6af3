"""A memory cgroup with a limit, as a container has: for real OOM kills that hurt nobody else."""

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

_TOP = Path("/sys/fs/cgroup")


class MemoryCgroup:
    """One cgroup. `wrapper` goes before a command that is to live in it from its first page on."""

    def __init__(self, folder: Path, limit: int, *, v2: bool) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(str(limit))
        # What could be swapped out would only make the kill come later, or never.
        with contextlib.suppress(OSError):
            (folder / ("memory.swap.max" if v2 else "memory.swappiness")).write_text("0")

    @property
    def wrapper(self) -> tuple[str, ...]:
        return ("sh", "-c", f'echo $$ > "{self.folder}/cgroup.procs" && exec "$@"', "sh")

    def remove(self) -> None:
        """Ends what is left in it, and takes it away."""
        deadline = time.monotonic() + 10
        while self.folder.exists():
            for pid in (self.folder / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            try:
                self.folder.rmdir()
            except OSError:
                # Busy until its last process is reaped.
                assert time.monotonic() < deadline, f"{self.folder} cannot be removed"
                time.sleep(0.01)


@contextlib.contextmanager
def memory_cgroup(limit: int) -> Iterator[MemoryCgroup]:
    """A new cgroup with that limit in bytes, gone at the end. Skips the test where none can be made."""
    found = _parent()
    if found is None:
        pytest.skip("no memory cgroup can be made here: this test needs root")
    parent, v2 = found
    group = MemoryCgroup(parent / f"mle-test-{uuid.uuid4().hex[:12]}", limit, v2=v2)
    try:
        yield group
    finally:
        group.remove()


def _parent() -> tuple[Path, bool] | None:
    """(the folder to make one in, whether it is cgroup v2): this process's own, or the next above that will do."""
    if os.geteuid() != 0:
        return None
    rows = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for _, controllers, path in rows:
        folder = _TOP / "memory" / path.strip("/")
        if "memory" in controllers.split(",") and folder.is_dir():
            return folder, False
    for _, controllers, path in rows:
        below = _TOP / path.strip("/")
        for folder in (below, *below.parents):
            control = folder / "cgroup.subtree_control"
            if not controllers and control.is_file() and "memory" in control.read_text().split():
                return folder, True
    return None
