"""Where one model's files stand: the last verdict, what changed since when."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from model_load_exporter.verification.finding import Finding

_ROT = "its contents changed and nobody wrote it: size and times are those of before; its sha256 was {}"

MOST_PROBLEMS = 100
MOST_EVENTS = 20
MOST_EVENT_FILES = 20


Known = tuple[int | None, str | None, float | None, float | None]
"""What is known of one file: size, sha256, times of the last modification and of the last change of its inode."""

_NOTHING: Known = (None, None, None, None)


@dataclass(frozen=True, slots=True)
class Problem:
    """One bad file."""

    path: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file that is another than before. old, new: sha256; None where the file was not there, or was not read."""

    path: str
    old: str | None
    new: str | None
    old_size: int | None
    new_size: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a model's files, as one verification saw it. time: when it was first seen. count: files in all."""

    time: float
    count: int
    files: tuple[FileChange, ...]


@dataclass(slots=True)
class FileStanding:
    """One model's files. Times in unix seconds, sizes in bytes.

    path: what was verified, as configured. verified: the last verdict, of any level. checksummed: when the contents
    were last read whole; stamp: how the files looked then. outside, inside: what names, sizes and headers say now, and
    what the contents said when they were last read; files are good where both are empty. reasons: every one seen.
    files: what is known of each, by path. rotten: those whose contents changed though nothing was written, with the
    sha256 that they ought to have. changed, changes: when files were last seen to differ, and how often.
    errors: verifications without a verdict, by cause; error: what the last of them said, '' since there was a verdict.
    """

    path: str = ""
    verified: float | None = None
    checksummed: float | None = None
    stamp: str = ""
    size: int = 0
    modified: float | None = None
    count: int = 0
    outside: list[Problem] = field(default_factory=list)
    inside: list[Problem] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    files: dict[str, Known] = field(default_factory=dict)
    rotten: dict[str, str] = field(default_factory=dict)
    changed: float | None = None
    changes: int = 0
    events: list[Change] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    error: str = ""

    @property
    def problems(self) -> list[Problem]:
        """Every bad file once for each reason."""
        found = {(problem.path, problem.reason): problem for problem in (*self.inside, *self.outside)}
        return list(found.values())[:MOST_PROBLEMS]

    @property
    def valid(self) -> bool:
        """True when nothing is known to be wrong."""
        return not self.outside and not self.inside

    def take(self, finding: Finding, now: float, *, reads: bool) -> Change | None:
        """Takes a verdict; the change that it shows. reads: False where this model's contents are never read."""
        problems = [Problem(file.path, file.reason or "unknown", file.detail) for file in finding.files if not file.ok]
        change = None
        if finding.level == "checksum":
            self._look_for_rot(finding)
            problems += [Problem(path, "file_corrupted", _ROT.format(good)) for path, good in self.rotten.items()]
            change = self._compare(finding, now)
            self.checksummed, self.stamp = now, finding.stamp
            self.inside, self.outside = problems[:MOST_PROBLEMS], []
        else:
            self.outside = problems[:MOST_PROBLEMS]
            if not reads:
                change = self._compare(finding, now) if self.stamp != finding.stamp else None
                self.inside, self.rotten, self.checksummed, self.stamp = [], {}, None, finding.stamp
        self.verified, self.error = now, ""
        self.size, self.modified, self.count = finding.size, finding.modified, finding.count
        self.reasons = sorted({*self.reasons, *(problem.reason for problem in problems)})
        return change

    def _look_for_rot(self, finding: Finding) -> None:
        """Other contents under the same size and times: no program did that. A disk, a controller or memory did."""
        if not finding.settled:
            return
        rotten = {}
        for file in finding.files:
            size, sha256, modified, touched = self.files.get(file.path, _NOTHING)
            ought = self.rotten.get(file.path, sha256)
            if touched is None or (size, modified, touched) != (file.size, file.modified, file.touched):
                continue
            if ought is not None and file.sha256 != ought and (file.sha256 or file.path in self.rotten):
                rotten[file.path] = ought
        self.rotten = rotten

    def _compare(self, finding: Finding, now: float) -> Change | None:
        """What differs from the files as they were known; None at first sight, and where nothing does."""
        before, self.files = self.files, _known(finding, self.files)
        differing = [
            FileChange(path, old[1], new[1], old[0], new[0])
            for path in sorted({*before, *self.files})
            for old, new in ((before.get(path, _NOTHING), self.files.get(path, _NOTHING)),)
            if _differs(old, new)
        ]
        # Files beyond those that are told one by one come and go without a trace here.
        if not before or not differing:
            return None
        change = Change(now, len(differing), tuple(differing[:MOST_EVENT_FILES]))
        self.changed, self.changes = now, self.changes + 1
        self.events = [*self.events, change][-MOST_EVENTS:]
        return change


def _known(finding: Finding, before: Mapping[str, Known]) -> dict[str, Known]:
    """The files by path; what was known of one that is there and could not be read now, stays."""
    known = {}
    for file in finding.files:
        unread = file.sha256 is None and finding.level == "checksum"
        if unread and file.size is not None and file.path in before:
            known[file.path] = before[file.path]
        elif file.size is not None:
            known[file.path] = (file.size, file.sha256, file.modified, file.touched)
    return known


def _differs(old: Known, new: Known) -> bool:
    """By checksum where both are known: a file that was written anew with the same contents is no change."""
    if old[1] and new[1]:
        return old[1] != new[1]
    if old[0] != new[0]:
        return True
    return old[1] == new[1] and old[2] != new[2]


def from_json(fact: dict[str, Any]) -> FileStanding:
    """From what the ledger keeps. For what another version wrote: TypeError, KeyError, ValueError, AttributeError."""
    known = {key: fact[key] for key in FileStanding.__slots__ if key in fact}
    for key in ("outside", "inside"):
        known[key] = [Problem(**problem) for problem in known.get(key, [])]
    known["files"] = {path: (size, sha, *times) for path, (size, sha, *times) in known["files"].items()}
    known["events"] = [
        Change(event["time"], event["count"], tuple(FileChange(**file) for file in event["files"]))
        for event in known.get("events", [])
    ]
    return FileStanding(**known)
