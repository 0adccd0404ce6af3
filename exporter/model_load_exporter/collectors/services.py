"""Services as their clients see them: up, how fast, why not, and how long nobody got an answer while a model loaded."""

from collections.abc import Hashable, Iterable

from prometheus_client import Metric

from model_load_exporter.collectors.base import NoData, counter, gauge
from model_load_exporter.services.probe import CAUSES
from model_load_exporter.services.standing import ServiceStandings


class ServicesCollector:
    """The probes' results. Asks nobody itself."""

    name = "services"
    blocking = False

    def __init__(self, standings: ServiceStandings) -> None:
        self._standings = standings

    def version(self) -> Hashable:
        """Another value with each probe."""
        return self._standings.version()

    def collect(self) -> Iterable[Metric]:
        """One set a service with an address; counters at 0 from the start, results after the first probe."""
        up = gauge("model_service_up", "1 if the service's health address answered the last probe well.")
        seconds = gauge("model_service_health_duration_seconds", "Duration of the last probe.")
        loaded = gauge(
            "model_service_model_loaded", "1 if the service itself said at the last probe that it is loaded."
        )
        probes = counter("model_service_probes", "Probes of the service's health address.")
        failures = counter("model_service_probe_failures", "Probes that failed, by cause.")
        unresponsive = counter(
            "model_service_loading_unresponsive_seconds", "Time without an answer while one of its loads was open."
        )
        with self._standings.lock:
            standings = self._standings.all()
            if not standings:
                raise NoData("no service has a url")
            for target, one in sorted(standings.items()):
                labels = {"target": target}
                if one.up is not None:
                    up.add_sample(up.name, labels, int(one.up))
                    seconds.add_sample(seconds.name, labels, one.seconds)
                if one.model_loaded is not None:
                    loaded.add_sample(loaded.name, labels, int(one.model_loaded))
                probes.add_sample("model_service_probes_total", labels, one.probes)
                for cause in CAUSES:
                    failures.add_sample(
                        "model_service_probe_failures_total", {**labels, "cause": cause}, one.failures.get(cause, 0)
                    )
                unresponsive.add_sample("model_service_loading_unresponsive_seconds_total", labels, one.unresponsive)
        return [up, seconds, loaded, probes, failures, unresponsive]
