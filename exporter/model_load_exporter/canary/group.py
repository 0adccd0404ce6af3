"""The control group of one canary load: made, limited, killed as a whole, removed.

The limit and the OOM counter come from the hierarchy that has memory; `cgroup.kill`, which ends a whole group at once,
from v2 in either case. A group in use is held under flock on its folder, so that one left behind by a crashed daemon
can be told from one in use, and removed.
"""

import contextlib
import errno
import fcntl
import os
import signal
import time
from pathlib import Path

from model_load_exporter.canary.cgroup import Own, Place, fields_in, limit_hits, limit_of, touched_limit, words_in

PREFIX = "model-load-exporter-canary-"
_LEAF = "model-load-exporter-daemon"


def _put(file: Path, text: str) -> None:
    """One write, without creating: a file that is not there means that the controller is not either."""
    fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


class CanaryCgroup:
    """The groups of one canary load; `files` is what its process writes itself into, the memory group first."""

    def __init__(self, memory: Path, version: int, unified: Path | None, locks: tuple[int, ...] = ()) -> None:
        self.memory = memory
        self.version = version
        self.unified = unified
        self.folders = (memory,) if unified is None or unified == memory else (memory, unified)
        self._locks = list(locks)

    @property
    def files(self) -> list[str]:
        """The cgroup.procs files."""
        return [str(folder / "cgroup.procs") for folder in self.folders]

    def limit(self, size: int) -> None:
        """Sets the limit in bytes, swap included where the kernel counts it. Raises OSError."""
        if self.version == 2:
            _put(self.memory / "memory.max", str(size))
            with contextlib.suppress(OSError):
                _put(self.memory / "memory.swap.max", "0")
        else:
            _put(self.memory / "memory.limit_in_bytes", str(size))
            with contextlib.suppress(OSError):
                _put(self.memory / "memory.memsw.limit_in_bytes", str(size))

    def oom_kills(self) -> int:
        """How many of its processes an OOM killer ended, whichever limit or host it acted for."""
        file = "memory.events" if self.version == 2 else "memory.oom_control"
        return fields_in(self.memory / file).get("oom_kill", 0)

    def hit_limit(self) -> bool:
        """True when it ran into its own limit."""
        return limit_hits(self.memory, self.version) > 0 or touched_limit(self.memory, self.version)

    def pids(self) -> set[int]:
        """The processes in it, in groups below it too."""
        found: set[int] = set()
        for folder in self.folders:
            for procs in (folder / "cgroup.procs", *folder.rglob("*/cgroup.procs")):
                found.update(int(word) for word in words_in(procs) if word.isdigit())
        return found - {0}

    def kill(self) -> None:
        """Ends every process in it with SIGKILL; one that was forked meanwhile may be left without cgroup.kill."""
        if self.unified is not None:
            with contextlib.suppress(OSError):
                _put(self.unified / "cgroup.kill", "1")
        for pid in self.pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def remove(self, patience: float = 1.0) -> bool:
        """Kills what is left, removes the folders and lets go of the locks; False where a process would not die.

        Blocks for at most `patience` seconds, in practice for the milliseconds that dying takes.
        """
        deadline = time.monotonic() + patience
        while True:
            gone = [_remove(folder) for folder in self.folders]
            if all(gone) or time.monotonic() > deadline:
                break
            self.kill()
            time.sleep(0.005)
        for fd in self._locks:
            os.close(fd)
        self._locks.clear()
        return all(gone)


def _remove(folder: Path) -> bool:
    """True when the group and those below it are gone."""
    try:
        for below in sorted(folder.rglob("*/"), reverse=True):
            below.rmdir()
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def create(name: str, limit: int, own: Own) -> CanaryCgroup:
    """A group for the load `name` with a memory limit in bytes. Raises OSError; nothing is left behind then."""
    if own.memory is None:
        raise OSError(errno.ENOENT, "no cgroup with a memory controller")
    version = own.memory.version
    memory = (own.memory.folder if version == 1 else _memory_parent(own.memory)) / (PREFIX + name)
    lock = _make(memory)
    group = CanaryCgroup(memory, version, memory if version == 2 else None, (lock,))
    if version == 1 and own.unified is not None:
        # Only for its cgroup.kill: without it there is another way, so its lack is no error.
        unified = own.unified.folder / (PREFIX + name)
        with contextlib.suppress(OSError):
            group = CanaryCgroup(memory, version, unified, (lock, _make(unified)))
    try:
        group.limit(limit)
    except OSError:
        group.remove()
        raise
    return group


def _make(folder: Path) -> int:
    """Makes a group and returns the descriptor that holds its lock. Raises OSError.

    Between the two steps another daemon may take it for a stale one and remove it: then once more.
    """
    for _ in range(100):
        try:
            folder.mkdir()
            fd = _lock(folder)
            if fd is not None:
                return fd
        except FileExistsError:
            pass
        time.sleep(0.001)
    raise OSError(errno.EBUSY, "another process holds or removes the group")


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock; None where another one does, or the folder is gone."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_ino == folder.stat().st_ino:
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return None


def _memory_parent(place: Place) -> Path:
    """The folder below which a v2 group has the memory controller. Raises OSError where none can be had.

    v2 hands a controller to groups below only from a group without processes. A daemon that is alone in its group
    (a service unit with Delegate=yes, a container) moves into a leaf of it; else a sibling must do.
    """
    own = place.folder
    if _hands_on_memory(own):
        return own
    if place.folder != place.top and own.name == _LEAF and _hands_on_memory(own.parent):
        return own.parent
    if words_in(own / "cgroup.procs") == [str(os.getpid())]:
        leaf = own / _LEAF
        leaf.mkdir(exist_ok=True)
        _put(leaf / "cgroup.procs", "0")
        if _hands_on_memory(own):
            return own
    # A sibling is outside of this group's own limit: only where there is none.
    if own != place.top and limit_of(own, 2) is None and "memory" in words_in(own.parent / "cgroup.subtree_control"):
        return own.parent
    raise OSError(errno.EBUSY, "the memory controller cannot be handed to a group below this one")


def _hands_on_memory(folder: Path) -> bool:
    """True when groups below the folder have the memory controller, after asking for it if need be."""
    file = folder / "cgroup.subtree_control"
    if "memory" not in words_in(file):
        with contextlib.suppress(OSError):
            _put(file, "+memory")
    return "memory" in words_in(file)


def remove_stale(own: Own) -> int:
    """Kills and removes groups of loads whose daemon is gone; the number removed."""
    parents = {place.folder for place in (own.memory, own.unified) if place is not None}
    parents |= {folder.parent for folder in parents}
    count = 0
    for parent in parents:
        for folder in _canary_folders(parent):
            with contextlib.suppress(OSError):
                lock = _lock(folder)
                if lock is not None:
                    count += CanaryCgroup(folder, 2, folder, (lock,)).remove(patience=0.5)
    return count


def _canary_folders(parent: Path) -> list[Path]:
    try:
        return [folder for folder in parent.iterdir() if folder.name.startswith(PREFIX)]
    except OSError:
        return []
