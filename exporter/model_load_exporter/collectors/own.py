"""The exporter about itself: build, evidence, configuration, journal, and the standard process_* series."""

import platform
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from prometheus_client import Metric, ProcessCollector

from model_load_exporter.collectors.base import counter, gauge
from model_load_exporter.journal.format import CAUSES
from model_load_exporter.recorder import Recorder
from model_load_exporter.version import VERSION


@dataclass(slots=True)
class ConfigStatus:
    """How the last reading of the config file went. success_time: unix seconds."""

    successful: bool = True
    success_time: float = 0.0
    message: str = ""


class OwnCollector:
    """The daemon's own state."""

    name = "exporter"
    blocking = False

    def __init__(self, recorder: Recorder, config: ConfigStatus) -> None:
        self._recorder = recorder
        self._config = config

    def collect(self) -> Iterable[Metric]:
        """The families as they are now."""
        recorder = self._recorder
        build = gauge("model_load_exporter_build_info", "Version of the exporter and of its interpreter.")
        build.add_sample(build.name, {"version": VERSION, "python": platform.python_version()}, 1)
        evidence = gauge("model_load_exporter_evidence_available", "1 if the witness has this source of evidence here.")
        for source, available in recorder.evidence.items():
            evidence.add_sample(evidence.name, {"source": source}, int(available))
        events = counter("model_load_exporter_journal_events", "Journal events read since the start.")
        events.add_sample("model_load_exporter_journal_events_total", {}, recorder.events_total)
        errors = counter("model_load_exporter_journal_errors", "Journal lines and files that could not be taken.")
        for cause in CAUSES:
            errors.add_sample("model_load_exporter_journal_errors_total", {"cause": cause}, recorder.problems[cause])
        return [
            build,
            evidence,
            _plain(
                "model_load_exporter_config_last_reload_successful",
                "1 if the config file was last read without a mistake.",
                int(self._config.successful),
            ),
            _plain(
                "model_load_exporter_config_last_reload_success_timestamp_seconds",
                "When the configuration in force was read.",
                self._config.success_time,
            ),
            events,
            errors,
            _plain("model_load_exporter_spool_bytes", "Size of all files in the spool.", recorder.spool_bytes),
        ]  # fmt: skip


class ProcessMetrics:
    """process_*: the daemon's CPU, memory and descriptors, by prometheus_client."""

    name = "process"
    blocking = False

    def __init__(self) -> None:
        self._collector: Any = ProcessCollector(registry=None)

    def collect(self) -> Iterable[Metric]:
        """The standard families."""
        return list(self._collector.collect())


def _plain(name: str, text: str, value: float) -> Metric:
    metric = gauge(name, text)
    metric.add_sample(name, {}, value)
    return metric
