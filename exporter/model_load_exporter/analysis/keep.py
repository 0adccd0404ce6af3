"""What is kept of endless logs: of each kind of line the first few and the last few, and how many there were."""

import re
from collections import deque

from model_load_exporter.analysis.events import Event
from model_load_exporter.analysis.sign import BEGIN, LOADED, SERVING

KINDS = 400
"""Kinds of lines kept of one source."""
FIRST, LAST = 3, 6
"""Lines kept of each kind."""

_CHANGING = re.compile(r"0x[0-9a-f]+|[0-9a-f]{8,}|\d+")
_LIFE = frozenset((BEGIN, LOADED, SERVING))


def likeness(text: str) -> str:
    """The line without its numbers: the same for lines that say the same."""
    return _CHANGING.sub("#", text[:200])


class _Kind:
    """The kept lines of one kind."""

    __slots__ = ("count", "first", "last")

    def __init__(self) -> None:
        self.first: list[Event] = []
        self.last: deque[Event] = deque(maxlen=LAST)
        self.count = 0

    def add(self, event: Event) -> None:
        self.count += 1
        if len(self.first) < FIRST:
            self.first.append(event)
            return
        if len(self.last) == LAST:
            left = self.last[0]
            into = self.first[-1]
            into.count += left.count
            into.last, into.last_stamp = left.last or left.number, left.last_stamp or left.stamp
        self.last.append(event)

    @property
    def weight(self) -> tuple[float, int]:
        newest = self.last[-1] if self.last else self.first[-1]
        return (9.0 if newest.role in _LIFE else newest.rank if newest.fails else -9.0, newest.number)


class Keep:
    """A bounded memory for the events of one source."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str], _Kind] = {}
        self.left_out = 0
        """Kinds of lines that had no room: of the least telling ones."""

    def add(self, event: Event) -> None:
        """Keeps it, or counts it with the lines like it."""
        key = (event.role, event.reason or event.stage or "", likeness(event.text))
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= KINDS:
                self._make_room()
            kind = self._kinds[key] = _Kind()
        kind.add(event)

    def events(self) -> list[Event]:
        """All that is kept, in the order of the source."""
        kept = [event for kind in self._kinds.values() for event in (*kind.first, *kind.last)]
        return sorted(kept, key=lambda event: event.number)

    def _make_room(self) -> None:
        # A quarter at once: sorting for each line of a hostile log would cost more than reading it.
        for key in sorted(self._kinds, key=lambda key: self._kinds[key].weight)[: KINDS // 4]:
            del self._kinds[key]
            self.left_out += 1
