"""LoadAttempt: what a load is, as a pure state machine over journal events.

An attempt begins, goes through stages, and ends once: it tells its own end (`End`), or it dies and the witness tells
it (`Death`). Nothing here reads a clock, a file or a process: the same events give the same attempt, so a journal
that is read twice, by another process or after a restart, is the same load.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from model_load_exporter.reasons import reason_or_unknown

STAGES = ("download", "config", "tokenizer", "weights", "device", "pipeline", "warmup", "inference", "other")
"""The closed set of stages (label `stage`), in the order in which a load usually passes them."""

OUTCOMES = ("loaded", "failed", "cancelled")

MAX_STAGES = 256
"""Stages kept of one attempt; what a hostile or looping writer adds beyond is dropped."""

MAX_WAITS = 16
"""Stalls kept of one attempt."""


def stage_label(name: str) -> str:
    """The stage if it is of the closed set, else `other`: a writer's own stage names stay in the history."""
    return name if name in STAGES else "other"


@dataclass(frozen=True, slots=True)
class Begin:
    """A load began. `time` is unix seconds, `monotonic` the writer's CLOCK_MONOTONIC in seconds where it tells it."""

    id: str
    time: float
    model: str
    kind: str
    pid: int
    boot_id: str
    target: str = ""
    path: str | None = None
    repo: str | None = None
    group: str | None = None
    rank: str | None = None
    parent: str | None = None
    pid_namespace: int | None = None
    monotonic: float | None = None
    runtime: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StageBegin:
    """A stage began."""

    time: float
    stage: str
    monotonic: float | None = None


@dataclass(frozen=True, slots=True)
class StageEnd:
    """A stage ended; `failed` where an exception left it. Memory in bytes, as the process saw itself."""

    time: float
    stage: str
    rss: int | None = None
    anonymous: int | None = None
    failed: bool = False
    monotonic: float | None = None


@dataclass(frozen=True, slots=True)
class Kill:
    """Whoever is about to end a process says so first, in a file of its own. cause: `timeout`, or a word of its own."""

    time: float
    pid: int
    boot_id: str
    pid_namespace: int | None
    cause: str


@dataclass(frozen=True, slots=True)
class End:
    """The process told how its load ended."""

    time: float
    outcome: str
    reason: str | None = None
    message: str = ""
    peak_rss: int | None = None
    peak_anonymous: int | None = None
    monotonic: float | None = None
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Death:
    """The process ended without telling; the witness gives the reason, its confidence and what it rests on."""

    time: float
    reason: str
    message: str = ""
    confidence: str = "low"
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """The load did not move from `since` on, and at `seen` it waited for this. kind: a word; what: a line."""

    since: float
    seen: float
    stage: str
    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class ParentStatus:
    """The parent of the process that wrote a file tells how it ended. status: as wait(2) has it."""

    time: float
    pid: int
    status: int


Event = Begin | StageBegin | StageEnd | End | ParentStatus


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of an attempt; `seconds` is None while it is open or where it never ended."""

    name: str
    began: float
    began_monotonic: float | None = None
    seconds: float | None = None
    rss: int | None = None
    anonymous: int | None = None
    failed: bool = False


def _seconds(began: float, began_monotonic: float | None, time: float, monotonic: float | None) -> float:
    """Duration between two events; by the monotonic clock where both tell it, so that no clock jump shows."""
    if began_monotonic is not None and monotonic is not None:
        return max(0.0, monotonic - began_monotonic)
    return max(0.0, time - began)


class LoadAttempt:
    """One load by one process, from its begin to its one end.

    Events that make no sense where they come (a second begin, a stage's end without its begin, anything after the
    end) change nothing.
    """

    def __init__(self, begin: Begin) -> None:
        self.begin = begin
        self.stages: list[Stage] = []
        self.outcome: str | None = None
        self.reason: str | None = None
        self.message = ""
        self.confidence = ""
        self.evidence: tuple[str, ...] = ()
        self.ended: float | None = None
        self.seconds: float | None = None
        self.peak_rss: int | None = None
        self.peak_anonymous: int | None = None
        self.parent_status: int | None = None
        self.notes: dict[str, Any] = {}
        self.waits: list[Wait] = []
        # Where the exception that is on its way out came from; anything but a stage's failed end means it was caught.
        self._raised_in: str | None = None

    @property
    def id(self) -> str:
        """The attempt's id, unique in the spool and in the ledger."""
        return self.begin.id

    @property
    def open(self) -> bool:
        """True until the one end."""
        return self.outcome is None

    @property
    def stage(self) -> str:
        """Where the load is; once it ended badly, where it was. `other` before the first stage and between two."""
        for stage in reversed(self.stages):
            if stage.seconds is None:
                return stage.name
        return self._raised_in or "other"

    def apply(self, event: Event) -> None:
        """Takes the next event of the journal."""
        if not self.open:
            return
        if isinstance(event, StageBegin):
            self._raised_in = None
            if len(self.stages) < MAX_STAGES:
                self.stages.append(Stage(event.stage, event.time, event.monotonic))
        elif isinstance(event, StageEnd):
            self._end_stage(event)
        elif isinstance(event, End):
            self._end(event)
        elif isinstance(event, ParentStatus) and event.pid == self.begin.pid:
            self.parent_status = event.status

    def die(self, death: Death) -> None:
        """Takes the witness's verdict: the process ended and did not tell."""
        if not self.open:
            return
        self.outcome = "failed"
        self.reason = reason_or_unknown(death.reason)
        self.message = death.message
        self.confidence = death.confidence
        self.evidence = death.evidence
        self.ended = max(death.time, self.begin.time)
        self.seconds = self.ended - self.begin.time

    def observe_memory(self, rss: int | None, anonymous: int | None) -> None:
        """Takes a reading of the process's memory (bytes), from inside or outside; the highest one stays."""
        if rss is not None:
            self.peak_rss = max(rss, self.peak_rss or 0)
        if anonymous is not None:
            self.peak_anonymous = max(anonymous, self.peak_anonymous or 0)

    def wait(self, wait: Wait) -> bool:
        """Takes what it was seen to wait for while it did not move; False where that is known already."""
        last = self.waits[-1] if self.waits else None
        if (
            not self.open
            or len(self.waits) >= MAX_WAITS
            or (last and (last.what, last.since) == (wait.what, wait.since))
        ):
            return False
        self.waits.append(wait)
        return True

    def _end_stage(self, event: StageEnd) -> None:
        self.observe_memory(event.rss, event.anonymous)
        for index in range(len(self.stages) - 1, -1, -1):
            stage = self.stages[index]
            if stage.name == event.stage and stage.seconds is None:
                seconds = _seconds(stage.began, stage.began_monotonic, event.time, event.monotonic)
                self.stages[index] = replace(
                    stage, seconds=seconds, rss=event.rss, anonymous=event.anonymous, failed=event.failed
                )
                self._raised_in = (self._raised_in or stage.name) if event.failed else None
                return

    def _end(self, event: End) -> None:
        self.observe_memory(event.peak_rss, event.peak_anonymous)
        self.outcome = event.outcome
        self.reason = reason_or_unknown(event.reason) if event.outcome == "failed" else None
        self.message = event.message
        self.notes = event.notes
        self.confidence = "told"
        self.seconds = _seconds(self.begin.time, self.begin.monotonic, event.time, event.monotonic)
        self.ended = max(event.time, self.begin.time)
