"""The hub's cache: models--ORG--NAME with refs (branch -> commit), snapshots (links) and blobs (files by checksum).

A blob is named after its content: 64 hex digits are its sha256 (large files), 40 the sha1 of git's blob object. That
is the one checksum that every downloaded model brings along.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_REPO = re.compile(r"(models|datasets|spaces)--.+")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_MAX_REFS = 1000
_MAX_REF = 256

SKIPPED = frozenset({".locks", ".no_exist"})
"""Folders beside the blobs that hold no model files."""


@dataclass(frozen=True, slots=True)
class BlobName:
    """What a blob's name says of its content: one of the two, in lower-case hex."""

    sha256: str | None = None
    git_sha1: str | None = None


def is_repo(folder: Path) -> bool:
    """True for the folder of one repository in a cache."""
    return _REPO.fullmatch(folder.name) is not None and (folder / "snapshots").is_dir()


def blob_name(path: Path) -> BlobName | None:
    """The checksum in the name of the blob that a path is or leads to; None where it is no blob. Raises OSError."""
    real = path.resolve()
    if real.parent.name != "blobs" or not _REPO.fullmatch(real.parent.parent.name):
        return None
    if _SHA256.fullmatch(real.name):
        return BlobName(sha256=real.name)
    return BlobName(git_sha1=real.name) if _SHA1.fullmatch(real.name) else None


def broken_refs(repo: Path) -> Iterator[tuple[Path, str, str]]:
    """(file, reason, detail) of each branch or tag that leads to no snapshot. Raises OSError."""
    for number, ref in enumerate(sorted(_refs(repo / "refs"))):
        if number >= _MAX_REFS:
            return
        with open(ref, "rb") as file:
            commit = file.read(_MAX_REF).strip().decode("ascii", "replace")
        if not commit:
            yield ref, "file_empty", "names no commit"
        elif not _SHA1.fullmatch(commit):
            yield ref, "file_corrupted", "names no commit, but something else"
        elif not (repo / "snapshots" / commit).is_dir():
            yield ref, "file_missing", f"names commit {commit[:12]}, whose snapshot is not there: download it again"


def _refs(folder: Path) -> Iterator[Path]:
    """The files in refs; `refs/pr/1` is one too."""
    if folder.is_dir():
        yield from (path for path in folder.rglob("*") if path.is_file())


def unfinished(repo: Path) -> list[Path]:
    """Downloads that broke off, or still run: their final blob is not there. Raises OSError."""
    blobs = repo / "blobs"
    if not blobs.is_dir():
        return []
    return sorted(
        path
        for path in blobs.iterdir()
        if path.name.endswith(".incomplete") and not (blobs / path.name.partition(".")[0]).exists()
    )
