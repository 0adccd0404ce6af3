"""What is loaded now: which processes hold which models, and the memory that it takes. A slice a {target, model}."""

from collections.abc import Hashable, Iterable

from prometheus_client import Metric

from model_load_exporter.collectors.base import counter, gauge
from model_load_exporter.collectors.recorded import RecordedCollector
from model_load_exporter.holding import Hold
from model_load_exporter.loads import Key
from model_load_exporter.reasons import REASONS

DEATHS = (
    *(
        name
        for name, reason in REASONS.items()
        if reason.family == "process" and name not in ("timeout", "port_in_use")
    ),
    "host_oom_killed",
    "cgroup_oom_killed",
    "resource_limit",
)
"""The reasons for which a process that holds a model can end."""


class HoldersCollector(RecordedCollector):
    """The models that processes hold. Reads the state that the recorder keeps; touches no disk."""

    name = "holders"

    def slices(self) -> Iterable[tuple[Hashable, Hashable]]:
        """Each known {target, model}."""
        loads = self._loads
        with loads.lock:
            return [(key, (loads.tallies[key].version, loads.config_version)) for key in loads.known()]

    def _families(self, key: Key, labels: dict[str, str]) -> Iterable[Metric]:
        with self._loads.lock:
            holds = [held.hold for rows in self._loads.held.values() for held in rows if held.key == key]
            deaths = self._loads.tallies[key].deaths
            required = self._loads.required.get(key)

        loaded = gauge("model_loaded", "Processes that hold the model.")
        loaded.add_sample(loaded.name, labels, len({hold.id for hold in holds}))
        wanted = gauge("model_loaded_required", "Processes that should hold the model (config: services[].models).")
        if required is not None:
            wanted.add_sample(wanted.name, labels, required)
        memory = gauge(
            "model_memory_usage_bytes",
            "Anonymous memory that grew over the load, and the model's mapped files, over the processes that hold it.",
        )
        memory.add_sample(memory.name, labels, memory_usage(holds))
        died = counter("model_process_deaths", "Processes that ended while they held the model, without releasing it.")
        for reason in DEATHS:
            died.add_sample("model_process_deaths_total", {**labels, "reason": reason}, deaths.get(reason, 0))
        return [
            loaded,
            wanted,
            memory,
            _gpu_memory(labels, holds),
            _info(labels, holds),
            _fallbacks(labels, holds),
            died,
        ]


def memory_usage(holds: list[Hold]) -> int:
    """Bytes that these processes take for one model: a mapped file lies in memory once, whoever maps it."""
    files = {name: size for hold in holds for name, size in hold.mapped}
    return sum(hold.anonymous for hold in holds) + sum(files.values())


def _gpu_memory(labels: dict[str, str], holds: list[Hold]) -> Metric:
    metric = gauge(
        "model_gpu_memory_usage_bytes", "GPU memory that grew over the load, over the processes that hold it."
    )
    usage: dict[str, int] = {}
    for hold in holds:
        for gpu, size in hold.gpu:
            usage[gpu] = usage.get(gpu, 0) + size
    for gpu, size in sorted(usage.items()):
        metric.add_sample(metric.name, {**labels, "gpu": gpu}, size)
    return metric


def _info(labels: dict[str, str], holds: list[Hold]) -> Metric:
    metric = gauge("model_info", "What is held.")
    for kind, version, dtype, revision in sorted({(h.format, h.version, h.dtype, h.revision) for h in holds}):
        metric.add_sample(
            metric.name, {**labels, "format": kind, "version": version, "dtype": dtype, "revision": revision}, 1
        )
    return metric


def _fallbacks(labels: dict[str, str], holds: list[Hold]) -> Metric:
    metric = gauge("model_load_fallback_info", "What serves in the model's place, while something does.")
    for name in sorted({hold.fallback for hold in holds if hold.fallback}):
        metric.add_sample(metric.name, {**labels, "fallback": name}, 1)
    return metric
