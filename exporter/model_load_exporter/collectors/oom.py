"""OOM kills on this host, by whose limit was hit: the host's or a cgroup's. Counted from the kernel log."""

from collections.abc import Hashable, Iterable, Mapping

from prometheus_client import Metric

from model_load_exporter.collectors.base import NoData, counter


class OomCollector:
    """OOM kills as the recorder counts them. Without the kernel log their scope is not known: no series."""

    name = "oom"
    blocking = False

    def __init__(self, kills: Mapping[str, int], *, readable: bool) -> None:
        self._kills = kills
        self._readable = readable

    def version(self) -> Hashable:
        """Another value with each kill."""
        return tuple(self._kills.items()) if self._readable else None

    def collect(self) -> Iterable[Metric]:
        """The family as it is now."""
        if not self._readable:
            raise NoData("the kernel log is not readable here: run with CAP_SYSLOG")
        metric = counter("model_host_oom_kills", "Processes that the OOM killer ended, any process of the host.")
        for scope in ("host", "cgroup"):
            metric.add_sample("model_host_oom_kills_total", {"scope": scope}, self._kills[scope])
        return [metric]
