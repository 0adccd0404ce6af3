"""Tally: what is counted of one {target, model}. Plain numbers that go to the ledger and back.

It counts loads, not attempts: the ranks and workers of one load are one. Everything that must not go back over a
restart is here, and only here.
"""

import bisect
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from model_load_exporter.inference import INFERENCE_BUCKETS

BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)
"""Upper bounds of model_load_success_duration_seconds, in seconds."""

RECENT_SECONDS = 600.0
"""How long model_load_duration_seconds shows an ended load: long enough that a scrape and a rule see it."""

_MAX_RECENT = 64

COUNTED_SECONDS = 86_400.0
"""How long it is remembered how much of a holder file is counted: until long after the file is gone."""


@dataclass(slots=True)
class Tally:
    """The counters and last values of one {target, model}; `version` rises with each change.

    failure: reason -> (unix time, stage) of the last failure for that reason. stages: stage -> (seconds, count).
    last_stages: (stage, seconds or None where it did not end, resident bytes at its end) of the last ended attempt.
    inference_counted: holder file -> (unix time, count, failures, seconds, buckets) of what is counted of it already.
    recent: (unix time of the end, seconds), oldest first, each longer than all after it. times are unix seconds.
    """

    attempts: int = 0
    cancelled: int = 0
    retries: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    deaths: dict[str, int] = field(default_factory=dict)
    success_buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    success_seconds: float = 0.0
    success_time: float = 0.0
    failure: dict[str, tuple[float, str]] = field(default_factory=dict)
    stages: dict[str, tuple[float, int]] = field(default_factory=dict)
    recent: list[tuple[float, float]] = field(default_factory=list)
    last_outcome: str = ""
    last_seconds: float | None = None
    last_started: float | None = None
    peak_rss: int | None = None
    peak_anonymous: int | None = None
    last_stages: list[tuple[str, float | None, int | None]] = field(default_factory=list)
    inferences: int = 0
    inference_failures: int = 0
    inference_seconds: float = 0.0
    inference_buckets: list[int] = field(default_factory=lambda: [0] * (len(INFERENCE_BUCKETS) + 1))
    inference_time: float = 0.0
    inference_counted: dict[str, tuple[float, int, int, float, list[int]]] = field(default_factory=dict)
    seen: float = 0.0
    retired: bool = False
    version: int = 0

    def count_begin(self, time: float) -> None:
        """A load began."""
        self.attempts += 1
        self.retries += self.last_outcome == "failed"
        self.last_started = max(time, self.last_started or 0.0)
        self._touch(time)

    def count_success(self, seconds: float, ended: float) -> None:
        """A load succeeded."""
        self.success_buckets[bisect.bisect_left(BUCKETS, seconds)] += 1
        self.success_seconds += seconds
        self.last_outcome = "loaded"
        self.mark_success(ended)

    def mark_success(self, ended: float) -> None:
        """The model is loaded after all, by a load that counted as failed before (one of its workers died)."""
        self.success_time = max(self.success_time, ended)
        self._touch(ended)

    def count_failure(self, reason: str, stage: str, ended: float) -> None:
        """A load failed."""
        self.failures[reason] = self.failures.get(reason, 0) + 1
        if ended >= self.failure.get(reason, (0.0, ""))[0]:
            self.failure[reason] = (ended, stage)
        self.last_outcome = "failed"
        self._touch(ended)

    def count_cancelled(self, ended: float) -> None:
        """A load was cancelled: no failure, and no success."""
        self.cancelled += 1
        self.last_outcome = "cancelled"
        self._touch(ended)

    def count_death(self, reason: str, time: float) -> None:
        """A process ended while it held the model."""
        self.deaths[reason] = self.deaths.get(reason, 0) + 1
        self._touch(time)

    def count_stage(self, stage: str, seconds: float) -> None:
        """A stage finished."""
        total, count = self.stages.get(stage, (0.0, 0))
        self.stages[stage] = (total + seconds, count + 1)

    def count_inferences(
        self, file: str, time: float, count: int, failures: int, seconds: float, buckets: Sequence[int]
    ) -> bool:
        """A holder file says how many there were since it began; what is counted of it already is not counted again.

        False where there is nothing new.
        """
        nothing = (0.0, 0, 0, 0.0, [0] * len(buckets))
        _, counted, failed, lasted, places = self.inference_counted.get(file, nothing)
        if count <= counted:
            return False
        self.inferences += count - counted
        self.inference_failures += max(0, failures - failed)
        self.inference_seconds += max(0.0, seconds - lasted)
        for place, (now, before) in enumerate(zip(buckets, places, strict=True)):
            self.inference_buckets[place] += max(0, now - before)
        self.inference_time = max(self.inference_time, time)
        self.inference_counted = {
            name: row for name, row in self.inference_counted.items() if row[0] > time - COUNTED_SECONDS
        }
        self.inference_counted[file] = (time, count, failures, seconds, list(buckets))
        self._touch(time)
        return True

    def note_ended(self, seconds: float, ended: float, peak_rss: int | None, peak_anonymous: int | None) -> None:
        """The last values of an attempt that ended, however it did."""
        self.last_seconds = seconds
        self.peak_rss, self.peak_anonymous = peak_rss, peak_anonymous
        self.recent = [row for row in self.recent if row[1] > seconds and row[0] > ended - RECENT_SECONDS]
        # Longest first, by the line above: what is dropped beyond the limit are the shortest.
        self.recent = [*self.recent, (ended, seconds)][:_MAX_RECENT]
        self._touch(ended)

    def longest_recent(self, now: float) -> float:
        """The longest duration of the loads that ended in the last 10 minutes; 0 without any."""
        return max((seconds for ended, seconds in self.recent if ended > now - RECENT_SECONDS), default=0.0)

    def recent_expiry(self, now: float) -> float | None:
        """When `longest_recent` will next be another; None if it will not."""
        return min((ended + RECENT_SECONDS for ended, _ in self.recent if ended > now - RECENT_SECONDS), default=None)

    def _touch(self, time: float) -> None:
        self.seen = max(self.seen, time)
        self.retired = False
        self.version += 1

    def to_json(self) -> dict[str, Any]:
        """What the ledger keeps."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Tally":
        """What the ledger kept. Keys that this version does not know are dropped, missing ones start anew."""
        known = {key: data[key] for key in cls.__slots__ if key in data}
        for key in ("failure", "stages"):
            known[key] = {name: tuple(row) for name, row in known.get(key, {}).items()}
        for key in ("recent", "last_stages"):
            known[key] = [tuple(row) for row in known.get(key, [])]
        known["inference_counted"] = {name: tuple(row) for name, row in known.get("inference_counted", {}).items()}
        if len(known.get("success_buckets", [])) != len(BUCKETS) + 1:
            known.pop("success_buckets", None)
        if len(known.get("inference_buckets", [])) != len(INFERENCE_BUCKETS) + 1:
            # Other bounds: the counts that are left would not fit together.
            for key in [name for name in known if name.startswith("inference")]:
                known.pop(key)
        return cls(**known)
