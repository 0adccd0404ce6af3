"""The host's memory: size, what is available, swap and pressure. From /proc/meminfo and /proc/pressure/memory."""

from collections.abc import Iterable

from prometheus_client import Metric

from model_load_exporter.collectors.base import counter, gauge


class HostCollector:
    """Memory of the host around the loads. Often off where node_exporter runs."""

    name = "host"
    blocking = False

    def __init__(self, procfs: str) -> None:
        self._procfs = procfs

    def collect(self) -> Iterable[Metric]:
        """The families as they are now. Raises OSError or ValueError where /proc/meminfo cannot be read."""
        values = meminfo(self._procfs)
        for key, name, text in (
            ("MemTotal", "model_host_memory_size_bytes", "Memory of the host."),
            (
                "MemAvailable",
                "model_host_memory_available_bytes",
                "Memory that a new process could get without swapping.",
            ),
            ("SwapTotal", "model_host_swap_size_bytes", "Swap space of the host."),
            ("SwapFree", "model_host_swap_free_bytes", "Swap space that is free."),
        ):
            metric = gauge(name, text)
            metric.add_sample(name, {}, values[key])
            yield metric
        yield from self._pressure()

    def _pressure(self) -> Iterable[Metric]:
        """PSI is optional in the kernel: without it these two are absent."""
        try:
            with open(f"{self._procfs}/pressure/memory", encoding="ascii") as file:
                totals = {line.split(None, 1)[0]: int(line.rsplit("total=", 1)[1]) for line in file}
        except OSError:
            return
        for kind, name, text in (
            ("some", "waiting", "Time in which at least one process waited for memory."),
            ("full", "stalled", "Time in which no process could go on for want of memory."),
        ):
            family = counter(f"model_host_memory_pressure_{name}_seconds", text)
            family.add_sample(f"{family.name}_total", {}, totals[kind] / 1e6)
            yield family


def meminfo(procfs: str) -> dict[str, int]:
    """/proc/meminfo in bytes, by its own names. Raises OSError or ValueError."""
    values = {}
    with open(f"{procfs}/meminfo", encoding="ascii") as file:
        for line in file:
            key, _, rest = line.partition(":")
            number, *unit = rest.split()
            values[key] = int(number) * (1024 if unit else 1)
    return values
