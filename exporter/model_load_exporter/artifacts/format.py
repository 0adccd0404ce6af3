"""What a format is: how a file of it is recognised, and what can be told of it without loading it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from model_load_exporter.artifacts.summary import Summary

Read = Callable[[Path], Summary]
"""The header level: bounded reads, nothing believed. Raises ArtifactError, or OSError where it cannot be read."""

Beside = Callable[[Path], list[Path]]
"""The other files that this one needs and names, without those that are missing. Raises as Read does."""

Present = Callable[[Path], None]
"""The stat level: raises ArtifactError where what a folder cannot be without, or a file names, is missing or empty."""

Deep = Callable[[Path, Callable[[int], None]], None]
"""The checksum level: reads what the format's own checksums cover. Calls its second argument with bytes read since
the last call. Raises as Read does."""


@dataclass(frozen=True, slots=True)
class Format:
    """One file format.

    suffixes: in lower case, with their dot. magics: first bytes that tell the format of a file without such a suffix.
    beside: None where a file needs no other, or where its own check judges the others. present: the stat level of a
    file that names others.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Read
    magics: tuple[bytes, ...] = ()
    deep: Deep | None = None
    beside: Beside | None = None
    present: Present | None = None


@dataclass(frozen=True, slots=True)
class FolderFormat:
    """A format that is a whole folder (SavedModel, mlpackage). matches: by names in it; it must not read the files."""

    name: str
    matches: Callable[[Path], bool]
    read: Read
    deep: Deep | None = None
    present: Present | None = None
