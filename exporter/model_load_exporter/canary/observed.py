"""What the parent saw of one child: its reports line by line, and the end of its output.

The child is not trusted: it may send too much, the wrong types or half a line, and may end at any point.
"""

import json
import math
import time
from dataclasses import dataclass, field
from typing import Any

from model_load_exporter.attempt import stage_label
from model_load_exporter.canary.result import StageResult

LOG_TAIL = 8192
_LONGEST_LINE = 256 * 1024
_MOST_BYTES = 4 * 2**20
_MOST_STAGES = 200
_MOST_NUMBERS = 4096


@dataclass(slots=True)
class Observed:
    """One child as seen so far.

    report: its last word on the load, None while it has said none. call: the library's function that the last stage
    to begin called, '' where it did not say. wait_status: of the loading process, as waitpid
    gives it, None if its guard did not live to tell. over_limit: the guard ended it at the memory limit.
    """

    stages: list[StageResult] = field(default_factory=list)
    open_stage: str | None = None
    failed_stage: str | None = None
    open_since: float | None = None
    call: str = ""
    contained: bool | None = None
    refused: str | None = None
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    report: dict[str, Any] | None = None
    wait_status: int | None = None
    over_limit: bool = False
    peak_rss: int | None = None
    peak_anonymous: int | None = None
    log: bytes = b""
    log_bytes: int = 0
    _rest: bytes = b""
    _taken: int = 0

    def take_log(self, data: bytes) -> None:
        """More of the child's standard output and error; only the last LOG_TAIL bytes are kept."""
        self.log = (self.log + data)[-LOG_TAIL:]
        self.log_bytes += len(data)

    @property
    def log_tail(self) -> str:
        """The end of its output as text."""
        text = self.log.decode("utf-8", "replace")
        return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text.replace("\r", "\n"))

    def take_reports(self, data: bytes) -> bool:
        """More bytes of report lines; False once the child has said more than any load has to say."""
        self._taken += len(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line.strip():
                self._take_line(line)
        return self._taken <= _MOST_BYTES and len(self._rest) <= _LONGEST_LINE

    def _take_line(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            return
        if isinstance(event, dict):
            match event.get("event"):
                case "contained":
                    self._contained(event)
                case "started":
                    self.versions.update(_texts(event.get("versions")))
                case "stage_begin":
                    self.open_stage = stage_label(str(event.get("stage")))
                    self.call = text_of(event.get("call"), 200) or ""
                    self.open_since = time.monotonic()
                case "stage_end":
                    self._stage_end(event)
                case "report" if self.report is None:
                    self.report = event
                    self.notes += _lines(event.get("notes"))
                    self._peaks(event)
                case "exit":
                    self.wait_status = _integer(event.get("status"))
                    self.over_limit = event.get("over_limit") is True
                    self._peaks(event)

    def stages_until(self, ended: float) -> tuple[StageResult, ...]:
        """All stages, the one that was open at the end included with what it had taken by then (monotonic seconds)."""
        if self.open_stage is None or self.open_since is None:
            return tuple(self.stages)
        return (*self.stages, StageResult(self.open_stage, max(0.0, ended - self.open_since), None))

    def _contained(self, event: dict[str, Any]) -> None:
        self.contained = event.get("cgroup") is True
        if isinstance(event.get("refused"), str):
            self.refused = event["refused"][:500]
        if isinstance(event.get("python"), str):
            self.versions["python"] = event["python"][:40]
        self.notes += _lines(event.get("notes"))

    def _stage_end(self, event: dict[str, Any]) -> None:
        name, seconds = stage_label(str(event.get("stage"))), _number(event.get("seconds"))
        if seconds is not None and len(self.stages) < _MOST_STAGES:
            self.stages.append(StageResult(name, seconds, _integer(event.get("peak_rss"))))
        if event.get("failed") is True:
            self.failed_stage = name
        self.open_stage = self.open_since = None

    def _peaks(self, event: dict[str, Any]) -> None:
        """Loader and guard both tell them: the one measures its stages, the other survives it. None for nothing."""
        self.peak_rss = max(self.peak_rss or 0, _integer(event.get("peak_rss")) or 0) or None
        self.peak_anonymous = max(self.peak_anonymous or 0, _integer(event.get("peak_anonymous")) or 0) or None


def text_of(value: object, most: int) -> str | None:
    """A text that the child told, cut to `most` characters; None for anything else."""
    return value[:most] if isinstance(value, str) else None


def numbers_of(value: object) -> tuple[float, ...] | None:
    """Finite numbers that the child told, at most as many as it may tell; None for anything else."""
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_NUMBERS:
        return None
    found = [float(one) for one in value if isinstance(one, int | float) and not isinstance(one, bool)]
    return tuple(found) if len(found) == len(value) and all(map(math.isfinite, found)) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if 0 <= value < 1e12 else None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62 else None


def _lines(value: object) -> list[str]:
    return [one[:300] for one in value[:20] if isinstance(one, str)] if isinstance(value, list) else []


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(key)[:40]: one[:40] for key, one in list(value.items())[:20] if isinstance(one, str)}
