"""Logs that begin with the newest line: consoles of cloud providers and log stores give them so."""

from collections.abc import Sequence
from itertools import pairwise

from model_load_exporter.analysis.events import Event
from model_load_exporter.analysis.sign import BEGIN
from model_load_exporter.analysis.timestamps import AGE

_LEAST = 3
"""Steps back in time that make a log one of the newest first: processes that share a log write a few late."""


def oldest_first(events: Sequence[Event]) -> list[Event]:
    """One source's events from the oldest on, numbered so in `at`. `events` come in the order of their lines."""
    ordered = list(events)
    if _newest_first(ordered):
        ordered.reverse()
        stage = None
        for event in ordered:
            # Counted while reading backwards: a beginning closed the attempt that was read before it.
            event.attempt = -event.attempt + (event.role == BEGIN)
            if event.stage_told:
                stage = event.stage
            else:
                event.stage = stage
    for at, event in enumerate(ordered):
        event.at = at
    return ordered


def _newest_first(events: Sequence[Event]) -> bool:
    stamps = [event.stamp for event in events if event.stamp is not None and not event.carried]
    steps = [
        later.value - earlier.value
        for earlier, later in pairwise(stamps)
        if earlier.kind == later.kind and earlier.kind != AGE
    ]
    back = sum(step < 0 for step in steps)
    return back >= _LEAST and back > 3 * sum(step > 0 for step in steps)
