"""What one verification found, read from its child's lines. The lines are checked: a pipe can bring anything."""

import json
import math
from dataclasses import dataclass, field
from typing import Any

from model_load_exporter.reasons import reason_or_unknown

LEVELS = ("header", "checksum")

MOST_FILES = 10_000
"""Files that are told one by one; bad ones first."""

MOST_TEXT = 500
"""Characters of a detail."""

_LONGEST_LINE = 64 * 1024
_MOST_BYTES = 32 * 2**20
_LONGEST_PATH = 4096


@dataclass(frozen=True, slots=True)
class File:
    """One file. path: within the model's folder. reason: of the closed set where it is not ok. size: bytes.

    sha256: None where the contents were not read to their end. touched: the change time of its inode.
    """

    path: str
    ok: bool
    reason: str | None = None
    detail: str = ""
    size: int | None = None
    modified: float | None = None
    sha256: str | None = None
    touched: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A whole verification. stamp, size, modified, touched: see Survey. settled: False where a file changed meanwhile.

    count: files in all; `files` holds at most MOST_FILES of them, all bad ones first.
    """

    level: str
    stamp: str
    size: int
    modified: float | None
    touched: float | None
    settled: bool
    count: int
    files: tuple[File, ...] = ()


@dataclass(slots=True)
class Lines:
    """The child's lines as they come. finding: once it told its report. error: where it said that it cannot."""

    finding: Finding | None = None
    error: str = ""
    garbage: int = 0
    _files: list[File] = field(default_factory=list)
    _rest: bytes = b""
    _bytes: int = 0

    @property
    def flooded(self) -> bool:
        """True when it said more than any verification has to say."""
        return self._bytes > _MOST_BYTES

    def take(self, data: bytes) -> bool:
        """Takes what came; True where the child said something, as against noise."""
        self._bytes += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            self._rest = b""
            self.garbage += 1
        # A list: each line is taken, also after the first that says something.
        return any([self._line(line) for line in lines])  # noqa: C419

    def _line(self, line: bytes) -> bool:
        try:
            event = json.loads(line) if len(line) <= _LONGEST_LINE else None
            return isinstance(event, dict) and self._event(event)
        except (ValueError, TypeError, KeyError, RecursionError):
            self.garbage += 1
            return False

    def _event(self, event: dict[str, Any]) -> bool:
        kind = event.get("event")
        if kind == "file" and len(self._files) < MOST_FILES:
            self._files.append(_file(event))
        elif kind == "report":
            self.finding = _finding(event, tuple(self._files))
        elif kind == "error":
            self.error = str(event["message"])[:MOST_TEXT]
        else:
            return kind == "progress"
        return True


def _file(event: dict[str, Any]) -> File:
    ok = bool(event["ok"])
    sha256 = event.get("sha256")
    return File(
        path=str(event["path"])[:_LONGEST_PATH],
        ok=ok,
        reason=None if ok else reason_or_unknown(event.get("reason")),
        detail=str(event.get("detail") or "")[:MOST_TEXT],
        size=_whole(event.get("size")),
        modified=_time(event.get("modified")),
        sha256=sha256 if isinstance(sha256, str) and len(sha256) == 64 else None,
        touched=_time(event.get("touched")),
    )


def _finding(event: dict[str, Any], files: tuple[File, ...]) -> Finding:
    if event["level"] not in LEVELS:
        raise ValueError("no level")
    return Finding(
        level=event["level"],
        stamp=str(event["stamp"])[:64],
        size=_whole(event["size"]) or 0,
        modified=_time(event["modified"]),
        touched=_time(event["touched"]),
        settled=bool(event["settled"]),
        count=_whole(event["count"]) or 0,
        files=files,
    )


def _whole(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**63 else None


def _time(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and math.isfinite(value) else None
