"""The files below a folder: every one, in a fixed order, with bounds on what a hostile folder can cost."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model_load_exporter.artifacts import hub_cache

MAX_FILES = 100_000
MAX_DEPTH = 32

_SKIPPED = frozenset({".git", ".cache", "__pycache__", ".ipynb_checkpoints", "site-packages", "dist-packages",
                      "node_modules"}) | hub_cache.SKIPPED  # fmt: skip


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder. names: of all that is in it but folders, sorted. error: why it could not be listed. too_deep: nobody
    looked at it."""

    path: Path
    names: tuple[str, ...] = ()
    error: OSError | None = None
    too_deep: bool = False


class TooManyFilesError(Exception):
    """There are more files than are looked at in one go."""


def folders(root: Path) -> Iterator[Folder]:
    """`root` and the folders below it, each before those in it; links to folders are followed, each folder once.

    Raises TooManyFilesError; a folder that cannot be listed is told in its `error`.
    """
    seen = set[tuple[int, int]]()
    pending = [(root, 0)]
    files = 0
    while pending:
        path, depth = pending.pop()
        try:
            state = path.stat()
            if (state.st_dev, state.st_ino) in seen:
                continue
            if depth > MAX_DEPTH:
                yield Folder(path, too_deep=True)
                continue
            seen.add((state.st_dev, state.st_ino))
            names, below = [], []
            with os.scandir(path) as entries:
                for entry in entries:
                    files += 1
                    if files > MAX_FILES:
                        raise TooManyFilesError
                    if not _is_folder(entry):
                        names.append(entry.name)
                    elif entry.name not in _SKIPPED:
                        below.append(entry.name)
        except OSError as error:
            yield Folder(path, error=error)
            continue
        yield Folder(path, tuple(sorted(names)))
        pending.extend((path / name, depth + 1) for name in sorted(below, reverse=True))


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """False for what cannot be looked at: as a file it is told what is wrong with it."""
    try:
        return entry.is_dir()
    except OSError:
        return False
