"""The GPU collector in a real daemon, on a stub driver: what it tells, and what each fault of a driver costs."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.daemon import Daemon, Series, running
from support.nvml import Stub
from support.service import serving
from support.wait import until

GIB = 2**30

_READ = """
import json, os, sys
from model_load_exporter.collectors.gpu import GpuCollector
from model_load_exporter.live import LiveWriter
collector = GpuCollector(lambda: [LiveWriter("app", "nllb", os.getpid(), os.getpid())], lambda: None)
os.environ["NVML_STUB_PID"] = str(os.getpid())
for _ in sys.stdin:
    try:
        samples = [sample for family in collector.collect() for sample in family.samples]
        rows = [(s.name, s.labels["gpu"], s.value) for s in samples if s.labels.get("xid", "79") == "79"]
    except Exception as error:
        rows = [(type(error).__name__, "", 1)]
    print(json.dumps(rows))
"""

_HOLD = """
from model_load_exporter import track_load
class Model: pass
with track_load("nllb", target="app") as load:
    model = load.holds(Model())
print("held"); input()
"""


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Stub:
    return Stub(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def daemon(tmp_path: Path, stub: Stub) -> Iterator[Daemon]:
    stub.behave("normal")
    environment = {**stub.environment, "NVML_STUB_PID": str(os.getpid())}
    with running(tmp_path, flags=["--evidence.disable=kernel_log"], environment=environment) as running_daemon:
        yield running_daemon


Reader = Callable[[], dict[tuple[str, str], float]]


@pytest.fixture
def reading(tmp_path: Path, stub: Stub) -> Iterator[Reader]:
    """The collector in a process of its own: each call is one reading, its values by name and GPU."""
    stub.behave("normal")
    with serving(_READ, tmp_path, environment=stub.environment) as service:

        def read() -> dict[tuple[str, str], float]:
            service.tell("")
            return {(name, gpu): value for name, gpu, value in json.loads(service.read())}

        yield read


def success(series: Series) -> float | None:
    return series.value("model_load_exporter_collector_success", collector="gpu")


def test_tells_all(daemon: Daemon) -> None:
    series = daemon.series()
    assert success(series) == 1
    assert series.value(
        "model_gpu_info", gpu="0", uuid="GPU-00000000-0000-0000-0000-000000000000", name="NVIDIA Stub",
        driver="550.54.15",
    ) == 1  # fmt: skip
    for name, value in {
        "memory_size_bytes": 80 * GIB, "memory_used_bytes": 30 * GIB, "memory_free_bytes": 50 * GIB,
        "utilization_ratio": 0.87, "temperature_celsius": 61,
    }.items():  # fmt: skip
        assert series.value(f"model_gpu_{name}", gpu="1") == value
    assert series.value("model_gpu_ecc_errors_total", gpu="0", kind="corrected") == 7
    assert series.value("model_gpu_ecc_errors_total", gpu="0", kind="uncorrected") == 2
    throttled = {dict(labels)["cause"]: value for labels, value in series.all("model_gpu_throttled", gpu="0").items()}
    assert {cause for cause, value in throttled.items() if value} == {"sw_thermal"}
    assert "idle" not in throttled
    assert series.value("model_gpu_xid_errors_total", gpu="1", xid="79") == 0


def test_a_lost_gpu_keeps_the_others(reading: Reader, stub: Stub) -> None:
    assert reading()["model_gpu_temperature_celsius", "1"] == 61
    stub.behave("lost")
    found = reading()
    assert found["model_gpu_temperature_celsius", "0"] == 60
    # Its Xid errors stay: they say why.
    assert {name for name, gpu in found if gpu == "1"} == {"model_gpu_xid_errors_total"}
    stub.behave("normal")
    assert reading()["model_gpu_temperature_celsius", "1"] == 61


def test_a_hanging_driver_costs_its_own_series(daemon: Daemon, stub: Stub) -> None:
    daemon.series()
    stub.behave("hang")
    until(lambda: success(daemon.series()) == 0, 15, "the collector does not come back")
    began = time.monotonic()
    series = daemon.series()
    # No second thread was started, so nothing is waited for any more.
    assert time.monotonic() - began < 1
    assert not [name for name in series.names() if name.startswith("model_gpu_")]
    assert series.value("model_host_memory_size_bytes") is not None
    stub.behave("normal")
    daemon.wait_for(60, "model_gpu_temperature_celsius", gpu="0")


def test_a_driver_loaded_anew(reading: Reader, stub: Stub) -> None:
    reading()
    stub.behave("gone")
    assert reading() == {("NVMLError_Uninitialized", ""): 1}
    stub.behave("normal")
    assert reading()["model_gpu_temperature_celsius", "0"] == 60


def test_an_xid_event_counts_once(reading: Reader, stub: Stub) -> None:
    assert reading()["model_gpu_xid_errors_total", "1"] == 0
    stub.behave("xid")
    assert reading()["model_gpu_xid_errors_total", "1"] == 1
    found = reading()
    assert found["model_gpu_xid_errors_total", "1"] == 1
    assert found["model_gpu_xid_errors_total", "0"] == 0


def test_what_the_driver_does_not_tell_has_no_series(reading: Reader, stub: Stub) -> None:
    """No zero for memory by process that is None, nor for values that this card does not know."""
    assert reading()["model_gpu_process_memory_bytes", "0"] == 3 * GIB
    stub.behave("sparse")
    found = reading()
    assert found["model_gpu_memory_used_bytes", "0"] == 30 * GIB
    names = {name for name, _ in found}
    assert not names & {
        "model_gpu_process_memory_bytes", "model_gpu_temperature_celsius", "model_gpu_utilization_ratio",
        "model_gpu_ecc_errors_total", "model_gpu_throttled",
    }  # fmt: skip


@pytest.mark.parametrize("how", ["not_loaded", "no_gpu"])
def test_no_gpu_is_no_failure(tmp_path: Path, stub: Stub, how: str) -> None:
    stub.behave(how)
    with running(tmp_path, environment=stub.environment) as daemon:
        series = daemon.series()
    assert success(series) == 1
    assert not [name for name in series.names() if name.startswith("model_gpu_")]


def test_no_driver_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "pynvml.py").write_text("raise SystemExit('imported')")
    with running(tmp_path, environment={"PYTHONPATH": str(tmp_path)}) as daemon:
        series = daemon.series()
        assert success(series) == 1
        assert "imported" not in daemon.log()


def test_memory_of_the_processes_of_a_model(tmp_path: Path, stub: Stub) -> None:
    """GPU memory by pid belongs to the model that the pid holds."""
    stub.behave("normal")
    spool = tmp_path / "spool"
    with serving(_HOLD, spool, wrapper=["sh", "-c", 'read _; exec "$@"', "sh"]) as service:
        environment = {**stub.environment, "NVML_STUB_PID": str(service.pid)}
        with running(tmp_path, environment=environment) as daemon:
            service.tell("go")
            service.says("held")
            daemon.wait_for(1, "model_loaded", model="nllb")
            daemon.wait_for(3 * GIB, "model_gpu_process_memory_bytes", target="app", model="nllb", gpu="0")
            service.tell("end")
            service.reap()
