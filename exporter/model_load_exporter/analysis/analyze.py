"""Logs in, one answer out: the steps of `analyze` in their order."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from model_load_exporter.analysis import advice as what_to_do
from model_load_exporter.analysis import clients, order, relevance, timeline, timestamps
from model_load_exporter.analysis.cause import Cause, decide
from model_load_exporter.analysis.clock import Clock
from model_load_exporter.analysis.events import Event
from model_load_exporter.analysis.reading import TABLE, Reading
from model_load_exporter.analysis.report import Analysis, Evidence, Source
from model_load_exporter.analysis.scan import Progress, SourceError, scan
from model_load_exporter.analysis.sign import CLIENT, END, LOADED, STAGE
from model_load_exporter.analysis.stages import stage_of_reason
from model_load_exporter.reasons import REASONS

EVIDENCE = 8
"""Lines of evidence at most."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to read the logs.

    zone: of stamps that name none; the host's own by default. boot: when the host of the kernel's lines started, in
    seconds since the epoch. since, until: seconds since the epoch; lines known to be outside are left out.
    engine: of scan. runbooks: the address below which the runbooks are served.
    """

    zone: tzinfo | None = None
    boot: float | None = None
    since: float | None = None
    until: float | None = None
    engine: str | None = None
    runbooks: str = "/runbooks/"


def analyze(sources: Sequence[str], options: Options | None = None, progress: Progress | None = None) -> Analysis:
    """The cause that the logs tell together; "-" is standard input.

    Raises SourceError where no source at all can be read; those that cannot be, beside others, are told in `missing`.
    """
    options = options or Options()
    problems: list[SourceError] = []
    reading = Reading()
    for line in scan(sources, TABLE, engine=options.engine, progress=progress, problem=problems.append):
        reading.take(line)
    if len(problems) == len(sources) and reading.empty:
        raise problems[0]
    return conclude(reading, options, sources, [str(problem) for problem in problems])


def conclude(reading: Reading, options: Options, sources: Sequence[str] = (), problems: Sequence[str] = ()) -> Analysis:
    """What was read, put in order and judged."""
    zone = options.zone or datetime.now().astimezone().tzinfo
    assert zone is not None  # noqa: S101 - astimezone always gives one
    events = reading.events()
    clock = Clock(zone, time.time(), options.boot)
    clock.learn(events, reading.pairs)
    clock.set(events)
    events = [event for event in events if _within(event, options)]
    clients.mark(events)
    ordered = relevance.judge(order.merged(events), reading.pids)
    cause = decide(ordered)
    shown = _shown_zone(ordered, zone)
    return Analysis(
        reason=cause.reason,
        stage=_stage(cause, ordered),
        confidence=cause.confidence,
        summary=_summary(cause, _stage(cause, ordered)),
        evidence=_evidence(cause, ordered),
        timeline=timeline.build(ordered, cause.event, cause.failures, shown),
        advice=what_to_do.advice(cause, options.runbooks),
        missing=what_to_do.missing(cause, ordered, problems, reading.left_out),
        incidents=cause.incidents,
        sources=tuple(_source(name, problems) for name in sources),
        time=None
        if cause.event is None or cause.event.seconds is None
        else timestamps.shown(cause.event.seconds, shown),
    )


def _source(name: str, problems: Sequence[str]) -> Source:
    mine = (problem.removeprefix(f"{name}: ") for problem in problems if problem.startswith(f"{name}: "))
    return Source(name, next(mine, ""))


def _within(event: Event, options: Options) -> bool:
    if event.seconds is None:
        return True
    return (options.since is None or event.seconds >= options.since) and (
        options.until is None or event.seconds <= options.until
    )


def _shown_zone(events: Sequence[Event], zone: tzinfo) -> tzinfo | None:
    """Times are shown with an offset only where a line told one: without, they stay as they were written."""
    told = any(event.stamp is not None and event.stamp.kind == timestamps.ABSOLUTE for event in events)
    return zone if told else None


def _stage(cause: Cause, events: Sequence[Event]) -> str | None:
    """The stage of the deciding line; where its source tells none, the last one that another source told before it, or
    the only one in which such a thing can happen.
    """
    if cause.event is None:
        return None
    if cause.event.stage is not None:
        return cause.event.stage
    stage = None
    for event in events:
        if event is cause.event:
            break
        stage = event.stage if event.role == STAGE else None if event.role == LOADED else stage
    return stage or stage_of_reason(cause.reason)


def _summary(cause: Cause, stage: str | None) -> str:
    if cause.event is None:
        if cause.loaded is None:
            return "Nothing in these logs says that a load failed."
        up = "The model was loaded" if cause.loaded.role == LOADED else "The server came up"
        again = " after an earlier failure" if any(incident.resolved for incident in cause.incidents) else ""
        return f"{up}{again}."
    if cause.event.role == CLIENT and cause.reason == "network_error":
        return "A client lost its connection to the service, or got none; a client's log alone cannot say why."
    sentence = REASONS[cause.reason].sentence
    return f"{sentence[:-1]} (stage {stage})." if stage else sentence


def _evidence(cause: Cause, events: Sequence[Event]) -> tuple[Evidence, ...]:
    """The deciding line, then what confirms it, what followed from it, and the last stage before it."""
    if cause.event is None:
        return (_row(cause.loaded, "the load's good end"),) if cause.loaded is not None else ()
    chosen = [cause.event]
    confirming = [event for event in cause.failures if event.reason == cause.reason and event is not cause.event]
    ends = [event for event in cause.failures if event.role in (END, CLIENT) and event.reason != cause.reason]
    before = events[: next(at for at, event in enumerate(events) if event is cause.event)]
    stages = [event for event in before if event.role == STAGE][-1:]
    for event in (*confirming[:3], *ends[:2], *stages, *ends[2:], *confirming[3:]):
        if len(chosen) < EVIDENCE and all(event.text != other.text for other in chosen):
            chosen.append(event)
    return tuple(_row(event, _why(event, cause)) for event in chosen)


def _why(event: Event, cause: Cause) -> str:
    if event.says:
        return event.says
    if event.role == STAGE:
        return f"the last stage before: {event.stage}"
    if event.notes:
        return "; ".join(event.notes)
    return "" if event.reason == cause.reason else "follows from it"


def _row(event: Event, why: str) -> Evidence:
    return Evidence(event.source, event.number, event.text, why)
