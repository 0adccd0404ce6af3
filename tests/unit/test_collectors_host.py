"""The host's memory, swap, pressure, disks and OOM kills: fixture hosts, and this one."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client import Metric

from model_load_exporter.collectors.base import NoData
from model_load_exporter.collectors.cache_disk import CacheDiskCollector
from model_load_exporter.collectors.host import HostCollector
from model_load_exporter.collectors.oom import OomCollector
from model_load_exporter.looks.looker import Looker
from model_load_exporter.mounts import mount_point

FIXTURES = Path(__file__).parents[1] / "fixtures" / "procfs"
PRESSURE = {"model_host_memory_pressure_waiting_seconds_total", "model_host_memory_pressure_stalled_seconds_total"}


def values(families: Iterable[Metric]) -> dict[str, float]:
    return {sample.name: sample.value for family in families for sample in family.samples}


@pytest.mark.parametrize("host", ["v1", "v2", "hybrid"])
def test_memory_and_swap(host: str) -> None:
    found = values(HostCollector(str(FIXTURES / host)).collect())
    assert {name: value for name, value in found.items() if name not in PRESSURE} == {
        "model_host_memory_size_bytes": 32620956 * 1024,
        "model_host_memory_available_bytes": 20180364 * 1024,
        "model_host_swap_size_bytes": 8388604 * 1024,
        "model_host_swap_free_bytes": 8126460 * 1024,
    }


def test_pressure_in_seconds() -> None:
    found = values(HostCollector(str(FIXTURES / "v2")).collect())
    assert found["model_host_memory_pressure_waiting_seconds_total"] == 14.036781
    assert found["model_host_memory_pressure_stalled_seconds_total"] == 12.84945


def test_a_kernel_without_pressure_has_the_rest() -> None:
    found = values(HostCollector(str(FIXTURES / "v1")).collect())
    assert not PRESSURE & found.keys()
    assert "model_host_memory_size_bytes" in found


def test_this_host() -> None:
    found = values(HostCollector("/proc").collect())
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert found["model_host_memory_size_bytes"] == pages
    assert 0 < found["model_host_memory_available_bytes"] <= pages


def test_an_unreadable_host_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="meminfo"):
        list(HostCollector(str(tmp_path)).collect())


def test_disks_by_mount_point_once_each(tmp_path: Path) -> None:
    """Links, folders that are not there yet, and several paths on one file system."""
    (tmp_path / "link").symlink_to(tmp_path / "not" / "there")
    paths = [str(tmp_path), str(tmp_path / "link"), str(tmp_path / "later"), "/proc"]
    with contextlib.closing(Looker()) as looker:
        families = list(CacheDiskCollector(lambda: paths, looker).collect())
    sizes = {sample.labels["mountpoint"]: sample.value for sample in families[0].samples}
    space = os.statvfs(tmp_path)
    assert sizes == {mount_point(str(tmp_path)): space.f_blocks * space.f_frsize, "/proc": 0}
    assert os.path.ismount(mount_point(str(tmp_path / "later")))


def test_no_cache_paths_is_no_failure() -> None:
    with pytest.raises(NoData):
        list(CacheDiskCollector(tuple, Looker()).collect())


def test_oom_kills_by_scope() -> None:
    kills = {"host": 1, "cgroup": 3}
    collector = OomCollector(kills, readable=True)
    before = collector.version()
    samples = {sample.labels["scope"]: sample.value for family in collector.collect() for sample in family.samples}
    assert samples == kills
    kills["cgroup"] += 1
    assert collector.version() != before


def test_oom_kills_are_not_guessed() -> None:
    with pytest.raises(NoData, match="CAP_SYSLOG"):
        list(OomCollector({"host": 0, "cgroup": 0}, readable=False).collect())
