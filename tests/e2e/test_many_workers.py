"""Two thousand loads by fifty workers that come and go leave the daemon as it was."""

import os
import subprocess
import sys
from pathlib import Path

from support.daemon import Daemon, running
from support.wait import until

WORKERS, LOADS = 50, 40

WORKER = f"""
from model_load_exporter import track_load
for number in range({LOADS}):
    with track_load(f"m{{number % 5}}", target="pool") as load:
        with load.stage("tokenizer"): pass
        with load.stage("weights"): pass
"""


def footprint(daemon: Daemon) -> tuple[int, int, int]:
    """(descriptors, threads, series) of the daemon, at rest."""
    series = len(daemon.series().samples)
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    threads = int(status.partition("Threads:")[2].split()[0])
    return len(os.listdir(f"/proc/{daemon.pid}/fd")), threads, series


def resident(daemon: Daemon) -> int:
    """Its resident memory, bytes."""
    return int(Path(f"/proc/{daemon.pid}/status").read_text().partition("VmRSS:")[2].split()[0]) * 1024


def wave(daemon: Daemon, workers: int) -> None:
    """So many workers, four at a time, each with its loads; returns when all are on record and nothing is held."""
    environment = {**os.environ, "MODEL_LOAD_EXPORTER_SPOOL": str(daemon.spool)}
    for start in range(0, workers, 4):
        batch = [
            subprocess.Popen([sys.executable, "-c", WORKER], env=environment) for _ in range(min(4, workers - start))
        ]
        assert [worker.wait(60) for worker in batch] == [0] * len(batch)


def test_the_daemon_is_as_it_was_before(tmp_path: Path) -> None:
    """No descriptor, thread or series more; memory within what the allocator keeps; the spool empty of journals."""
    with running(tmp_path) as daemon:
        # The first wave brings the series of its models, the pages of the ledger and the interpreter's caches.
        wave(daemon, 4)
        daemon.wait_for(4 * LOADS / 5, "model_load_success_duration_seconds_count", target="pool", model="m4")
        daemon.wait_for(0, "model_loaded", target="pool", model="m4")
        before, memory = footprint(daemon), resident(daemon)
        wave(daemon, WORKERS)
        daemon.wait_within(30, (WORKERS + 4) * LOADS / 5, "model_load_success_duration_seconds_count", model="m4")
        for number in range(5):
            daemon.wait_for(0, "model_loaded", target="pool", model=f"m{number}")
        assert daemon.series().sum("model_load_attempts_total", target="pool") == (WORKERS + 4) * LOADS
        assert daemon.series().sum("model_load_failures_total") == 0
        assert list(daemon.spool.glob("*.jsonl")) == []
        until(lambda: footprint(daemon) == before, 10, lambda: f"{before} again, but it is {footprint(daemon)}")
        assert resident(daemon) < memory + 8 * 2**20
