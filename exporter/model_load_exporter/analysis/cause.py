"""What the events mean together: which of them is the cause, which follow from it, and which are no failure at all.

    failures ─> made good? ─> of the last attempt that failed ─> the highest rank ─> among equals the first

A cause is told before its consequences, and in more exact words than they. The exceptions are few, and stand in
EXPLAINED_BY.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from model_load_exporter.analysis.events import CLIENT_SIDE, KERNEL, Event
from model_load_exporter.analysis.sign import BEGIN, BOOT, CAUSE, CLIENT, END, LOADED, SERVING, STAGE, STOP
from model_load_exporter.classify.patterns import EXACT, LAST, PLAIN, VAGUE
from model_load_exporter.reasons import REASONS

_MEMORY = ("host_oom_killed", "cgroup_oom_killed", "host_memory_error", "resource_limit")
_GPU = ("gpu_out_of_memory", "gpu_unavailable", "gpu_fault")

EXPLAINED_BY: dict[str, tuple[str, ...]] = {
    # Native code that gets no memory, no GPU or no answer from its peers often ends by a signal.
    "segfault": (*_MEMORY, *_GPU, "timeout", "disk_full"),
    "bus_error": (*_MEMORY, "disk_full"),
    "aborted": (*_MEMORY, *_GPU, "timeout", "disk_full"),
    # One rank dies, the others wait for it; its starter may give up before systemd tells who killed it.
    "timeout": (*_MEMORY, *_GPU, "segfault"),
    # nvidia-smi finds no device where one fell off the bus.
    "gpu_unavailable": ("gpu_fault",),
    # Kubernetes says OOMKilled of every container whose process the OOM killer ended, the host's out of memory too.
    "cgroup_oom_killed": ("host_oom_killed",),
    # What could not be written whole is damaged later, or not there.
    "file_corrupted": ("disk_full",),
    "file_missing": ("disk_full", "permission_denied", "auth_denied"),
}
"""Consequence -> causes that explain it although it is told in words as exact as theirs, or more exact."""

_NO_LOAD = frozenset(("network_error", "timeout", "port_in_use", "killed"))
"""What may happen to a service that has its model without a load having failed."""
_SERVICES = frozenset((BEGIN, STAGE, LOADED, SERVING, CAUSE, CLIENT))
"""What only a service's log has."""
_READING = frozenset(("download", "config", "tokenizer", "weights"))
_WHILE = 60.0
INCIDENTS = 20


@dataclass(frozen=True, slots=True)
class Incident:
    """One attempt that failed. resolved: a later one in the same log loaded."""

    event: Event
    resolved: bool


@dataclass(frozen=True, slots=True)
class Cause:
    """The answer. event: the deciding line, None where nothing failed. failures: every line that tells of this failure,
    the cause's and its consequences', in order. loaded: the line that says that the model is there.
    """

    event: Event | None
    confidence: str
    failures: tuple[Event, ...] = ()
    loaded: Event | None = None
    incidents: tuple[Incident, ...] = ()

    @property
    def reason(self) -> str:
        """Of the closed set, or `none`."""
        return self.event.reason if self.event is not None else "none"


def decide(events: Sequence[Event]) -> Cause:
    """The cause. `events`: of all sources, in one order, without kernel lines on other programs."""
    lives = {life: _Life([event for event in events if event.life == life]) for life in {e.life for e in events}}
    failures = [event for event in events if event.fails and lives[event.life].counts(event, events)]
    resolved = {id(event) for event in failures if lives[event.life].made_good(event)}
    loaded = next((event for role in (LOADED, SERVING) for event in reversed(events) if event.role == role), None)
    standing = [event for event in failures if id(event) not in resolved]
    standing = _last_attempts(standing)
    if loaded is not None and loaded.role == LOADED and all(event.role == CLIENT for event in standing):
        standing = []
    if all(event.excused for event in standing):
        incidents = _incidents(failures, resolved, None, ())
        return Cause(None, _confidence_of_none(loaded), (), loaded, incidents)
    best = _best(standing)
    incidents = _incidents(failures, resolved, best, standing)
    if best.role == CLIENT and _loading(events, best):
        # The service's log stops in mid-load, and its clients lose it: it ended, and nothing says how.
        best.reason = "process_died"
    return Cause(best, _confidence(best, standing), tuple(standing), loaded, incidents)


class _Life:
    """What one source tells of its process's life."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events

    def counts(self, event: Event, everything: Sequence[Event]) -> bool:
        """Whether it is a failure of a load, given what was before it."""
        if event.role == BOOT:
            # A log of the host alone knows of no loads: that the host went down is what it has to tell.
            return _loading(everything, event) or (
                event.number > 1 and not any(o.role in _SERVICES for o in everything)
            )
        if event.role == STOP:
            return _loading(everything, event)
        up = self._up(event)
        if up is None or event.speaker == KERNEL or event.role == END:
            return True
        if event.role == CLIENT:
            return False
        grave = event.loading or REASONS[event.reason].family in ("memory", "gpu")
        if event.rank >= EXACT:
            # Long after, what a request trips over is no failed load: a full disk, a missing module, a port.
            lost = grave or REASONS[event.reason].family == "process"
            return event.reason != "network_error" and (lost or not self._served(event))
        if event.rank < PLAIN or event.reason in _NO_LOAD:
            return False
        return up == SERVING or grave

    def made_good(self, event: Event) -> bool:
        """Whether the model was loaded after it."""
        later = [other for other in self._events if other.at > event.at]
        for at, other in enumerate(later):
            if other.role == LOADED and not _at_once(event, other):
                return True
            if event.reason == "timeout" and event.role == CAUSE:
                continue  # another worker is up; it will load, too
            if event.reason == "port_in_use" and other.stage in _READING and other.attempt == event.attempt:
                return True  # who has the port serves this load
            if other.role == SERVING:
                again = other.attempt > event.attempt
                progress = any(between.role == STAGE for between in later[:at])
                vague = event.role == CAUSE and event.rank <= VAGUE
                if again or (progress and event.role != END) or vague:
                    return True
        return False

    def _served(self, event: Event) -> bool:
        """Whether its model had been there for a while."""
        times = [o.seconds for o in self._events if o.role == LOADED and o.at < event.at and o.attempt == event.attempt]
        since = times[-1] if times else None
        return since is not None and event.seconds is not None and event.seconds - since >= _WHILE

    def _up(self, event: Event) -> str | None:
        """LOADED or SERVING if the attempt had got so far before the event."""
        before = {o.role for o in self._events if o.at < event.at and o.attempt == event.attempt}
        return LOADED if LOADED in before else SERVING if SERVING in before else None


def _at_once(event: Event, other: Event) -> bool:
    """Whether both were told in one second: no second try is over so soon; it is another process's."""
    told = not (event.carried or other.carried or event.excused) and event.rank >= EXACT
    times = event.seconds, other.seconds
    return told and times[0] is not None and times[1] is not None and abs(times[1] - times[0]) < 1


def _loading(events: Sequence[Event], event: Event) -> bool:
    """Whether a load was under way just before the event, in any source."""
    for other in reversed(events[: next(at for at, e in enumerate(events) if e is event)]):
        if other.role in (LOADED, SERVING, END) or (other.role == CAUSE and not other.excused):
            return False
        if other.role == STAGE:
            return True
    return False


def _last_attempts(events: Sequence[Event]) -> list[Event]:
    """Of each source the last attempt that failed and says why; with an end after it that it explains."""
    result: list[Event] = []
    for life in {event.life for event in events}:
        own = [event for event in events if event.life == life]
        for least in (PLAIN, VAGUE, -99):
            telling = [event.attempt for event in own if event.rank >= least and not event.excused]
            if telling:
                result.extend(event for event in own if event.attempt >= max(telling))
                break
        else:
            result.extend(own)
    chosen = {id(event) for event in result}
    return [event for event in events if id(event) in chosen]


def _best(events: Sequence[Event]) -> Event:
    # The first among equals; that a process died is the least that can be said of it.
    best = max(events, key=lambda event: (event.rank, event.reason != "process_died"))
    if best.reason == "network_error" and best.rank < EXACT:
        best = _told_by_others(best, events)
    if best.reason == "process_died" and (best.role == END or best.rank <= LAST):
        best = _last_words(best, events)
    for _ in range(len(EXPLAINED_BY)):
        at = next(at for at, event in enumerate(events) if event is best)
        causes = [
            event
            for place, event in enumerate(events)
            if (place <= at or best.reason == "cgroup_oom_killed" or _told_late(best, event))
            and event.reason in EXPLAINED_BY.get(best.reason, ())
            and event.rank >= (max(EXACT, best.rank) if best.reason == "cgroup_oom_killed" else PLAIN)
            and not event.excused
        ]
        if not causes:
            return best
        best = max(causes, key=lambda event: event.rank)
    return best


def _told_late(best: Event, event: Event) -> bool:
    """Whether the kernel did it: systemd tells whom it killed perhaps after their peers gave up, and people look into
    its log last.
    """
    killed = best.reason == "timeout" and event.reason in ("host_oom_killed", "cgroup_oom_killed")
    return killed or (best.reason == "gpu_unavailable" and event.speaker == KERNEL)


def _told_by_others(best: Event, events: Sequence[Event]) -> Event:
    """A broken connection is a client's view of an end that another source tells."""
    ends = [
        event
        for event in events
        if event.life != best.life
        and event.speaker != CLIENT_SIDE
        and not event.excused
        and event.reason not in ("network_error", "unknown")
    ]
    return max(ends, key=lambda event: event.rank, default=best)


def _last_words(best: Event, events: Sequence[Event]) -> Event:
    """An error that nobody recognises tells more than that the process then ended."""
    words = [event for event in events if event.role == CAUSE and event.reason == "unknown" and not event.excused]
    before = [event for event in words if event.life == best.life and event.at < best.at]
    return before[-1] if before else best


def _confidence(best: Event, events: Sequence[Event]) -> str:
    """high: exact words, and nothing as exact says otherwise. low: only an end, a vague line, or an unknown error."""
    if best.rank <= VAGUE or (best.role == BOOT and best.stage is None):
        return "low"
    explained = EXPLAINED_BY.keys()
    rivals = {
        event.reason
        for event in events
        if event.rank >= best.rank and event.reason != best.reason and not event.excused
        and not (event.reason in explained and best.reason in EXPLAINED_BY[event.reason])
    }  # fmt: skip
    if best.rank >= EXACT and not rivals:
        return "high"
    return "medium"


def _confidence_of_none(loaded: Event | None) -> str:
    if loaded is None:
        return "low"
    return "high" if loaded.role == LOADED else "medium"


def _incidents(
    failures: Sequence[Event], resolved: set[int], cause: Event | None, standing: Sequence[Event]
) -> tuple[Incident, ...]:
    """The best line of each attempt that failed, the last ones; what follows from the answer's cause is none."""
    told = {id(event) for event in standing}
    attempts: dict[tuple[tuple[int, str], int], list[Event]] = {}
    for event in failures:
        if event is cause or not (event.excused or id(event) in told):
            attempts.setdefault((event.life, event.attempt), []).append(event)
    best = [cause if cause in events else _best(events) for events in attempts.values()]
    return tuple(Incident(event, id(event) in resolved) for event in best if event is not None)[-INCIDENTS:]
