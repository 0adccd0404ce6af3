"""model_load_*: what is counted of loads, and the loads that are open now. A slice a {target, model}."""

import time
from collections.abc import Callable, Hashable, Iterable
from itertools import accumulate
from typing import Any

from prometheus_client import Metric

from model_load_exporter.attempt import stage_label
from model_load_exporter.collectors.base import counter, gauge
from model_load_exporter.collectors.recorded import RecordedCollector
from model_load_exporter.loads import Key, Loads, OpenLoad
from model_load_exporter.reasons import REASONS
from model_load_exporter.tally import BUCKETS, Tally

Labels = dict[str, str]


class LoadsCollector(RecordedCollector):
    """The loads of services. Reads the state that the recorder keeps; touches no disk."""

    name = "loads"

    def __init__(self, loads: Loads, clock: Callable[[], float] = time.time) -> None:
        super().__init__(loads)
        self._clock = clock

    def version(self) -> Hashable:
        """Another value with each event; while a load is open, with each look, for its elapsed time."""
        now = self._clock()
        with self._loads.lock:
            if self._loads.open:
                return object()
            recent = tuple(tally.longest_recent(now) for tally in self._loads.tallies.values() if tally.recent)
            return self._loads.version, recent

    def slices(self) -> Iterable[tuple[Hashable, Hashable]]:
        """Each known {target, model}; its version is another while one of its loads is open."""
        now = self._clock()
        loads = self._loads
        with loads.lock:
            busy = {load.key for load in loads.open.values()}
            return [
                (key, object() if key in busy else (tally.version, loads.config_version, tally.longest_recent(now)))
                for key in loads.known()
                for tally in (loads.tallies[key],)
            ]

    def _families(self, key: Key, labels: dict[str, str]) -> Iterable[Metric]:
        with self._loads.lock:
            tally = self._loads.tallies[key]
            running = [load for load in self._loads.open.values() if load.key == key]
            limits = self._loads.thresholds(key)
            held = [held.hold.runtime for rows in self._loads.held.values() for held in rows if held.key == key]
            return [
                *_counters(tally, labels),
                *_durations(tally, running, labels, self._clock()),
                *_timestamps(tally, running, labels),
                *_memory(tally, labels),
                _one(gauge(
                    "model_load_duration_threshold_seconds", "Longest load that is all right; the alert's limit."
                ), labels, limits.load_seconds),
                _one(gauge(
                    "model_memory_threshold_bytes", "Most memory that a loaded model may take; the alert's limit."
                ), labels, limits.memory_bytes),
                pod_info(labels, [*held, *(load.attempt.begin.runtime for load in running)]),
            ]  # fmt: skip


def _one(metric: Metric, labels: Labels, value: float | None, suffix: str = "") -> Metric:
    """The family with one sample; with none where the value is unknown."""
    if value is not None:
        metric.add_sample(metric.name + suffix, labels, value)
    return metric


def _counters(tally: Tally, labels: Labels) -> list[Metric]:
    failures = counter("model_load_failures", "Loads that failed, by reason.")
    for reason in REASONS:
        failures.add_sample("model_load_failures_total", {**labels, "reason": reason}, tally.failures.get(reason, 0))
    return [
        _one(counter("model_load_attempts", "Loads begun."), labels, tally.attempts, "_total"),
        failures,
        _one(counter("model_load_cancelled", "Loads that their process cancelled."), labels, tally.cancelled, "_total"),
        _one(counter("model_load_retries", "Loads begun after a failed one."), labels, tally.retries, "_total"),
    ]  # fmt: skip


def _durations(tally: Tally, running: list[OpenLoad], labels: Labels, now: float) -> list[Metric]:
    monotonic = time.monotonic()
    longest = max([tally.longest_recent(now), *(load.elapsed(monotonic) for load in running)])
    success = Metric("model_load_success_duration_seconds", "Duration of loads that succeeded.", "histogram")
    for bound, count in zip((*map(float, BUCKETS), "+Inf"), accumulate(tally.success_buckets), strict=True):
        success.add_sample("model_load_success_duration_seconds_bucket", {**labels, "le": str(bound)}, count)
    success.add_sample("model_load_success_duration_seconds_count", labels, sum(tally.success_buckets))
    success.add_sample("model_load_success_duration_seconds_sum", labels, tally.success_seconds)
    stages = Metric("model_load_stage_duration_seconds", "Time spent in finished stages of loads.", "summary")
    for stage, (seconds, count) in sorted(tally.stages.items()):
        stages.add_sample("model_load_stage_duration_seconds_count", {**labels, "stage": stage}, count)
        stages.add_sample("model_load_stage_duration_seconds_sum", {**labels, "stage": stage}, seconds)
    return [
        _one(gauge(
            "model_load_duration_seconds",
            "Longest of: elapsed time of open loads, duration of loads that ended in the last 10 minutes; else 0.",
        ), labels, longest),
        _one(gauge("model_load_last_duration_seconds", "Duration of the last ended load."), labels, tally.last_seconds),
        success,
        stages,
        _one(gauge("model_load_in_progress", "Loads open now."), labels, len(running)),
    ]  # fmt: skip


def _timestamps(tally: Tally, running: list[OpenLoad], labels: Labels) -> list[Metric]:
    started = min((load.attempt.begin.time for load in running), default=tally.last_started)
    progress = gauge(
        "model_load_progress_timestamp_seconds", "Least recent progress of the open loads, seen from outside."
    )
    slowest = min(running, key=lambda load: load.progress_time, default=None)
    if slowest is not None:
        stage = stage_label(slowest.attempt.stage)
        progress.add_sample(progress.name, {**labels, "stage": stage}, slowest.progress_time)
    failure = gauge(
        "model_load_failure_timestamp_seconds", "Last failure for each reason seen, with the stage it was at."
    )
    for reason, (when, stage) in sorted(tally.failure.items()):
        failure.add_sample(failure.name, {**labels, "reason": reason, "stage": stage}, when)
    return [
        _one(gauge(
            "model_load_started_timestamp_seconds", "Begin of the oldest open load, else of the last one."
        ), labels, started),
        progress,
        _one(gauge(
            "model_load_success_timestamp_seconds", "End of the last successful load; 0 = never."
        ), labels, tally.success_time),
        failure,
    ]  # fmt: skip


def _memory(tally: Tally, labels: Labels) -> list[Metric]:
    return [
        _one(gauge("model_load_peak_rss_bytes", "Peak resident memory of the last load."), labels, tally.peak_rss),
        _one(gauge(
            "model_load_peak_anonymous_bytes", "Peak anonymous memory of the last load."
        ), labels, tally.peak_anonymous),
    ]  # fmt: skip


def pod_info(labels: Labels, runtimes: list[dict[str, Any]]) -> Metric:
    """model_load_pod_info of the processes that tell a pod; a family without samples elsewhere."""
    metric = gauge("model_load_pod_info", "Pods that load or hold the model (Kubernetes only).")
    pods = {tuple(str(runtime.get(key, ""))[:253] for key in ("namespace", "pod", "container")) for runtime in runtimes}
    for namespace, pod, container in sorted(pods):
        if pod:
            metric.add_sample(metric.name, {**labels, "namespace": namespace, "pod": pod, "container": container}, 1)
    return metric
