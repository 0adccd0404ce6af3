"""What was found about files: one FileReport each, and the document that `verify --json` prints."""

from dataclasses import dataclass, field
from pathlib import Path

SCHEMA = 1

METADATA = ("version", "producer", "architecture", "dtype")
"""The keys of a file's metadata that every answer has, null where the format does not tell."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a verification is. done, total: bytes to read for checksums, 0 below that level. path: what is read."""

    path: Path
    done: int
    total: int
    files_done: int
    files: int


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file, or a folder as a whole.

    format: its name, `unknown` where none fits. reason: of the closed set, None where ok. detail: one line, empty where
    there is nothing to say. sha256: None below level checksum or where it could not be read to its end. metadata:
    version, producer, architecture, dtype as far as the file tells, and `note` for what a person should know of a good
    file. size: bytes. modified: seconds since the epoch; both None where it could not be looked at.
    """

    path: Path
    format: str
    ok: bool
    reason: str | None = None
    detail: str = ""
    sha256: str | None = None
    metadata: dict[str, str] = field(default_factory=dict, hash=False)
    size: int | None = None
    modified: float | None = None

    def to_json(self) -> dict[str, object]:
        """The contract's shape of one file."""
        return {
            "path": str(self.path),
            "format": self.format,
            "ok": self.ok,
            "reason": self.reason,
            "detail": self.detail,
            "sha256": self.sha256,
            "metadata": {**dict.fromkeys(METADATA), **self.metadata},
            "size": self.size,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All files, by path. models: the folders (or single files) that they belong to."""

    files: tuple[FileReport, ...]
    models: tuple[Path, ...] = ()

    @property
    def ok(self) -> bool:
        """True when every file is good."""
        return all(file.ok for file in self.files)

    def to_json(self) -> dict[str, object]:
        """The contract's shape of `verify --json`."""
        return {"schema": SCHEMA, "ok": self.ok, "files": [file.to_json() for file in self.files]}
