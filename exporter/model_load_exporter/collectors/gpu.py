"""The host's GPUs: memory, use, temperature, errors and throttling, as the NVIDIA driver tells them by NVML."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from prometheus_client import Metric

from model_load_exporter.collectors.base import NoData, counter, gauge
from model_load_exporter.gpu.card import Card, Reading, address
from model_load_exporter.gpu.nvml import NoGpu, Nvml
from model_load_exporter.live import LiveWriter

XIDS = (13, 31, 43, 45, 48, 61, 62, 63, 64, 74, 79, 92, 94, 95, 119, 120)
"""The Xid errors that have a series from the start: increase() does not see a series that is born at 1."""


class Driver(Protocol):
    """What the collector asks: gpu.nvml.Nvml, or what stands for it."""

    xids: Counter[tuple[str, int]]

    @property
    def watching(self) -> bool:
        """True where `xids` tells of errors as they come."""

    def read(self) -> Reading:
        """Every GPU that answers. Raises NoGpu."""


class GpuCollector:
    """The GPUs of this host. A driver may hang: never runs on the loop."""

    name = "gpu"
    blocking = True

    def __init__(
        self,
        writers: Callable[[], Iterable[LiveWriter]],
        kernel_xids: Callable[[], Mapping[tuple[str, int], int] | None],
        driver: Driver | None = None,
    ) -> None:
        """kernel_xids: Xid errors in the kernel log, by (PCI address as it writes it, number); None: not readable."""
        self._writers = writers
        self._kernel_xids = kernel_xids
        self._driver: Driver = driver or Nvml()
        self._places: dict[str, str] = {}

    def collect(self) -> Iterable[Metric]:
        """The families as they are now. Raises NVMLError where the driver refuses."""
        try:
            reading = self._driver.read()
        except NoGpu as nothing:
            raise NoData(str(nothing)) from None
        # Kept: a card that fell off the bus no longer tells its address, and its last Xid says why.
        self._places |= {card.address: card.gpu for card in reading.cards}
        families = [*_cards(reading), self._xids(), *_processes(reading, list(self._writers()))]
        return [family for family in families if family.samples]

    def _xids(self) -> Metric:
        """Events and kernel log tell of the same errors; each may miss some, so the higher count is the true one."""
        family = counter("model_gpu_xid_errors", "Errors that the driver reported of a GPU, by NVIDIA's Xid number.")
        logged: Counter[tuple[str, int]] = Counter()
        kernel = self._kernel_xids()
        for (where, number), count in list((kernel or {}).items()):
            logged[address(where), number] += count
        told = kernel is not None or self._driver.watching
        zeros = {(where, number): 0 for where in self._places for number in XIDS if told}
        seen = {**zeros, **(logged | self._driver.xids)}
        for (where, number), count in sorted(seen.items()):
            labels = {"gpu": self._places.get(where, where), "xid": str(number)}
            family.add_sample("model_gpu_xid_errors_total", labels, count)
        return family


def _cards(reading: Reading) -> Iterable[Metric]:
    info = gauge("model_gpu_info", "The GPUs that answer, and the driver's version.")
    for card in reading.cards:
        labels = {"gpu": card.gpu, "uuid": card.uuid, "name": card.name, "driver": reading.driver}
        info.add_sample(info.name, labels, 1)
    yield info
    values: tuple[tuple[str, str, Callable[[Card], float | None]], ...] = (
        ("memory_size_bytes", "Memory of the GPU.", lambda card: card.memory_size),
        ("memory_used_bytes", "Memory of the GPU in use, by any process.", lambda card: card.memory_used),
        ("memory_free_bytes", "Memory of the GPU that is free.", lambda card: card.memory_free),
        ("utilization_ratio", "Share of the last second in which a kernel ran.", lambda card: card.utilization),
        ("temperature_celsius", "Temperature of the GPU.", lambda card: card.temperature),
    )
    for name, text, value_of in values:
        family = gauge(f"model_gpu_{name}", text)
        for card in reading.cards:
            value = value_of(card)
            if value is not None:
                family.add_sample(family.name, {"gpu": card.gpu}, value)
        yield family
    ecc = counter("model_gpu_ecc_errors", "Memory errors over the life of the GPU, corrected or not.")
    throttled = gauge("model_gpu_throttled", "1 while the GPU's clocks are held down for that cause.")
    for card in reading.cards:
        for kind, count in card.ecc.items():
            ecc.add_sample("model_gpu_ecc_errors_total", {"gpu": card.gpu, "kind": kind}, count)
        for cause, active in card.throttled.items():
            throttled.add_sample(throttled.name, {"gpu": card.gpu, "cause": cause}, int(active))
    yield ecc
    yield throttled


def _processes(reading: Reading, writers: list[LiveWriter]) -> Iterable[Metric]:
    """GPU memory of the processes of each model: of all that they do there, where the journal tells of the model."""
    family = gauge(
        "model_gpu_process_memory_bytes",
        "GPU memory of the processes that load or hold the model, whatever they use it for, as the driver tells it.",
    )
    pids = {(writer.target, writer.model, writer.host_pid) for writer in writers if writer.host_pid is not None}
    for card in reading.cards:
        used: Counter[tuple[str, str]] = Counter()
        for target, model, pid in pids:
            if pid in card.processes:
                used[target, model] += card.processes[pid]
        for (target, model), size in sorted(used.items()):
            family.add_sample(family.name, {"target": target, "model": model, "gpu": card.gpu}, size)
    yield family
