"""A made-up fleet as OpenMetrics text with timestamps, for `promtool tsdb create-blocks-from openmetrics`.

Two exporters, three models, hours of history. Each metric follows from a list of load attempts, as the exporter's
own does, so that counters, timestamps and gauges agree with each other. `incident()` has a crash loop ended by the
cgroup OOM killer, a load in progress, a damaged canary and an exporter with a failing collector; `healthy()` is the
same fleet on a good day.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from dashboard_queries import SCRAPE_INTERVAL

from model_load_exporter.reasons import REASONS

JOB = "model-load-exporter"
MIB = 2**20
GIB = 2**30
BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600)

Sample = tuple[str, dict[str, str], float]


@dataclass(frozen=True)
class Load:
    """One attempt. begin: seconds before the end of the history. stages: name and seconds; an open load has no more."""

    begin: float
    stages: tuple[tuple[str, float], ...]
    reason: str = ""
    open: bool = False
    peak: float = GIB

    @property
    def seconds(self) -> float:
        return sum(seconds for _, seconds in self.stages)


@dataclass(frozen=True)
class Canary:
    """Runs each `interval`; a run fails with `reason` while the age of the moment is between `bad` bounds."""

    interval: float
    stages: tuple[tuple[str, float], ...]
    peak: float
    bad: tuple[float, float] = (0, 0)
    reason: str = "file_corrupted"
    most_runs: int = 24

    def run_before(self, age: float) -> float:
        """The age at which the last run that had ended by then began."""
        ended = age + sum(seconds for _, seconds in self.stages)
        return math.ceil(ended / self.interval) * self.interval

    def fails(self, age: float) -> bool:
        return self.bad[1] < age <= self.bad[0]


@dataclass(frozen=True)
class Files:
    """Verified hourly, read daily; bad while the age is between the bounds, stuck from an age on (0: never)."""

    size: float
    bad: tuple[float, float] = (0, 0)
    stuck: float = 0
    changed: float = 0

    def series(self, m: dict[str, str], age: float) -> Iterator[Sample]:
        """Every model_artifact_* series of a model at that age."""
        hung = age < self.stuck
        looked = max(self.stuck, (age // 3600 + 1) * 3600 - 1800)
        changed = age <= self.changed > 0
        yield "model_artifact_verification_interval_seconds", m, 3600
        yield "model_artifact_checksum_interval_seconds", m, 86400
        yield "model_artifact_verification_in_progress", m, 0
        yield "model_artifact_verification_stuck", m, int(hung)
        for cause in ("stalled", "hung", "died", "failed"):
            yield "model_artifact_verification_errors_total", m | {"cause": cause}, int(hung and cause == "hung")
        bad = self.bad[1] < age <= self.bad[0]
        yield "model_artifact_valid", m, int(not bad)
        if self.bad[0] >= age:
            yield "model_artifact_problem", m | {"reason": "file_corrupted"}, int(bad)
        yield "model_artifact_size_bytes", m, self.size
        yield "model_artifact_modified_timestamp_seconds", m, -self.changed if changed else -900000
        yield "model_artifact_verified_timestamp_seconds", m, -looked
        yield "model_artifact_checksum_timestamp_seconds", m, -self.changed if changed else -20000 - age
        yield "model_artifact_changes_total", m, int(changed)
        if changed:
            yield "model_artifact_changed_timestamp_seconds", m, -self.changed


@dataclass(frozen=True)
class Service:
    """Asked each 5 s. bad: (from age, to age, cause). A timeout means that one of its loads kept it from answering."""

    instance: str
    target: str
    bad: tuple[tuple[float, float, str], ...] = ()

    def series(self, age: float) -> Iterator[Sample]:
        """Every model_service_* series at that age."""
        t = {"target": self.target}
        down = [cause for begin, end, cause in self.bad if end < age <= begin]
        yield "model_service_up", t, int(not down)
        yield "model_service_health_duration_seconds", t, 5.0 if "timeout" in down else 0.002
        if not down:
            yield "model_service_model_loaded", t, 1
        yield "model_service_probes_total", t, (40000 - age) // 5
        for cause in ("refused", "reset", "timeout", "http_status", "tls", "dns"):
            yield "model_service_probe_failures_total", t | {"cause": cause}, self._seconds(age, cause) // 5
        yield "model_service_loading_unresponsive_seconds_total", t, self._seconds(age, "timeout")

    def _seconds(self, age: float, cause: str) -> float:
        return sum(max(0, begin - max(age, end)) for begin, end, why in self.bad if why == cause)


@dataclass(frozen=True)
class Model:
    """One model of one service on one host."""

    instance: str
    name: str
    target: str
    loads: tuple[Load, ...]
    required: int | None = 1
    limit_seconds: float = 60
    limit_bytes: float = 2e9
    predicted: float = GIB
    canary: Canary | None = None
    files: Files | None = None
    known_from: float = math.inf

    def series(self, age: float) -> Iterator[Sample]:
        """Every M series at that age (seconds before the end of the history); none while the model is not known."""
        if age > self.known_from:
            return
        m = {"model": self.name, "target": self.target}
        begun = [load for load in self.loads if load.begin >= age]
        ended = [load for load in begun if not load.open and load.begin - load.seconds >= age]
        running = [load for load in begun if load not in ended]
        good = [load for load in ended if not load.reason]
        held = bool(good) and ended[-1] is good[-1] and not running
        recent = [load.seconds for load in ended if load.begin - load.seconds < age + 600]
        yield "model_load_attempts_total", m, len(begun)
        yield "model_load_cancelled_total", m, 0
        yield "model_load_retries_total", m, max(0, len(ended) - len(good) - 1)
        for reason in REASONS:
            yield "model_load_failures_total", m | {"reason": reason}, sum(load.reason == reason for load in ended)
        yield "model_load_duration_seconds", m, max([load.begin - age for load in running] + recent, default=0)
        yield "model_load_in_progress", m, len(running)
        yield "model_load_duration_threshold_seconds", m, self.limit_seconds
        yield "model_memory_threshold_bytes", m, self.limit_bytes
        yield "model_loaded", m, int(held)
        if self.required is not None:
            yield "model_loaded_required", m, self.required
        yield "model_load_success_timestamp_seconds", m, -(good[-1].begin - good[-1].seconds) if good else 0
        if begun:
            yield "model_load_started_timestamp_seconds", m, -(running or begun)[0 if running else -1].begin
        for load in running:
            stage, since = self._stage_at(load, age)
            yield "model_load_progress_timestamp_seconds", m | {"stage": stage}, -max(age, since)
        for reason in {load.reason for load in ended} - {""}:
            last = [load for load in ended if load.reason == reason][-1]
            labels = m | {"reason": reason, "stage": last.stages[-1][0]}
            yield "model_load_failure_timestamp_seconds", labels, -(last.begin - last.seconds)
        if ended:
            yield "model_load_last_duration_seconds", m, ended[-1].seconds
            yield "model_load_peak_rss_bytes", m, ended[-1].peak
            yield "model_load_peak_anonymous_bytes", m, ended[-1].peak * 0.7
        if held:
            yield "model_memory_usage_bytes", m, good[-1].peak * (0.75 + (age % 3600) / 36000)
        yield from self._durations(m, good, ended)

    @staticmethod
    def _stage_at(load: Load, age: float) -> tuple[str, float]:
        """The stage under way, and the age at which progress was last seen in it."""
        begin = load.begin
        for name, seconds in load.stages:
            if begin - seconds < age:
                return name, age
            begin -= seconds
        return load.stages[-1][0], begin

    @staticmethod
    def _durations(m: dict[str, str], good: list[Load], ended: list[Load]) -> Iterator[Sample]:
        for bucket in BUCKETS:
            labels = m | {"le": str(float(bucket))}
            yield "model_load_success_duration_seconds_bucket", labels, sum(one.seconds <= bucket for one in good)
        yield "model_load_success_duration_seconds_bucket", m | {"le": "+Inf"}, len(good)
        yield "model_load_success_duration_seconds_sum", m, sum(one.seconds for one in good)
        yield "model_load_success_duration_seconds_count", m, len(good)
        stages: dict[str, list[float]] = {}
        for load in ended:
            for name, seconds in load.stages[:-1] if load.reason else load.stages:
                stages.setdefault(name, []).append(seconds)
        for name, all_seconds in stages.items():
            yield "model_load_stage_duration_seconds_sum", m | {"stage": name}, sum(all_seconds)
            yield "model_load_stage_duration_seconds_count", m | {"stage": name}, len(all_seconds)

    def of_model(self, age: float) -> Iterator[Sample]:
        """The series that carry the model alone: prediction, files and canary."""
        m = {"model": self.name}
        yield "model_memory_predicted_bytes", m, self.predicted
        if self.files is not None:
            yield from self.files.series(m, age)
        if (canary := self.canary) is None:
            return
        run = canary.run_before(age)
        runs = [n * canary.interval for n in range(1, canary.most_runs + 1) if n * canary.interval >= run]
        failed = [begin for begin in runs if canary.fails(begin)]
        yield "model_canary_interval_seconds", m, canary.interval
        if not runs:
            return
        bad = canary.fails(run)
        seconds = canary.stages[0][1] if bad else sum(one for _, one in canary.stages)
        yield "model_canary_success", m, int(not bad)
        yield "model_canary_attempts_total", m, len(runs)
        if failed:
            yield "model_canary_failures_total", m | {"reason": canary.reason}, len(failed)
        yield "model_canary_duration_seconds", m, seconds * (1 + (run % 7) / 40)
        for name, one in canary.stages[:1] if bad else canary.stages:
            yield "model_canary_stage_duration_seconds", m | {"stage": name}, one
        yield "model_canary_peak_rss_bytes", m, canary.peak * (0.4 if bad else 1)
        yield "model_canary_peak_anonymous_bytes", m, canary.peak * (0.3 if bad else 0.8)
        yield "model_canary_last_run_timestamp_seconds", m, -(run - seconds)
        yield "model_canary_skipped_total", m | {"cause": "memory"}, 2
        yield "model_canary_in_progress", m, 0
        if not bad:
            yield "model_canary_output_match", m, 1


@dataclass(frozen=True)
class Fleet:
    """The models and how their hosts fare; no exporter answers between the ages `silent`."""

    models: tuple[Model, ...]
    services: tuple[Service, ...] = ()
    oom_ages: tuple[float, ...] = ()
    collector_fails: tuple[float, float] = (0, 0)
    silent: tuple[float, float] = (0, 0)
    instances: tuple[str, ...] = ("gpu-1:9877", "gpu-2:9877")

    def host(self, instance: str, age: float) -> Iterator[Sample]:
        """The series of one exporter and its host."""
        second = instance != self.instances[0]
        failing = second and self.collector_fails[1] < age <= self.collector_fails[0]
        kills = sum(kill >= age for kill in self.oom_ages) if second else 0
        yield "up", {}, 1
        version = {"version": "0.1.0", "python": "3.11.2"}
        yield "model_load_exporter_build_info", version, 1
        for n, collector in enumerate(("journal", "host", "cache_disk", "oom_kills")):
            labels = {"collector": collector}
            yield "model_load_exporter_collector_success", labels, int(not (failing and collector == "cache_disk"))
            slow = 5 if failing and collector == "cache_disk" else 0.0004
            yield "model_load_exporter_collector_duration_seconds", labels, slow * (n + 1)
        for source, there in (("kernel_log", 1), ("cgroup", 1), ("exit_status", int(not second))):
            yield "model_load_exporter_evidence_available", {"source": source}, there
        yield "model_load_exporter_config_last_reload_successful", {}, 1
        yield "model_load_exporter_config_last_reload_success_timestamp_seconds", {}, -30000
        yield "model_load_exporter_journal_events_total", {}, 500 + (40000 - age) // 40
        torn = int(second and age < 5400) * 3
        yield "model_load_exporter_journal_errors_total", {"cause": "torn"}, torn
        yield "model_load_exporter_spool_bytes", {}, 80_000 + (40000 - age) % 3000
        size = 64 * GIB
        dip = sum(0.3 for kill in self.oom_ages if second and kill <= age < kill + 240)
        yield "model_host_memory_size_bytes", {}, size
        yield "model_host_memory_available_bytes", {}, size * max(0.02, 0.55 - dip + (age % 1800) / 36000)
        yield "model_host_memory_pressure_waiting_seconds_total", {}, 10 + (40000 - age) * 0.004 * (1 + second)
        yield "model_host_oom_kills_total", {"scope": "cgroup"}, kills
        yield "model_host_oom_kills_total", {"scope": "host"}, 0
        disk = {"mountpoint": "/models"}
        yield "model_host_cache_disk_size_bytes", disk, 900 * GIB
        yield "model_host_cache_disk_available_bytes", disk, (300 - (40000 - age) / 400) * GIB
        yield "model_host_cache_disk_size_bytes", {"mountpoint": "/"}, 80 * GIB
        yield "model_host_cache_disk_available_bytes", {"mountpoint": "/"}, 41 * GIB

    def openmetrics(self, end: float, hours: float) -> str:
        """The whole history up to `end` (a Unix time); a timestamp below 0 stands for seconds before the end."""
        series: dict[tuple[str, str], list[str]] = {}
        ages = range(int(hours * 3600), -1, -SCRAPE_INTERVAL)
        for age in ages:
            for name, labels, value in self.at(age):
                if name.endswith("_timestamp_seconds") and value < 0:
                    value += end
                text = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels) if labels[key])
                series.setdefault((name, text), []).append(f"{name}{{{text}}} {value:.3f} {end - age:.3f}")
        lines = (line for key in sorted(series) for line in series[key])
        return "\n".join((*lines, "# EOF", ""))

    def at(self, age: float) -> Iterator[Sample]:
        for instance in self.instances:
            where = {"job": JOB, "instance": instance}
            if self.silent[1] < age <= self.silent[0]:
                yield "up", where, 0
                continue
            seen: set[str] = set()
            for model in self.models:
                if model.instance != instance:
                    continue
                samples = list(model.series(age))
                if model.name not in seen:
                    samples += model.of_model(age)
                    seen.add(model.name)
                for name, labels, value in samples:
                    yield name, labels | where, value
            for service in self.services:
                if service.instance == instance:
                    for name, labels, value in service.series(age):
                        yield name, labels | where, value
            for name, labels, value in self.host(instance, age):
                yield name, labels | where, value


_NLLB = (("config", 0.4), ("tokenizer", 3.1), ("weights", 21.0), ("device", 2.0), ("pipeline", 1.2), ("warmup", 4.0))
_AYA = (("config", 0.6), ("tokenizer", 6.0), ("weights", 118.0), ("pipeline", 2.5), ("warmup", 9.0))
_MINILM = (("tokenizer", 0.3), ("weights", 0.9), ("pipeline", 0.2), ("inference", 0.1))


def incident() -> Fleet:
    """Aya is in a crash loop on gpu-2 and loads again; MiniLM's canary finds a damaged file; one collector failed."""
    killed = tuple(
        Load(age, (("config", 0.6), ("tokenizer", 6.0), ("weights", 97.0)), "cgroup_oom_killed", peak=7.6 * GIB)
        for age in (2700, 2100, 1500, 900)
    )
    return Fleet(
        models=(
            Model("gpu-1:9877", "nllb-200", "app-prod", (Load(17000, _NLLB, peak=5.1 * GIB),), limit_bytes=8e9,
                  predicted=4.6 * GIB, canary=Canary(900, _NLLB, 4.9 * GIB), files=Files(4.5 * GIB)),
            Model("gpu-1:9877", "all-MiniLM-L6-v2", "search",
                  (Load(15000, _MINILM[:2], "file_corrupted"), Load(14400, _MINILM, peak=420 * MIB)),
                  predicted=90 * MIB, canary=Canary(1800, _MINILM, 380 * MIB, bad=(4000, -1)),
                  files=Files(88 * MIB, bad=(4300, -1), changed=4300)),
            Model("gpu-2:9877", "nllb-200", "app-prod", (Load(8000, _NLLB, peak=5.3 * GIB),), limit_bytes=8e9,
                  predicted=4.6 * GIB, canary=Canary(900, _NLLB, 5.0 * GIB)),
            Model("gpu-2:9877", "aya-101", "chat",
                  (Load(16000, _AYA, peak=6.9 * GIB), *killed,
                   Load(290, (("config", 0.6), ("tokenizer", 6.0), ("weights", 240.0)), open=True)),
                  limit_seconds=180, limit_bytes=8e9, predicted=7.1 * GIB, canary=Canary(3600, _AYA, 7.4 * GIB),
                  files=Files(7 * GIB, stuck=9000)),
            Model("gpu-2:9877", "reranker", "", (Load(6000, _MINILM, peak=1.5 * GIB),), required=None),
        ),
        services=(
            Service("gpu-1:9877", "app-prod"),
            Service("gpu-1:9877", "search"),
            Service("gpu-2:9877", "app-prod"),
            Service("gpu-2:9877", "chat",
                    ((2596, 2100, "refused"), (1996, 1500, "refused"), (1396, 900, "refused"), (796, 290, "refused"),
                     (290, -1, "timeout"))),
        ),
        oom_ages=(2596, 1996, 1396, 796),
        collector_fails=(5000, 4300),
    )  # fmt: skip


def healthy() -> Fleet:
    """The same fleet with nothing wrong: one load a model, every canary good, no OOM kill."""
    models = []
    for model in incident().models:
        good = next(load for load in model.loads if not load.reason)
        canary = model.canary and replace(model.canary, bad=(0, 0))
        files = model.files and Files(model.files.size)
        models.append(replace(model, loads=(replace(good, begin=10000.0),), canary=canary, files=files))
    services = tuple(replace(service, bad=()) for service in incident().services)
    return Fleet(models=tuple(models), services=services)
