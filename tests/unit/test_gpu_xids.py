"""Xid errors: of the kernel log and of the driver's events, each counted once, under the GPU's index."""

import os
from collections import Counter
from pathlib import Path

import pytest

from model_load_exporter.collectors.gpu import XIDS, GpuCollector
from model_load_exporter.gpu.card import Card, Reading, address
from model_load_exporter.witness.kernel_log import Cursor, KernelLog


class FakeDriver:
    """Two GPUs, of which the second may be lost."""

    watching = False

    def __init__(self) -> None:
        self.xids: Counter[tuple[str, int]] = Counter()
        self.lost = False

    def read(self) -> Reading:
        cards = (Card("0", "u0", "n", address("00000000:65:00.0")), Card("1", "u1", "n", address("00000000:B3:00.0")))
        return Reading("550", cards[:1], ("1",)) if self.lost else Reading("550", cards, ())


def counts(collector: GpuCollector) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["gpu"], sample.labels["xid"]): sample.value
        for family in collector.collect()
        for sample in family.samples
        if sample.name == "model_gpu_xid_errors_total"
    }


def test_the_common_ones_stand_at_zero() -> None:
    assert counts(GpuCollector(list, dict, FakeDriver())) == {(gpu, str(xid)): 0 for gpu in "01" for xid in XIDS}


def test_without_any_source_there_is_no_zero() -> None:
    assert counts(GpuCollector(list, lambda: None, FakeDriver())) == {}


def test_log_and_events_tell_of_the_same_errors() -> None:
    driver = FakeDriver()
    driver.xids[address("00000000:B3:00.0"), 79] = 1
    driver.xids[address("00000000:65:00.0"), 31] = 3
    log = {("0000:b3:00", 79): 2, ("0000:65:00", 31): 1}
    found = counts(GpuCollector(list, lambda: log, driver))
    assert found["1", "79"] == 2
    assert found["0", "31"] == 3


def test_the_last_xid_of_a_lost_gpu_has_its_index() -> None:
    driver = FakeDriver()
    log: dict[tuple[str, int], int] = {}
    collector = GpuCollector(list, lambda: log, driver)
    counts(collector)
    driver.lost = True
    log["0000:b3:00", 79] = 1
    assert counts(collector)["1", "79"] == 1


def test_an_unknown_gpu_has_its_address() -> None:
    assert counts(GpuCollector(list, lambda: {("0001:0a:00", 48): 1}, FakeDriver()))["1:a:0", "48"] == 1


@pytest.fixture
def kmsg(tmp_path: Path) -> Path:
    """A FIFO in the place of /dev/kmsg: one write is one record."""
    path = tmp_path / "kmsg"
    os.mkfifo(path)
    return path


def test_the_kernel_log_counts_from_the_cursor_on(kmsg: Path) -> None:
    log = KernelLog(str(kmsg), "boot", Cursor("boot", 5))
    try:
        with kmsg.open("wb", buffering=0) as writer:
            for sequence, priority, text in (
                (5, 4, "NVRM: Xid (PCI:0000:65:00): 79, pid=7, name=python3, GPU has fallen off the bus."),
                (6, 4, "NVRM: Xid (PCI:0000:65:00): 31, pid=7, name=python3, MMU Fault"),
                (7, 4, "NVRM: Xid (PCI:0000:65:00.0): 31, MMU Fault"),
                (8, 12, "NVRM: Xid (PCI:0000:65:00): 48, forged: anybody can write with this facility"),
            ):
                writer.write(f"{priority},{sequence},1000,-;{text}\n".encode())
                log.read()
        assert +log.xids == {("0000:65:00", 31): 1, ("0000:65:00.0", 31): 1}
        driver = FakeDriver()
        assert counts(GpuCollector(list, lambda: log.xids, driver))["0", "31"] == 2
    finally:
        log.close()
