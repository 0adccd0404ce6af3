"""Which root a connection reset has, by the exporter's series alone: what a person on call reads off /metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

TARGET = "translation"
OOM = "oom-kill"
BLOCKED = "health-check-blocked"
WORKER_TIMEOUT = "worker-timeout"
NONE = "none"

ROOTS: Mapping[str, str] = {
    OOM: "the OOM killer ended the load",
    BLOCKED: "the load blocked the health check, and the liveness probe had the service ended",
    WORKER_TIMEOUT: "the server's own parent ended a worker that loaded and gave no sign of life",
    NONE: "no load failed",
}


@dataclass(frozen=True)
class Told:
    """What the exporter says of the service. failures, deaths: by reason; probe_failures: by cause. Seconds."""

    failures: dict[str, int] = field(default_factory=dict)
    deaths: dict[str, int] = field(default_factory=dict)
    probe_failures: dict[str, int] = field(default_factory=dict)
    unresponsive: float = 0.0
    attempts: int = 0
    loaded: int = 0

    @classmethod
    def parse(cls, exposition: str) -> "Told":
        """From /metrics, text format. Only what is not 0 is kept."""
        failures, deaths, causes = dict[str, int](), dict[str, int](), dict[str, int]()
        unresponsive, attempts, loaded = 0.0, 0, 0
        for family in text_string_to_metric_families(exposition):
            for name, labels, value, *_ in family.samples:
                if labels.get("target") != TARGET or not value:
                    continue
                if name == "model_load_failures_total":
                    failures[labels["reason"]] = int(value)
                elif name == "model_process_deaths_total":
                    deaths[labels["reason"]] = int(value)
                elif name == "model_service_probe_failures_total":
                    causes[labels["cause"]] = int(value)
                elif name == "model_service_loading_unresponsive_seconds_total":
                    unresponsive = value
                elif name == "model_load_attempts_total":
                    attempts += int(value)
                elif name == "model_loaded":
                    loaded += int(value)
        return cls(failures, deaths, causes, unresponsive, attempts, loaded)

    def root(self) -> str:
        """One of ROOTS; `unknown` where the series fit none of them."""
        if not self.failures:
            return NONE
        if self.failures.keys() & {"cgroup_oom_killed", "host_oom_killed"}:
            return OOM
        if "timeout" in self.failures:
            return WORKER_TIMEOUT
        if "killed" in self.failures and self.unresponsive > 0:
            return BLOCKED
        return "unknown"

    def lines(self) -> list[str]:
        """The series themselves, as /metrics has them."""
        rows = [f'model_load_failures_total{{reason="{reason}"}} {count}' for reason, count in self.failures.items()]
        rows += [f'model_process_deaths_total{{reason="{reason}"}} {count}' for reason, count in self.deaths.items()]
        rows += [
            f'model_service_probe_failures_total{{cause="{cause}"}} {count}'
            for cause, count in self.probe_failures.items()
        ]
        return [*rows, f"model_service_loading_unresponsive_seconds_total {self.unresponsive:.1f}"]
