"""Whether a line of the kernel's log speaks of the service, where the logs can tell.

Other programs of the host die too: a browser that the OOM killer ended an hour before a good load explains nothing.
"""

from collections.abc import Collection, Sequence

from model_load_exporter.analysis import kernel
from model_load_exporter.analysis.events import KERNEL, Event
from model_load_exporter.analysis.sign import BEGIN, CAUSE, CLIENT, END, LOADED, SERVING, STAGE
from model_load_exporter.classify.patterns import EXACT, PLAIN

WITNESSED = EXACT + 1.0
"""The rank of a kernel line that names the service's process, or falls together with its end."""

_BEFORE, _AFTER = 60.0, 300.0
"""Seconds around the services' lines in which a kernel line may be theirs."""
_TOGETHER = 30.0
"""Seconds between a kill and what others say of it: a client's timeout, a supervisor's look, a second's rounding."""
_WENT_ON = 5.0

_GONE = frozenset(("killed", "process_died", "host_oom_killed", "cgroup_oom_killed", "unknown"))


def judge(events: Sequence[Event], pids: Collection[int]) -> list[Event]:
    """The events without the kernel's lines on others; those that surely are the service's get WITNESSED."""
    others = [event for event in events if event.speaker != KERNEL and event.role in _TELLING]
    if not others:
        return list(events)
    return [event for event in events if event.speaker != KERNEL or not event.fails or _theirs(event, others, pids)]


_TELLING = frozenset((BEGIN, CAUSE, CLIENT, END, LOADED, SERVING, STAGE))


def _theirs(event: Event, others: Sequence[Event], pids: Collection[int]) -> bool:
    victim = kernel.victim(event.text)
    if victim is not None and victim.pid in pids:
        event.rank = _witnessed(event.rank)
        event.notes.append(f"process {victim.pid} is named in the service's log too")
        return True
    ends = [other for other in others if other.role == CLIENT or other.reason in _GONE]
    explained = any(
        other.role == CAUSE and other.rank >= PLAIN and not other.excused and other.reason not in _GONE
        for other in others
    )
    likely = victim is None or victim.may_serve
    times = [time for other in others for time in (other.seconds, other.last_seconds) if time is not None]
    if event.seconds is None or not times:
        if ends and not explained:
            return True
        return likely and not _up(others)
    if not min(times) - _BEFORE <= event.seconds <= max(times) + _AFTER:
        return False
    if any(other.seconds is not None and abs(other.seconds - event.seconds) <= _TOGETHER for other in ends):
        if likely:
            event.rank = _witnessed(event.rank)
        return likely or not explained
    went_on = any(
        other.seconds is not None
        and other.role in (STAGE, LOADED, SERVING)
        and other.seconds > event.seconds + _WENT_ON
        for other in others
    )
    return likely and not went_on


def _witnessed(rank: float) -> float:
    """Of one report the exact line stays above the plain ones: whose limit was hit stands in its last lines."""
    return max(rank, WITNESSED + (rank - EXACT) / 4) if rank >= PLAIN else rank


def _up(others: Sequence[Event]) -> bool:
    """Whether the last that was heard of the service is that it is up."""
    last = next((other for other in reversed(others) if other.role in (BEGIN, END, LOADED, SERVING)), None)
    return last is not None and last.role in (LOADED, SERVING)
