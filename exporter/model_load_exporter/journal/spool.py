"""Where the spool is, and whether a writer may use it. Writers create no spool; `serve` does.

A spool is a folder that has a `spool.json` of a known format. It must not lie on a network or user-space file system:
their locks tell the reader that a living writer is dead, and a frozen one would hang the load.
"""

import os
import time
from collections.abc import Iterator

from model_load_exporter.journal.line import SETTINGS, SUFFIX, VERSION

SYSTEM_SPOOL = "/var/lib/model-load-exporter/spool"
ENVIRONMENT = "MODEL_LOAD_EXPORTER_SPOOL"

MAX_FILES = 10_000
MAX_BYTES = 64 * 2**20
"""The limits that `serve` writes into a new spool.json: what writers leave when no daemon reads the spool."""

_UNSAFE_TYPES = ("nfs", "fuse", "9p", "virtiofs", "cifs", "smb", "ceph", "gluster", "lustre", "afs")


LOOK_AGAIN_SECONDS = 1.0
"""For so long a folder's file system stays what it was: reading the mount table is a quarter of a short load's cost."""

_known_types: dict[str, tuple[float, str | None]] = {}
"""Folder to (when it was looked at, file system)."""


class SpoolError(Exception):
    """The spool cannot be used; the message says which and why."""


class Spool:
    """A usable spool: its folder and the limits that its spool.json sets for writers."""

    __slots__ = ("folder", "max_bytes", "max_files")

    def __init__(self, folder: str, max_files: int, max_bytes: int) -> None:
        self.folder = folder
        self.max_files = max_files
        self.max_bytes = max_bytes

    def full(self) -> bool:
        """True when the files in it reach a limit. Costs a listing: writers ask only when no daemon reads."""
        files = size = 0
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    files += 1
                    size += entry.stat(follow_symlinks=False).st_size
        return files >= self.max_files or size >= self.max_bytes


def candidates() -> Iterator[str]:
    """The folders to look at, in order, as the environment says now."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        yield named
    yield SYSTEM_SPOOL
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    yield f"{state}/model-load-exporter/spool"


def find_spool() -> Spool:
    """The first candidate that is a spool. Raises SpoolError, with one line on each folder that is none."""
    problems = []
    for folder in candidates():
        try:
            return open_spool(folder)
        except SpoolError as error:
            problems.append(str(error))
    raise SpoolError("; ".join(problems))


def open_spool(folder: str) -> Spool:
    """The spool in that folder. Raises SpoolError: not there, no rights, an unknown format, a file system that lies."""
    import json  # here: a service that never loads does not pay for it

    # Before anything touches the folder: a look at a frozen network mount would never come back.
    kind = _type_lately(folder)
    if kind is not None and unsafe(kind):
        raise SpoolError(f"{folder} is on {kind}, where locks cannot be trusted: use a local disk")
    try:
        with open(f"{folder}/{SETTINGS}", "rb") as file:
            settings = json.loads(file.read(4096))
        version, files, size = settings["format"], int(settings["max_files"]), int(settings["max_bytes"])
    except OSError as error:
        raise SpoolError(f"{folder}/{SETTINGS}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError):
        raise SpoolError(f"{folder}/{SETTINGS} is not a spool's settings: format, max_files, max_bytes") from None
    if version != VERSION:
        raise SpoolError(f"{folder} has format {version!r}; this version writes {VERSION}")
    return Spool(folder, files, size)


def _type_lately(folder: str) -> str | None:
    now = time.monotonic()
    known = _known_types.get(folder)
    if known is None or now - known[0] > LOOK_AGAIN_SECONDS:
        known = _known_types[folder] = now, filesystem_type(folder)
    return known[1]


def unsafe(kind: str) -> bool:
    """True for file systems whose locks may lie, or that may hang: of the network, or of a user-space server."""
    return kind.startswith(_UNSAFE_TYPES)


def filesystem_type(path: str, mountinfo: str = "/proc/self/mountinfo") -> str | None:
    """Type of the file system that a path lies on, by mount points alone; None where that cannot be told."""
    path = os.path.abspath(path)
    best, kind = "", None
    try:
        with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                fields = line.split(" ")
                point = fields[4].replace("\\040", " ")
                # A later mount on the same point hides the earlier one.
                if len(point) >= len(best) and (path == point or path.startswith(point.rstrip("/") + "/")):
                    best, kind = point, fields[fields.index("-") + 1]
    except (OSError, ValueError, IndexError):
        return None
    return kind
