"""What a model's files look like from outside: sizes, times and one stamp over all of them. No file is opened."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_ENTRIES = 100_000
"""Files of one model that are looked at."""


@dataclass(frozen=True, slots=True)
class Survey:
    """stamp: another value when a name, size, modification or change time is another. size: bytes, each file once.

    modified: the latest modification, None without a file. touched: the latest modification or change of an inode,
    which a copy that keeps times does not hide.
    """

    stamp: str
    size: int
    modified: float | None
    touched: float | None


def survey(root: Path, manifest: Path | None, tick: Callable[[], None] = lambda: None) -> Survey:
    """Looks at every file below `root`, or at the file `root`, and at the manifest. Hidden names are left out.

    Inode numbers are not part of the stamp: FUSE hands out new ones with each mount. A file that took another's place
    with its size and modification time has another change time. Never raises; tick: called for each file.
    """
    digest = hashlib.sha256()
    seen: set[tuple[int, int]] = set()
    size, modified, touched = 0, list[float](), list[float]()
    for name, state in sorted(_files(root), key=lambda file: file[0]):
        tick()
        digest.update(os.fsencode(name) + b"\0")
        if state is None:
            continue
        digest.update(f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}\0".encode())
        modified.append(state.st_mtime)
        touched.append(max(state.st_mtime, state.st_ctime))
        if (state.st_dev, state.st_ino) not in seen:
            seen.add((state.st_dev, state.st_ino))
            size += state.st_size
    if manifest is not None:
        state = _stat(str(manifest))
        told = f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}" if state else "-"
        digest.update(b"\0manifest\0" + os.fsencode(manifest) + told.encode())
    return Survey(digest.hexdigest(), size, max(modified, default=None), max(touched, default=None))


def _files(root: Path) -> Iterator[tuple[str, os.stat_result | None]]:
    """Path and state of each file, links followed; at most MOST_ENTRIES, no folder twice."""
    waiting, folders, count = [str(root)], set[tuple[int, int]](), 0
    while waiting and count < MOST_ENTRIES:
        path = waiting.pop()
        count += 1
        state = _stat(path)
        if state is None or not stat.S_ISDIR(state.st_mode):
            yield path, state
            continue
        if (state.st_dev, state.st_ino) in folders:
            continue
        folders.add((state.st_dev, state.st_ino))
        try:
            with os.scandir(path) as entries:
                waiting += sorted((entry.path for entry in entries if not entry.name.startswith(".")), reverse=True)
        except OSError:
            yield path, None


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None
