"""Processes that die while they load, or hold, a model: named within a second, at the right stage, counted once."""

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cgroup import memory_cgroup
from support.daemon import Daemon, running
from support.service import EXIT_STATUS_IS_TOLD, Service, serving
from support.wait import until

LOADING = """
import ctypes, mmap, os, platform, sys, tempfile
from model_load_exporter import track_load

def segfault():
    ctypes.string_at(0)

def bus_error():
    with tempfile.TemporaryFile() as file:
        file.truncate(4096)
        pages = mmap.mmap(file.fileno(), 4096)
        file.truncate(0)  # as when somebody replaces a mapped model file in place
        pages[0]

def illegal_instruction():
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes(8) if platform.machine() == "aarch64" else bytes([0x0F, 0x0B]))  # udf, ud2
    ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()

def grow():
    kept = []
    while True:
        kept.append(b"x" * (4 << 20))

with track_load(sys.argv[1], target="app") as load:
    with load.stage("tokenizer"):
        pass
    with load.stage("weights"):
        print(load.id)
        exec(sys.stdin.readline())
"""

HOLDING = """
import sys
from model_load_exporter import track_load
with track_load(sys.argv[1], target="app"):
    pass
print("loaded")
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("daemon")) as started:
        yield started


@contextlib.contextmanager
def mid_load(daemon: Daemon, model: str, **options: object) -> Iterator[Service]:
    """A service in the middle of stage `weights`, which the daemon has seen."""
    with serving(LOADING, daemon.spool, arguments=[model], **options) as service:
        service.read()
        daemon.wait_for(1, "model_load_in_progress", target="app", model=model)
        until(
            lambda: daemon.value("model_load_progress_timestamp_seconds", model=model, stage="weights"),
            5, "the stage is seen",
        )  # fmt: skip
        yield service


def died(daemon: Daemon, model: str, reason: str, since: float, seconds: float = 1.0) -> None:
    """The failure is there within a second, for this reason and no other, at the stage where the load was."""
    labels = {"target": "app", "model": model}
    daemon.wait_within(seconds, 1, "model_load_failures_total", **labels, reason=reason)
    series = daemon.series()
    assert series.sum("model_load_failures_total", **labels) == 1
    assert series.value("model_load_attempts_total", **labels) == 1
    assert series.value("model_load_in_progress", **labels) == 0
    when = series.value("model_load_failure_timestamp_seconds", **labels, reason=reason, stage="weights")
    assert when is not None, series.all("model_load_failure_timestamp_seconds", **labels)
    assert since <= when <= since + seconds


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGKILL, "killed"),
        (signal.SIGTERM, "killed"),
        (signal.SIGSEGV, "segfault"),
        (signal.SIGBUS, "bus_error"),
        (signal.SIGABRT, "aborted"),
        (signal.SIGILL, "illegal_instruction"),
    ],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else "",
)
def test_a_signal_ends_a_load(daemon: Daemon, number: signal.Signals, reason: str) -> None:
    """A service that a signal ends mid-load has failed for that signal's reason, within a second."""
    model = f"by-{number.name}"
    with mid_load(daemon, model) as service:
        since = time.time()
        service.kill(number)
        if EXIT_STATUS_IS_TOLD:
            assert service.reap() == -number
        died(daemon, model, reason, since)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("segfault()", "segfault"),
        ("bus_error()", "bus_error"),
        ("illegal_instruction()", "illegal_instruction"),
        ("os.abort()", "aborted"),
        ("os._exit(3)", "process_died"),
    ],
)
def test_a_fault_ends_a_load(daemon: Daemon, fault: str, reason: str) -> None:
    """A service that faults or leaves mid-load has failed for the reason that its exit status tells."""
    model = f"by-{reason}"
    with mid_load(daemon, model) as service:
        since = time.time()
        service.tell(fault)
        if EXIT_STATUS_IS_TOLD:
            assert service.reap() != 0
        died(daemon, model, reason, since)


def test_a_zombie_is_dead(daemon: Daemon) -> None:
    """A parent that does not reap its dead child hides nothing."""
    with mid_load(daemon, "zombie") as service:
        since = time.time()
        service.kill(signal.SIGKILL)
        died(daemon, "zombie", "killed", since, seconds=2.0)


@pytest.mark.root
def test_an_oom_kill_ends_a_load(daemon: Daemon) -> None:
    """A load that hits its container's limit is cgroup_oom_killed, not killed."""
    with memory_cgroup(64 << 20) as group, mid_load(daemon, "too-large", wrapper=group.wrapper) as service:
        since = time.time()
        service.tell("grow()")
        assert service.reap() == -signal.SIGKILL
        died(daemon, "too-large", "cgroup_oom_killed", since, seconds=5.0)
        assert (daemon.value("model_host_oom_kills_total", scope="cgroup") or 0) >= 1


def test_a_stopped_load_is_not_dead(daemon: Daemon) -> None:
    """A load that hangs is open, makes no progress, and ends well when it goes on."""
    labels = {"target": "app", "model": "stopped"}
    with mid_load(daemon, "stopped") as service:
        service.kill(signal.SIGSTOP)
        stopped = time.time()

        # The daemon marks its lock file with each sweep, which looks at the lock of every journal.
        def swept() -> bool:
            return (daemon.spool / "reader.lock").stat().st_mtime > stopped + 1

        until(swept, 15, "the daemon sweeps the spool")
        series = daemon.series()
        assert series.value("model_load_in_progress", **labels) == 1
        assert series.sum("model_load_failures_total", **labels) == 0
        progress = series.value("model_load_progress_timestamp_seconds", **labels, stage="weights")
        assert progress is not None
        assert progress <= stopped + 1.5
        elapsed = series.value("model_load_duration_seconds", **labels)
        assert elapsed is not None
        assert elapsed >= time.time() - stopped - 0.5

        service.kill(signal.SIGCONT)
        service.tell("pass")
        daemon.wait_for(1, "model_load_success_duration_seconds_count", **labels)
        assert daemon.series().sum("model_load_failures_total", **labels) == 0


def test_a_death_while_holding(daemon: Daemon) -> None:
    """A process that held a model and is killed counts as a process death, not as a failed load."""
    labels = {"target": "app", "model": "held"}
    with serving(HOLDING, daemon.spool, arguments=["held"]) as service:
        service.says("loaded")
        daemon.wait_for(1, "model_loaded", **labels)
        service.kill(signal.SIGKILL)
        if EXIT_STATUS_IS_TOLD:
            service.reap()
        daemon.wait_within(1, 1, "model_process_deaths_total", **labels, reason="killed")
    series = daemon.series()
    assert series.value("model_loaded", **labels) == 0
    assert series.value("model_memory_usage_bytes", **labels) == 0
    assert series.sum("model_process_deaths_total", **labels) == 1
    assert series.sum("model_load_failures_total", **labels) == 0


def test_an_end_while_holding(daemon: Daemon) -> None:
    """A process that held a model and ends in good order is no death."""
    labels = {"target": "app", "model": "let-go"}
    with serving(HOLDING, daemon.spool, arguments=["let-go"]) as service:
        service.says("loaded")
        daemon.wait_for(1, "model_loaded", **labels)
        service.tell("")
        assert service.reap() == 0
        daemon.wait_for(0, "model_loaded", **labels)
    assert daemon.series().sum("model_process_deaths_total", **labels) == 0


class TestWithoutADaemon:
    """Deaths that happen while no daemon runs."""

    @pytest.mark.parametrize("begun", ["before the daemon ended", "after it"])
    def test_counted_once(self, tmp_path: Path, begun: str) -> None:
        """Each is counted once when the daemon returns, and never again; it pages for when it was, not for now."""
        labels = {"target": "app", "model": "unseen"}
        with running(tmp_path) as daemon:
            if begun == "after it":
                daemon.end()
            with serving(LOADING, daemon.spool, arguments=["unseen"]) as service:
                service.read()
                if begun != "after it":
                    daemon.wait_for(1, "model_load_in_progress", **labels)
                    daemon.end(signal.SIGKILL)
                service.kill(signal.SIGKILL)
                service.reap()
            over = time.time()
            for _ in range(2):
                daemon.start()
                series = daemon.series()
                assert series.sum("model_load_failures_total", **labels) == 1
                assert series.value("model_load_attempts_total", **labels) == 1
                assert series.value("model_load_in_progress", **labels) == 0
                (when,) = series.all("model_load_failure_timestamp_seconds", **labels).values()
                assert when <= over
                daemon.end()

    @pytest.mark.root
    def test_oom_kill(self, tmp_path: Path) -> None:
        """The kernel log still names the OOM killer when the daemon returns."""
        with running(tmp_path) as daemon, memory_cgroup(64 << 20) as group:
            with mid_load(daemon, "unseen", wrapper=group.wrapper) as service:
                daemon.end(signal.SIGKILL)
                service.tell("grow()")
                assert service.reap() == -signal.SIGKILL
            daemon.start()
            assert daemon.value("model_load_failures_total", model="unseen", reason="cgroup_oom_killed") == 1

    def test_a_load_that_goes_on(self, tmp_path: Path) -> None:
        """A load that outlives the daemon is open again when it returns, and is told by its own end."""
        labels = {"target": "app", "model": "long"}
        with running(tmp_path) as daemon, mid_load(daemon, "long") as service:
            daemon.end(signal.SIGKILL)
            daemon.start()
            assert daemon.value("model_load_in_progress", **labels) == 1
            service.tell("pass")
            daemon.wait_for(1, "model_load_success_duration_seconds_count", **labels)
            assert daemon.value("model_load_attempts_total", **labels) == 1

    def test_a_load_that_ended_meanwhile(self, tmp_path: Path) -> None:
        """A load that ended well while no daemon ran is a success, and the history says so."""
        labels = {"target": "app", "model": "long"}
        with running(tmp_path) as daemon, mid_load(daemon, "long") as service:
            daemon.end(signal.SIGKILL)
            service.tell("pass")
            assert service.reap() == 0
            daemon.start()
            assert daemon.value("model_load_success_duration_seconds_count", **labels) == 1
            assert daemon.series().sum("model_load_failures_total", **labels) == 0
            (load,) = json.loads(daemon.get("/api/v1/loads").text)["loads"]
            assert load["outcome"] == "loaded"

    @pytest.mark.parametrize(
        ("code", "counter"),
        [(LOADING, "model_load_failures_total"), (HOLDING, "model_process_deaths_total")],
        ids=["load", "holder"],
    )
    def test_counted_already(self, tmp_path: Path, code: str, counter: str) -> None:
        """A journal whose death is on record, and which the daemon did not get to delete, counts nothing more."""
        with running(tmp_path) as daemon, serving(code, daemon.spool, arguments=["twice"]) as service:
            service.read()
            until(lambda: daemon.series().all("model_load_attempts_total", model="twice"), 10, "the load is seen")
            until(lambda: len(list(daemon.spool.glob("*.jsonl"))) == 1, 10, "one journal is open")
            (journal,) = daemon.spool.glob("*.jsonl")
            (tmp_path / "kept").hardlink_to(journal)
            service.kill(signal.SIGKILL)
            if EXIT_STATUS_IS_TOLD:
                service.reap()
            until(lambda: daemon.series().sum(counter, model="twice") == 1, 10, "the death is counted")
            until(lambda: not journal.exists(), 10, "its journal is deleted")
            daemon.end(signal.SIGKILL)
            journal.hardlink_to(tmp_path / "kept")
            daemon.start()
            until(lambda: not journal.exists(), 10, "its journal is deleted again")
            series = daemon.series()
            assert series.sum(counter, model="twice") == 1
            assert series.value("model_load_attempts_total", model="twice") == 1
            assert series.value("model_loaded", model="twice") == 0
