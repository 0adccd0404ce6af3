"""Events of several sources in one order.

By time where times are known; a source keeps its own order always (processes that share a log write late, and zones may
be mixed). A source without any time stands where its kind usually does: the kernel's and the cluster's lines before
the first end or complaint, a client's last.
"""

from collections.abc import Sequence
from itertools import groupby

from model_load_exporter.analysis.events import CLIENT_SIDE, CLUSTER, KERNEL, Event
from model_load_exporter.analysis.sign import CLIENT, END
from model_load_exporter.analysis.timestamps import AGE


def merged(events: Sequence[Event]) -> list[Event]:
    """All events in one list. `events` come source by source."""
    groups = [list(group) for _, group in groupby(events, key=lambda event: event.order)]
    timed = [group for group in groups if any(event.seconds is not None for event in group)]
    result = _by_time(timed)
    untimed = [_aged(group) for group in groups if not any(event.seconds is not None for event in group)]
    for group in sorted(untimed, key=_rank):
        at = _place(result, group)
        result[at:at] = group
    return result


def _by_time(groups: Sequence[list[Event]]) -> list[Event]:
    heads = [0] * len(groups)
    times = [_filled(group) for group in groups]
    result: list[Event] = []
    while True:
        left = [index for index, group in enumerate(groups) if heads[index] < len(group)]
        if not left:
            return result
        first = min(left, key=lambda index: times[index][heads[index]])
        result.append(groups[first][heads[first]])
        heads[first] += 1


def _filled(group: Sequence[Event]) -> list[float]:
    """A time for each event: its own, else that of the one before, else the first of the source."""
    last = next(event.seconds for event in group if event.seconds is not None)
    times = []
    for event in group:
        last = event.seconds if event.seconds is not None else last
        times.append(last)
    return times


def _aged(group: list[Event]) -> list[Event]:
    """Kubernetes tells how long ago: the oldest first."""
    if all(event.stamp is None or event.stamp.kind != AGE for event in group):
        return group
    return sorted(group, key=lambda event: -event.stamp.value if event.stamp and event.stamp.kind == AGE else 0.0)


def _rank(group: Sequence[Event]) -> int:
    speakers = {event.speaker for event in group}
    return 3 if speakers == {CLIENT_SIDE} else 2 if speakers <= {KERNEL, CLUSTER} else 1


def _place(result: Sequence[Event], group: Sequence[Event]) -> int:
    if _rank(group) != 2:
        return len(result)
    return next((at for at, event in enumerate(result) if event.role in (END, CLIENT)), len(result))
