"""How often a model served in this process, and how long it took."""

from __future__ import annotations

import time

from model_load_exporter.inference import INFERENCE_BUCKETS

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    from typing import Any


class Served:
    """One model's inferences. total: in the process's life, last: unix time of the last of them.

    The other numbers are those of the present holder file. untold: True while it does not say all. told: when
    it last did, by the monotonic clock.
    """

    __slots__ = ("_buckets", "_count", "_failures", "_seconds", "last", "told", "total", "untold")

    def __init__(self) -> None:
        self.total = 0
        self.last: float | None = None
        self.told = 0.0
        self.begin_file()

    def begin_file(self) -> None:
        """Counts anew, for a new file."""
        self._count = self._failures = 0
        self._seconds = 0.0
        self._buckets = [0] * (len(INFERENCE_BUCKETS) + 1)
        self.untold = False

    def add(self, seconds: float, *, failed: bool) -> None:
        """One more."""
        place = 0
        for bound in INFERENCE_BUCKETS:
            if seconds <= bound:
                break
            place += 1
        self._buckets[place] += 1
        self._count += 1
        self._failures += failed
        self._seconds += seconds
        self.total += 1
        self.last = time.time()
        self.untold = True

    def counts(self) -> dict[str, Any]:
        """The event's keys."""
        return {
            "count": self._count,
            "failures": self._failures,
            "seconds": round(self._seconds, 6),
            "buckets": list(self._buckets),
        }
