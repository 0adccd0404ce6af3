"""From the lines that scan finds to events: what each says, and where the load was then."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from model_load_exporter.analysis import kernel, timestamps
from model_load_exporter.analysis.direction import oldest_first
from model_load_exporter.analysis.events import CLIENT_SIDE, CLUSTER, KERNEL, SERVICE, TEXT, Event
from model_load_exporter.analysis.following import shown
from model_load_exporter.analysis.judging import Judge, goes_on, heads_traceback, is_warned, outweighs
from model_load_exporter.analysis.keep import Keep
from model_load_exporter.analysis.scan import Line
from model_load_exporter.analysis.sign import (
    BEGIN,
    BOOT,
    CAUSE,
    CLIENT,
    CLOCK_SET,
    END,
    EXCUSE,
    FRAME,
    LOADED,
    NOTICE,
    SERVING,
    STAGE,
    STOP,
    TRACEBACK,
    Sign,
)
from model_load_exporter.analysis.signs import SIGNS
from model_load_exporter.analysis.stages import by_words, frame_stage
from model_load_exporter.classify.patterns import FAILED, PATTERNS, VAGUE, Pattern, compiled
from model_load_exporter.classify.text import Verdict

TABLE: tuple[Pattern | Sign, ...] = (*PATTERNS, *SIGNS)
"""What scan looks for: the wordings of failures, then the signs around them."""

EXCUSED = 0.5
"""The most that a failure counts whose speaker goes on: above a process's end, below all that stopped the load."""

_STREAM = r"^(?:(?P<compose>[\w.-]+-\d+)(?:\s+\|\s| exited with code )|\[(?P<pod>pod/[^\]\s]+)\] )"
"""Compose's and kubectl's prefix: several containers in one log."""
_STREAMS = 100
_PIDS = 1000
_TRACEBACK = 200
_SIGNS_FROM = len(PATTERNS)

_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")
_CLUSTER = (
    r"^\s*(?:Normal|Warning)\s+\S+\s|^\S+\s+(?:Normal|Warning)\s+[A-Z]\w+\s|"
    r"^\s*(?:Last State|Reason|Exit Code|State):\s"
)
_QUIET = r"^.{0,80}?\b(?:DEBUG|INFO|WARN|WARNING|debug|info|warning)\b"
# They name a package or a path, which may be called after a stage that the load has not reached.
_UNWORDED = frozenset(("dependency_missing", "port_in_use"))
_ROLES = (END, CLIENT, LOADED, BEGIN, SERVING, STOP, BOOT, STAGE, NOTICE, CLOCK_SET)


@dataclass(slots=True)
class _Place:
    """Where reading stands in one source."""

    order: int
    stream: str
    stamp: timestamps.Stamp | None = None
    stage: str | None = None
    attempt: int = 0
    traceback: int = 0
    frame: str | None = None
    excused: bool = False
    unfinished: Event | None = None
    ended: bool = False
    begun: set[str] = field(default_factory=set)
    keep: Keep = field(default_factory=Keep)


class Reading:
    """All sources, read line by line into a bounded number of events."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, _Place]] = {}
        self._judge = Judge()
        self.pids: set[int] = set()
        """Process ids that the services' own lines name."""
        self.pairs: list[tuple[timestamps.Stamp, float]] = []
        """Lines with a time of their own and the kernel's: they tie the two clocks together."""

    def take(self, line: Line) -> None:
        """One line of scan's."""
        place = self._place(line)
        signs = [row for index in line.rows if isinstance(row := TABLE[index], Sign)]
        if line.rows[0] >= _SIGNS_FROM and all(sign.role == EXCUSE for sign in signs) and not heads_traceback(line):
            return
        stamp = (timestamps.parse(line.time) if line.time else None) or timestamps.parse(line.text)
        own = stamp is not None
        if stamp is None and any(sign.role == TRACEBACK for sign in signs):
            stamp = _stamp_above(line)
        if stamp is not None:
            place.stamp = stamp
        event = None if kernel.is_forged(line.text) else self._event(line, place, signs)
        if event is None:
            return
        event.stamp, event.carried = place.stamp, not own
        if event.speaker == KERNEL:
            self._pair(line.text, stamp)
        elif len(self.pids) < _PIDS:
            event.pids = kernel.pids(line.text)
            self.pids.update(event.pids)
        place.keep.add(event)

    def events(self) -> list[Event]:
        """What was kept of all sources, source by source, each from the oldest on."""
        found: list[Event] = []
        for places in self._places.values():
            kept: list[Event] = []
            for place in places.values():
                if place.unfinished is not None:
                    place.keep.add(place.unfinished)
                    place.unfinished = None
                kept += place.keep.events()
            found += oldest_first(sorted(kept, key=lambda event: event.number))
        return found

    @property
    def empty(self) -> bool:
        """Whether nothing was found that matters."""
        return not self._places

    @property
    def left_out(self) -> int:
        """Kinds of lines that found no room."""
        return sum(place.keep.left_out for places in self._places.values() for place in places.values())

    def _place(self, line: Line) -> _Place:
        """Of its source, and of its container where several write into one."""
        places = self._places.setdefault(line.source, {})
        prefix = compiled(_STREAM).match(line.text)
        stream = (prefix["compose"] or prefix["pod"]) if prefix is not None else ""
        if stream not in places:
            stream = stream if len(places) < _STREAMS else ""
            order = list(self._places).index(line.source)
            places.setdefault(stream, _Place(order, stream))
        return places[stream]

    def _event(self, line: Line, place: _Place, signs: Sequence[Sign]) -> Event | None:
        self._traceback(line, place, signs)
        mark = next((sign.stage for sign in signs if sign.role == STAGE), None)
        place.stage = mark or place.stage
        told = min(
            (sign for sign in signs if sign.role in _ROLES),
            # A probe that failed is told in a client's words, and is none.
            key=lambda sign: (not (sign.role == NOTICE and sign.owns), _ROLES.index(sign.role), -sign.rank),
            default=None,
        )
        verdict = self._verdict(line, signs, told)
        if verdict is not None and not outweighs(told, verdict):
            return self._failure(line, place, verdict, told)
        return None if told is None else self._sign(line, place, told)

    def _verdict(self, line: Line, signs: Sequence[Sign], told: Sign | None) -> Verdict | None:
        if told is not None and told.owns:
            return None
        worded = any(index < _SIGNS_FROM for index in line.rows) or any(sign.role == CAUSE for sign in signs)
        return self._judge(line) if worded else None

    def _traceback(self, line: Line, place: _Place, signs: Sequence[Sign]) -> None:
        """Follows tracebacks: which frame was the innermost, and whether a warning printed the whole."""
        roles = {sign.role for sign in signs}
        if place.traceback and line.number > place.traceback + _TRACEBACK:
            place.traceback, place.frame, place.excused = 0, None, False
        if EXCUSE in roles and heads_traceback(line):
            place.excused = True
        if TRACEBACK in roles:
            place.traceback, place.frame = line.number, None
            place.excused = place.excused or is_warned(line)
            if not place.excused and compiled(_QUIET).search(line.text) is None:
                place.unfinished = self._made(line, place, CAUSE, SERVICE, "unknown", FAILED, place.stage)
                place.unfinished.stamp, place.unfinished.says = place.stamp, "a traceback whose end is not in the log"
        elif CAUSE in roles:
            place.unfinished = None
        for sign in signs:
            if sign.role == FRAME and not (place.frame == "warmup" and sign.stage == "inference"):
                place.frame = sign.stage
                place.traceback = place.traceback or line.number

    def _failure(self, line: Line, place: _Place, verdict: Verdict, told: Sign | None) -> Event:
        reason, rank, message = verdict
        speaker = _speaker(line.text, told)
        excused = place.excused or goes_on(line)
        loading = place.frame not in (None, "inference")
        stage = self._stage(line, place, reason, message)
        event = self._made(line, place, CAUSE, speaker, reason, float(rank), stage)
        event.loading, event.stage_told = loading, stage is not None and stage != place.stage
        if kernel.speaks_as_kernel(line.text) and not kernel.is_kernel(line.text):
            event.rank, event.says = min(event.rank, float(VAGUE)), "a kernel's words in another program's line"
        if excused:
            event.rank, event.excused = min(event.rank, EXCUSED), True
        if place.traceback and not any(mark in text for mark in _CHAINED for text in line.following[:4]):
            place.traceback, place.frame, place.excused = 0, None, False
        return event

    def _stage(self, line: Line, place: _Place, reason: str, message: str) -> str | None:
        """The frames of its traceback, its own words, the last stage that was told; in this order."""
        if place.frame is not None:
            return place.frame
        worded = None if reason in _UNWORDED else by_words(message) or by_words(line.text)
        return frame_stage(line.following) or worded or place.stage

    def _sign(self, line: Line, place: _Place, told: Sign) -> Event:
        if told.role == BEGIN:
            self._begin(place, told)
        place.ended = place.ended or told.role == END
        if told.role == LOADED:
            place.stage = "inference"
        fails = told.role in (END, CLIENT, STOP, BOOT)
        event = self._made(
            line,
            place,
            told.role,
            _speaker(line.text, told),
            told.reason if fails else "",
            float(told.rank),
            place.stage,
        )
        event.stage_told = told.role == STAGE
        event.says = told.says
        return event

    def _begin(self, place: _Place, told: Sign) -> None:
        """A server prints several lines as it begins; the same one again, or one after an end, is another attempt."""
        if place.ended or told.needle in place.begun:
            place.attempt += 1
            place.begun.clear()
            place.ended, place.stage = False, None
        place.begun.add(told.needle)
        place.traceback, place.frame, place.excused = 0, None, False

    def _made(
        self, line: Line, place: _Place, role: str, speaker: str, reason: str, rank: float, stage: str | None
    ) -> Event:
        return Event(
            line.source,
            place.order,
            line.number,
            line.text.strip()[:TEXT],
            role,
            speaker,
            reason,
            rank,
            stage,
            attempt=place.attempt,
            stream=place.stream,
        )

    def _pair(self, text: str, stamp: timestamps.Stamp | None) -> None:
        seconds = timestamps.kernel_seconds(text)
        if stamp is not None and stamp.kind != timestamps.BOOT and seconds is not None and len(self.pairs) < _PIDS:
            self.pairs.append((stamp, seconds))


def _stamp_above(line: Line) -> timestamps.Stamp | None:
    """A traceback has the time of the logger's own line over it, which may say nothing that is looked for."""
    texts = (text for raw in line.above for text in shown(raw)[-1:])
    return next((stamp for text in texts if (stamp := timestamps.parse(text)) is not None), None)


def _speaker(text: str, told: Sign | None) -> str:
    if told is not None and told.role == CLIENT:
        return CLIENT_SIDE
    if kernel.is_kernel(text):
        return KERNEL
    return CLUSTER if compiled(_CLUSTER).search(text) else SERVICE
