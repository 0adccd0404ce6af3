"""A real NVIDIA GPU: what the collector tells of it, and a load that does not fit. Left out where there is none."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.daemon import running
from support.service import serving

pytestmark = pytest.mark.gpu

_MODELS = Path(__file__).parents[2] / ".venv-models" / "bin" / "python"

_TOO_LARGE = """
import torch
from model_load_exporter import track_load
free, _ = torch.cuda.mem_get_info(0)
try:
    with track_load("too-large", target="app") as load, load.stage("device"):
        torch.empty(free + (1 << 30), dtype=torch.uint8, device="cuda:0")
except torch.cuda.OutOfMemoryError:
    print("out of memory")
with track_load("fits", target="app") as load, load.stage("device"):
    model = load.holds(torch.nn.Linear(16384, 16384, device="cuda:0"))
print("held"); input()
"""


def smi(fields: str) -> list[list[str]]:
    command = [shutil.which("nvidia-smi") or "nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return list(csv.reader(text.splitlines(), skipinitialspace=True))


def test_says_what_nvidia_smi_says(tmp_path: Path) -> None:
    rows = smi("index,uuid,name,driver_version,memory.total")
    assert rows
    with running(tmp_path) as daemon:
        series = daemon.series()
    for index, uuid, name, driver, mebibytes in rows:
        assert series.value("model_gpu_info", gpu=index, uuid=uuid, name=name, driver=driver) == 1
        size = series.value("model_gpu_memory_size_bytes", gpu=index)
        assert size is not None
        assert abs(size - int(mebibytes) * 2**20) < 2**30
        assert (series.value("model_gpu_memory_used_bytes", gpu=index) or 0) <= size
        assert 0 <= (series.value("model_gpu_utilization_ratio", gpu=index) or 0) <= 1


def test_a_load_that_does_not_fit(tmp_path: Path) -> None:
    """A real CUDA out-of-memory fails the load under its own reason; the next load's memory is shown."""
    python = next((str(p) for p in (_MODELS, Path(sys.executable)) if _sees_cuda(p)), None)
    if python is None:
        pytest.skip("no torch here that sees the GPU")
    with running(tmp_path) as daemon, serving(_TOO_LARGE, daemon.spool, python=python) as service:
        service.says("out of memory", 120)
        service.says("held", 60)
        daemon.wait_for(1, "model_load_failures_total", model="too-large", reason="gpu_out_of_memory")
        assert daemon.value("model_load_failure_timestamp_seconds", model="too-large", stage="device") is not None
        weights = 16384 * 16384 * 4
        assert (daemon.value("model_gpu_memory_usage_bytes", target="app", model="fits", gpu="0") or 0) >= weights
        service.tell("end")
        service.reap()


def _sees_cuda(python: Path) -> bool:
    code = "import sys, torch, model_load_exporter; sys.exit(not torch.cuda.is_available())"
    return python.exists() and subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0
