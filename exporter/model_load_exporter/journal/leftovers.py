"""Files beside the journals whose time is over: notes of kills, and dumps whose journal is gone."""

import contextlib
import os
import time

from model_load_exporter.journal.fault import FAULT_SUFFIX
from model_load_exporter.journal.kill import NOTE_SUFFIX
from model_load_exporter.journal.line import SUFFIX

STALE_SECONDS = 600.0


def tidy(folder: str) -> None:
    """Deletes what is older than ten minutes and serves nobody; for the holder of `reader.lock`. Never raises."""
    oldest = time.time() - STALE_SECONDS
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name.endswith((FAULT_SUFFIX, NOTE_SUFFIX)) and _over(folder, entry, oldest):
                    os.unlink(entry.path)


def _over(folder: str, entry: "os.DirEntry[str]", oldest: float) -> bool:
    if entry.stat(follow_symlinks=False).st_mtime > oldest:
        return False
    stem = entry.name.removesuffix(FAULT_SUFFIX)
    return stem == entry.name or not os.path.lexists(f"{folder}/{stem}{SUFFIX}")
