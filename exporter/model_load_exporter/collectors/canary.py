"""model_canary_*: what came of the canary's loads. Absent before the first run of a model, untouched by a skip."""

from collections.abc import Callable, Hashable, Iterable, Mapping

from prometheus_client import Metric

from model_load_exporter.canary.result import SKIP_CAUSES
from model_load_exporter.canary.standing import Standing, Standings
from model_load_exporter.collectors.base import counter, gauge
from model_load_exporter.config import Model


class CanaryCollector:
    """The canaries of the configuration in force. Reads what is kept in memory."""

    name = "canary"
    blocking = False

    def __init__(self, standings: Standings, models: Callable[[], Mapping[str, Model]]) -> None:
        self._standings = standings
        self._models = models

    def version(self) -> Hashable:
        """Another value with each run."""
        return self._standings.version()

    def collect(self) -> Iterable[Metric]:
        """The families as they are now."""
        families = _Families()
        for name, model in sorted(self._models().items()):
            standing = self._standings.get(name)
            if standing is None or model.canary is None:
                continue
            labels = {"model": name}
            families.add("interval_seconds", labels, model.canary.interval)
            families.add("in_progress", labels, int(self._standings.running(name)))
            for cause in sorted({*SKIP_CAUSES, *standing.skipped}):
                families.add("skipped_total", {**labels, "cause": cause}, standing.skipped.get(cause, 0))
            _results(families, labels, standing)
        return families.all()


def _results(families: "_Families", labels: dict[str, str], standing: Standing) -> None:
    last = standing.last
    if last is None:
        return
    families.add("success", labels, int(last["outcome"] == "loaded"))
    families.add("attempts_total", labels, standing.attempts)
    for reason, count in sorted(standing.failures.items()):
        families.add("failures_total", {**labels, "reason": reason}, count)
    families.add("duration_seconds", labels, last["duration_seconds"])
    seconds: dict[str, float] = {}
    for stage in last["stages"]:
        seconds[stage["name"]] = seconds.get(stage["name"], 0.0) + stage["seconds"]
    for name, total in seconds.items():
        families.add("stage_duration_seconds", {**labels, "stage": name}, total)
    families.add("peak_rss_bytes", labels, last["peak_memory"]["rss_bytes"])
    families.add("peak_anonymous_bytes", labels, last["peak_memory"]["anonymous_bytes"])
    families.add("last_run_timestamp_seconds", labels, last["started"])
    if last.get("output_match") is not None:
        families.add("output_match", labels, int(last["output_match"]))


_HELP = {
    "success": "1 if the last canary load succeeded.",
    "attempts_total": "Canary loads tried.",
    "failures_total": "Canary loads that failed, by reason.",
    "duration_seconds": "Duration of the last canary load.",
    "stage_duration_seconds": "Duration of each stage of the last canary load.",
    "peak_rss_bytes": "Peak resident memory of the last canary load.",
    "peak_anonymous_bytes": "Peak anonymous memory of the last canary load.",
    "last_run_timestamp_seconds": "Begin of the last canary load.",
    "interval_seconds": "How often the canary loads the model (config: canary.interval).",
    "skipped_total": "Canary loads not tried, by cause: they might have harmed the host.",
    "output_match": "1 if the last canary load's output was as expected (config: canary.expect).",
    "in_progress": "1 while a canary load of the model is under way.",
}


class _Families:
    """The canary's families, made as a whole and filled model by model."""

    def __init__(self) -> None:
        self._families = {
            name: counter(f"model_canary_{name.removesuffix('_total')}", text)
            if name.endswith("_total")
            else gauge(f"model_canary_{name}", text)
            for name, text in _HELP.items()
        }

    def add(self, name: str, labels: dict[str, str], value: float | None) -> None:
        if value is not None:
            self._families[name].add_sample(f"model_canary_{name}", labels, value)

    def all(self) -> list[Metric]:
        return [family for family in self._families.values() if family.samples]
