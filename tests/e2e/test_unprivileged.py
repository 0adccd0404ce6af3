"""The daemon as nobody: no kernel log, no rights on others' processes. Verdicts are less sure, never wrong."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cgroup import memory_cgroup
from support.daemon import Daemon, dispose
from support.service import serving

pytestmark = pytest.mark.root

NOBODY = 65534
PYTHON = Path("/usr/bin/python3")
"""An interpreter that nobody may run; that of the tests may lie where only its owner looks."""

LOADING = """
import sys, time
from model_load_exporter import track_load
with track_load("nllb", target="app") as load, load.stage("weights"):
    print("loading", flush=True)
    hog = []
    for line in sys.stdin:
        if line.strip() == "eat":
            while True:
                hog.append(bytearray(4_000_000))
        if line.strip() == "exit":
            import os; os._exit(3)
"""

CERTAIN = {signal.SIGSEGV: "segfault", signal.SIGABRT: "aborted", signal.SIGKILL: "killed", signal.SIGTERM: "killed"}


class UnprivilegedDaemon(Daemon):
    """The same daemon under another user, by an interpreter that this user may run."""

    def command(self) -> list[str]:
        as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all"]
        return [*as_nobody, str(PYTHON), "-m", "model_load_exporter", *super().command()[1:]]


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    # Not tmp_path: pytest's folders are open to their owner alone.
    folder = Path(tempfile.mkdtemp(prefix="unprivileged-"))
    os.chown(folder, NOBODY, NOBODY)
    folder.chmod(0o755)
    paths = ":".join(path for path in sys.path if path.endswith(("site-packages", "exporter")))
    made = UnprivilegedDaemon(folder, environment={"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"})
    made.start()
    yield made
    if made.process is not None:
        dispose(made.process)
    shutil.rmtree(folder)


def reasons(daemon: Daemon) -> dict[str, float]:
    """The failures counted so far, by reason, without those at 0."""
    found = daemon.series().all("model_load_failures_total")
    return {dict(labels)["reason"]: value for labels, value in found.items() if value}


@pytest.mark.parametrize("number", CERTAIN, ids=lambda number: number.name)
def test_a_death_by_signal(daemon: Daemon, number: signal.Signals) -> None:
    """A kernel that gives anybody the exit status names the signal; elsewhere it is a death, and no guess."""
    with serving(LOADING, daemon.spool) as service:
        service.says("loading")
        daemon.wait_for(1, "model_load_in_progress", target="app", model="nllb")
        service.kill(number)
        service.reap()
        daemon.wait_for(0, "model_load_in_progress", target="app", model="nllb")
    sure = daemon.value("model_load_exporter_evidence_available", source="exit_status")
    assert reasons(daemon) in ([{CERTAIN[number]: 1}] if sure else [{"process_died": 1}, {CERTAIN[number]: 1}])


def test_an_oom_kill(daemon: Daemon) -> None:
    """Without the kernel log an OOM kill is told by its cgroup's counter, or is `killed`: nothing else."""
    with memory_cgroup(128 * 2**20) as group, serving(LOADING, daemon.spool, wrapper=group.wrapper) as service:
        service.says("loading")
        daemon.wait_for(1, "model_load_in_progress", target="app", model="nllb")
        service.tell("eat")
        service.reap()
        daemon.wait_for(0, "model_load_in_progress", target="app", model="nllb")
    assert list(reasons(daemon)) in (["cgroup_oom_killed"], ["killed"], ["process_died"])


def test_an_exit_in_the_middle_of_a_load(daemon: Daemon) -> None:
    """os._exit runs nothing of Python: the witness alone can tell."""
    with serving(LOADING, daemon.spool) as service:
        service.says("loading")
        daemon.wait_for(1, "model_load_in_progress", target="app", model="nllb")
        service.tell("exit")
        service.reap()
        daemon.wait_for(0, "model_load_in_progress", target="app", model="nllb")
    assert reasons(daemon) == {"process_died": 1}


def test_it_says_what_it_lacks(daemon: Daemon) -> None:
    """The kernel log and the processes of others are not to be had; every collector still runs."""
    assert daemon.value("model_load_exporter_evidence_available", source="kernel_log") == 0
    page = daemon.get("/").text
    assert "not available here; it needs" in page
    assert set(daemon.series().all("model_load_exporter_collector_success").values()) == {1}
