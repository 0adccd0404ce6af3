"""Memory cgroups: fixture trees of v1, v2 and hybrid hosts, and the real one that this test runs in."""

from pathlib import Path

import pytest

from model_load_exporter.collectors.base import NoData
from model_load_exporter.collectors.cgroup import CgroupCollector, Memory, tightest
from model_load_exporter.live import LiveWriter
from support.cgroup import memory_cgroup
from support.daemon import running
from support.service import serving

FIXTURES = Path(__file__).parents[1] / "fixtures"
GIB = 2**30
LIMITED = Memory(1 * GIB, 2 * GIB, 2 * GIB)


def of(host: str, pid: int) -> Memory | None:
    return tightest(pid, str(FIXTURES / "procfs" / host), str(FIXTURES / "sysfs" / host))


@pytest.mark.parametrize(
    ("host", "pid", "memory"),
    [
        ("v1", 100, LIMITED),
        ("v2", 100, LIMITED),
        ("hybrid", 100, LIMITED),
        ("v1", 200, Memory(3 * GIB, None, 4 * GIB)),
        ("v2", 200, Memory(3 * GIB, None, None)),
        # The pod's limit is tighter than the container's own: it is the one that ends the process.
        ("v1", 300, Memory(3 * GIB, 4 * GIB, 4 * GIB)),
        ("v2", 300, Memory(3 * GIB, 4 * GIB, 4 * GIB)),
        # Without hierarchy the tighter limit above counts nothing of it.
        ("v1_flat", 100, Memory(2 * GIB, 3 * GIB, 3 * GIB)),
        ("v2", 400, None),
        ("v2", 500, None),
        ("v2", 600, None),
        ("v2", 999, None),
    ],
)
def test_tightest(host: str, pid: int, memory: Memory | None) -> None:
    assert of(host, pid) == memory


def collected(host: str, *writers: tuple[str, int]) -> dict[tuple[str, str], float]:
    """Values by name and target."""
    rows = [LiveWriter(target, "nllb", pid, None) for target, pid in writers]
    collector = CgroupCollector(lambda: rows, str(FIXTURES / "procfs" / host), str(FIXTURES / "sysfs" / host))
    return {(s.name, s.labels["target"]): s.value for family in collector.collect() for s in family.samples}


def test_one_sample_a_target_and_no_limit_where_there_is_none() -> None:
    assert collected("v2", ("limited", 100), ("limited", 100), ("free", 200), ("gone", 400)) == {
        ("model_cgroup_memory_usage_bytes", "limited"): GIB,
        ("model_cgroup_memory_limit_bytes", "limited"): 2 * GIB,
        ("model_cgroup_memory_peak_bytes", "limited"): 2 * GIB,
        ("model_cgroup_memory_usage_bytes", "free"): 3 * GIB,
    }


@pytest.mark.parametrize("order", [(100, 200, 300), (300, 200, 100), (200, 300, 100)])
def test_of_several_cgroups_the_one_nearest_to_its_limit(order: tuple[int, ...]) -> None:
    """300 is at 3 of 4 GiB, 100 at 1 of 2, 200 has no limit."""
    found = collected("v2", *(("app", pid) for pid in order))
    assert found["model_cgroup_memory_limit_bytes", "app"] == 4 * GIB


def test_without_memory_cgroups(tmp_path: Path) -> None:
    with pytest.raises(NoData):
        list(CgroupCollector(list, str(tmp_path), str(tmp_path)).collect())


_HOLD = """
from model_load_exporter import track_load
class Model: pass
with track_load("nllb", target="app") as load:
    model = load.holds(Model())
held = bytearray(b"x") * (32 << 20)
print("held"); input()
"""


@pytest.mark.root
def test_a_real_service_in_a_real_cgroup(tmp_path: Path) -> None:
    """The daemon finds the cgroup of a process that it did not start, with the limit that is set on it."""
    with (
        memory_cgroup(256 << 20) as group,
        running(tmp_path) as daemon,
        serving(_HOLD, daemon.spool, wrapper=group.wrapper) as service,
    ):
        service.says("held")
        daemon.wait_for(256 << 20, "model_cgroup_memory_limit_bytes", target="app")
        series = daemon.series()
        usage = series.value("model_cgroup_memory_usage_bytes", target="app")
        assert usage is not None
        assert 32 << 20 < usage < 256 << 20
        service.tell("end")
        service.reap()
