"""One clock for all sources: completes what stamps leave out, and says so where it cannot.

A stamp without a year, a date or a zone takes them from the nearest full stamp of the logs, else from now and the
given zone. The kernel's seconds since boot become a time where the logs tell the boot's (syslog's stamp beside the
kernel's, the boot's own line, a journal of this exporter) or the caller does; else they stay without.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, tzinfo
from statistics import median

from model_load_exporter.analysis import timestamps
from model_load_exporter.analysis.events import Event
from model_load_exporter.analysis.timestamps import ABSOLUTE, AGE, BOOT, CLOCK, NAIVE, Stamp

_DAY = 86400.0
_CLOCK_SET = re.compile(r"setting system clock to \S+ \S*\s?\((\d{9,11})\)")
_JOURNAL = re.compile(r'"time":(\d{9,11}(?:\.\d+)?),"monotonic":(\d+(?:\.\d+)?)')


class Clock:
    """Stamps to seconds since the epoch.

    zone: of the stamps that name none. boot: when the host of the kernel's lines started, in seconds since the epoch,
    where the caller knows. now: of the caller.
    """

    def __init__(self, zone: tzinfo, now: float, boot: float | None = None) -> None:
        self.zone = zone
        self._now = now
        self.boot = boot
        self._near: float | None = None

    def learn(self, events: Sequence[Event], pairs: Iterable[tuple[Stamp, float]]) -> None:
        """Takes from the logs what completes their other stamps."""
        full = [self._full(event.stamp) for event in events if event.stamp and event.stamp.kind in (ABSOLUTE, NAIVE)]
        self._near = median(full) if full else None
        if self.boot is None:
            boots = [wall - since for stamp, since in pairs if (wall := self.seconds(stamp)) is not None]
            for event in events:
                boots.extend(_told_boot(event))
            self.boot = median(boots) if boots else None

    def set(self, events: Iterable[Event]) -> None:
        """Gives each event its seconds; those whose time cannot be known keep None."""
        for event in events:
            event.seconds = self.seconds(event.stamp)
            event.last_seconds = self.seconds(event.last_stamp)

    def seconds(self, stamp: Stamp | None) -> float | None:
        """Seconds since the epoch, or None."""
        if stamp is None or stamp.kind == AGE:
            return None
        if stamp.kind == BOOT:
            return None if self.boot is None else self.boot + stamp.value
        if stamp.kind in (ABSOLUTE, NAIVE):
            return self._full(stamp)
        return self._completed(stamp)

    def _full(self, stamp: Stamp) -> float:
        return stamp.value if stamp.kind == ABSOLUTE else self._in_zone(stamp.value)

    def _completed(self, stamp: Stamp) -> float:
        """The nearest such time to the logs' full stamps; without any, the last such time."""
        near = self._near if self._near is not None else self._now
        if stamp.kind == CLOCK:
            midnight = near - near % _DAY
            candidates = [self._in_zone(midnight + days * _DAY + stamp.value) for days in (-2, -1, 0, 1, 2)]
        else:
            year = datetime.fromtimestamp(near, UTC).year
            candidates = [self._in_zone(_of_year(stamp.value, year + more)) for more in (-1, 0, 1)]
        if self._near is None:
            candidates = [time for time in candidates if time <= self._now + _DAY] or candidates
        return min(candidates, key=lambda time: abs(time - near))

    def _in_zone(self, value: float) -> float:
        when = datetime.fromtimestamp(value, UTC).replace(tzinfo=self.zone)
        return when.timestamp()


def _of_year(value: float, year: int) -> float:
    when = datetime.fromtimestamp(value, UTC)
    try:
        return when.replace(year=year).timestamp()
    except ValueError:  # February 29
        return when.replace(year=year, day=28).timestamp()


def _told_boot(event: Event) -> list[float]:
    since = timestamps.kernel_seconds(event.text)
    match = _CLOCK_SET.search(event.text)
    if match and since is not None:
        return [float(match[1]) - since]
    match = _JOURNAL.search(event.text)
    return [float(match[1]) - float(match[2])] if match else []
