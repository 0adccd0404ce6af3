"""What happened, in order: the load's stages, the cause, the kernel's and the client's view; repeated lines folded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo

from model_load_exporter.analysis import timestamps
from model_load_exporter.analysis.events import Event
from model_load_exporter.analysis.keep import likeness
from model_load_exporter.analysis.sign import BOOT, CLIENT, CLOCK_SET, END, LOADED, SERVING, STAGE

LENGTH = 40
"""Entries of a timeline."""
SHOWN = 240
"""Characters of a line in it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the timeline, or several alike.

    time: ISO 8601, or None where it cannot be known; `clock` then has what the line tells ("[12345.678901]", "41s
    ago"), or "". speaker: service, kernel, client or cluster. what: the cause, a consequence, a stage, ...
    count, until: how many lines were folded, and the last one's time.
    """

    time: str | None
    clock: str
    source: str
    line: int
    speaker: str
    what: str
    text: str
    count: int = 1
    until: str | None = None

    def to_json(self) -> dict[str, object]:
        """The entry in `analyze --json`."""
        return {
            "time": self.time,
            "clock": self.clock,
            "source": self.source,
            "line": self.line,
            "speaker": self.speaker,
            "what": self.what,
            "text": self.text,
            "count": self.count,
            "until": self.until,
        }


def build(
    events: Sequence[Event], cause: Event | None, failures: Sequence[Event], zone: tzinfo | None
) -> tuple[Entry, ...]:
    """At most LENGTH entries, around the cause. events: in order. zone: of the times shown; None writes none."""
    told = {id(event) for event in failures}
    folded = _folded([event for event in events if event.role != CLOCK_SET], cause)
    chosen = _chosen(folded, cause, told)
    return tuple(_entry(event, count, until, cause, told, zone) for event, count, until in chosen)


_Folded = tuple[Event, int, float | None]


def _folded(events: Sequence[Event], cause: Event | None) -> list[_Folded]:
    """Neighbours of one source that say the same become one; the cause always stands for itself."""
    result: list[_Folded] = []
    for event in events:
        until = event.last_seconds if event.last_seconds is not None else event.seconds
        if result and event is not cause and result[-1][0] is not cause and _same(result[-1][0], event):
            first, count, _ = result[-1]
            result[-1] = (first, count + event.count, until)
        else:
            result.append((event, event.count, until if event.count > 1 else None))
    return result


def _same(one: Event, other: Event) -> bool:
    if (one.life, one.role, one.attempt) != (other.life, other.role, other.attempt):
        return False
    if one.role == STAGE:
        return one.stage == other.stage
    return one.reason == other.reason and likeness(one.text) == likeness(other.text)


def _chosen(folded: list[_Folded], cause: Event | None, told: set[int]) -> list[_Folded]:
    """All, where there are few; else the most telling ones, and what is near the cause."""
    if len(folded) <= LENGTH:
        return folded
    at = next((index for index, (event, _, _) in enumerate(folded) if event is cause), len(folded) - 1)

    def worth(index: int) -> tuple[float, int]:
        event = folded[index][0]
        weight = 100.0 if event is cause else 10 + event.rank if id(event) in told else _WEIGHTS.get(event.role, 0.0)
        return (-weight, abs(index - at))

    best = sorted(range(len(folded)), key=worth)[:LENGTH]
    return [folded[index] for index in sorted(best)]


_WEIGHTS = {LOADED: 9.0, SERVING: 8.0, END: 7.0, BOOT: 7.0, CLIENT: 6.0, STAGE: 5.0}


def _entry(
    event: Event, count: int, until: float | None, cause: Event | None, told: set[int], zone: tzinfo | None
) -> Entry:
    return Entry(
        time=None if event.seconds is None else timestamps.shown(event.seconds, zone),
        clock=_clock(event),
        source=event.source,
        line=event.number,
        speaker=event.speaker,
        what=_what(event, cause, told),
        text=event.text[:SHOWN],
        count=count,
        until=None if until is None or count == 1 else timestamps.shown(until, zone),
    )


def _clock(event: Event) -> str:
    if event.stamp is None or event.seconds is not None:
        return ""
    if event.stamp.kind == timestamps.BOOT:
        return f"[{event.stamp.value:.6f}] since boot"
    return f"{event.stamp.value:.0f}s before the log was taken" if event.stamp.kind == timestamps.AGE else ""


def _what(event: Event, cause: Event | None, told: set[int]) -> str:
    if event is cause:
        return f"cause: {event.reason}"
    if event.role == STAGE:
        return f"stage {event.stage}"
    if event.role == CLIENT:
        return "client"
    if event.fails:
        if event.excused:
            return f"{event.reason}, went on"
        return f"follows: {event.reason}" if id(event) in told else event.reason
    return event.says or event.role
