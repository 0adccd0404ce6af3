"""Canary children that die, hang, flood and fork: each named, each contained, nothing left behind."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from canary_cases import FAULTS, cgroups_left, descriptors, is_alive, load, loads_made, new_id

from model_load_exporter.canary import cgroup, group
from model_load_exporter.canary.run import run_canary
from model_load_exporter.config import Canary, Model

MEMORY_LIMIT = 150_000_000
# The cgroup counts exactly; the RSS in /proc/PID/status is summed up in batches for each CPU.
ROUNDING = 1.05
IS_ROOT = os.geteuid() == 0


@pytest.fixture
def faults(tmp_path: Path) -> Path:
    file = tmp_path / "faults.py"
    file.write_text(FAULTS)
    return file


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Whatever a load does, descriptors and cgroups are as they were."""
    # The first event loop and thread pool of a process keep a few descriptors of their own.
    asyncio.run(asyncio.to_thread(int))
    before = descriptors()
    yield
    assert descriptors() == before
    assert cgroups_left(*loads_made()) == []


def canary(**keys: object) -> Canary:
    return Canary(python=sys.executable, **keys)  # type: ignore[arg-type]  # the tests pass what the class takes


def loader(faults: Path, name: str) -> str:
    return f"python:{faults}:{name}"


def wait_for(file: Path) -> str:
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} was not written"
        time.sleep(0.005)
    return file.read_text()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("segfault", "segfault"),
        ("abort", "aborted"),
        ("bus_error", "bus_error"),
        ("illegal_instruction", "illegal_instruction"),
        ("killed", "killed"),
        ("cpu_limit", "resource_limit"),
        ("os_exit", "process_died"),
        ("sys_exit", "process_died"),
        ("memory_error", "host_memory_error"),
        ("bad_alloc", "host_memory_error"),
    ],
)
def test_a_death_is_named_with_its_stage(tmp_path: Path, faults: Path, fault: str, reason: str) -> None:
    """The wait status names the death; the child's last words may sharpen an abort."""
    result = load(tmp_path, loader(faults, fault), canary=canary())

    assert (result.outcome, result.reason) == ("failed", reason), result.message
    assert result.stage == "weights"
    assert [stage.name for stage in result.stages] == ["other", "weights"]
    assert result.evidence


def test_the_line_of_a_segfault_is_in_the_log(tmp_path: Path, faults: Path) -> None:
    """faulthandler tells where it was."""
    result = load(tmp_path, loader(faults, "segfault"), canary=canary())

    assert "in segfault" in result.log_tail


@pytest.mark.root
@pytest.mark.skipif(not IS_ROOT, reason="needs root for a cgroup")
def test_an_oom_kill_in_its_own_cgroup_is_named(tmp_path: Path, faults: Path) -> None:
    """The kernel enforces canary.memory_limit, and the message says which limit it was."""
    result = load(tmp_path, loader(faults, "hog"), canary=canary(memory_limit=MEMORY_LIMIT))

    assert (result.reason, result.stage) == ("cgroup_oom_killed", "weights"), result.evidence
    assert "canary.memory_limit" in result.message
    assert MEMORY_LIMIT * 0.5 < (result.peak_anonymous_bytes or 0) <= MEMORY_LIMIT * ROUNDING


@pytest.mark.root
@pytest.mark.skipif(not IS_ROOT, reason="needs root for a cgroup")
def test_a_load_never_takes_more_than_is_free(tmp_path: Path, faults: Path) -> None:
    """Without a limit of its own it is held to what was available, less a reserve."""
    result = load(tmp_path, loader(faults, "hog"), canary=canary(), available=lambda: 400 * 2**20)

    assert result.reason == "cgroup_oom_killed"
    assert "free when it started" in result.message
    assert (result.peak_anonymous_bytes or 0) <= 144 * 2**20 * ROUNDING


def test_the_memory_limit_holds_without_a_cgroup(tmp_path: Path, faults: Path) -> None:
    """Where no cgroup can be made, the guard watches the load and ends it."""
    result = load(
        tmp_path,
        loader(faults, "hog"),
        canary=canary(memory_limit=MEMORY_LIMIT),
        available=lambda: 2**34,
        procfs=str(tmp_path / "no-proc"),
    )

    assert result.reason == "resource_limit", result.message
    assert any("not enforced by a cgroup" in note for note in result.notes)
    assert (result.peak_anonymous_bytes or 0) < MEMORY_LIMIT * 3


def test_the_time_limit_ends_every_descendant(tmp_path: Path, faults: Path) -> None:
    """A process that left the session dies with the load."""
    result = load(tmp_path, loader(faults, "hang_with_daemon"), canary=canary(timeout=1.0))

    assert (result.reason, result.stage) == ("timeout", "weights")
    assert 1.0 <= result.duration_seconds < 2.0
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_the_time_limit_ends_every_descendant_without_a_cgroup(tmp_path: Path, faults: Path) -> None:
    """The guard alone is told of every orphan and kills it."""
    result = load(
        tmp_path,
        loader(faults, "hang_with_daemon"),
        canary=canary(timeout=1.0),
        procfs=str(tmp_path / "no-proc"),
    )

    assert result.reason == "timeout"
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_what_a_good_load_leaves_behind_is_ended(tmp_path: Path, faults: Path) -> None:
    """A helper that forked twice, in a session of its own, does not outlive the load."""
    result = load(tmp_path, loader(faults, "leave_daemon"), canary=canary())

    assert result.outcome == "loaded", result.message
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_cancelled_load_leaves_nothing(tmp_path: Path, faults: Path) -> None:
    """Ctrl-C on a probe, or a daemon that stops, ends the child and all that it started."""
    model = Model("case", str(tmp_path), loader=loader(faults, "hang_with_daemon"), canary=canary())

    async def scenario() -> int:
        task = asyncio.create_task(run_canary(model, attempt_id=new_id()))
        pid = int(await asyncio.to_thread(wait_for, tmp_path / "pid"))
        assert is_alive(pid)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        return pid

    assert not is_alive(asyncio.run(scenario()))


def test_a_killed_daemon_takes_its_load_along(tmp_path: Path, faults: Path) -> None:
    """SIGKILL of the parent leaves no process, and the next run removes the cgroup that stayed."""
    program = (
        "import asyncio, sys; from model_load_exporter.canary.run import run_canary\n"
        "from model_load_exporter.config import Canary, Model\n"
        "model = Model('case', sys.argv[1], loader=sys.argv[2], canary=Canary())\n"
        "asyncio.run(run_canary(model, attempt_id=sys.argv[3]))"
    )
    daemon = subprocess.Popen([sys.executable, "-c", program, tmp_path, loader(faults, "hang_with_daemon"), new_id()])
    pid = int(wait_for(tmp_path / "pid"))
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()

    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline, "the load outlived the daemon"
        time.sleep(0.005)
    group.remove_stale(cgroup.own_cgroups())
    assert cgroups_left(*loads_made()) == []


def test_a_flood_of_output_is_bounded(tmp_path: Path, faults: Path) -> None:
    """Only the last 8 KiB are kept, and the daemon does not read gigabytes for them."""
    before = time.process_time()
    result = load(tmp_path, loader(faults, "flood"), canary=canary())

    assert result.outcome == "loaded"
    assert len(result.log_tail.encode()) <= 8192
    assert result.log_tail.endswith("the last line\n")
    assert time.process_time() - before < 0.5


def test_hostile_reports_are_survived(tmp_path: Path, faults: Path) -> None:
    """Nonsense on the report pipe changes nothing of what the load came to."""
    result = load(tmp_path, loader(faults, "hostile_reports"), canary=canary())

    assert result.outcome == "loaded"


def test_there_is_no_network_inside(tmp_path: Path, faults: Path) -> None:
    """A listener on the host's loopback cannot be reached from a load."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        (tmp_path / "port").write_text(str(server.getsockname()[1]))
        result = load(tmp_path, loader(faults, "connect"), canary=canary())

    if "network not isolated" in result.notes:
        pytest.skip("neither root nor user namespaces here")
    assert result.reason == "network_error", result.message


def test_the_child_is_the_last_and_the_least(tmp_path: Path, faults: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Low priorities, first for the OOM killer, no core, no input, no secrets, no descriptors of the daemon."""
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with open("/etc/passwd") as _held, socket.socket() as _open:
        os.set_inheritable(_held.fileno(), True)
        result = load(tmp_path, loader(faults, "tell"), canary=canary())
    assert result.outcome == "loaded", result.message
    told = json.loads((tmp_path / "told").read_text())

    assert (told["nice"], told["oom"], told["ioprio"]) == (19, "1000", 3)
    assert (told["no_new_privs"], told["core"]) == ("1", 1)
    assert (told["stdin"], told["cwd"]) == ("/dev/null", "/")
    assert not {"HF_TOKEN", "AWS_SECRET_ACCESS_KEY"} & set(told["environment"])
    assert told["interfaces"] == ["lo"] or "network not isolated" in result.notes
    assert not {"/etc/passwd", "socket"} & set(told["fds"])


def test_a_load_that_would_not_fit_is_skipped(tmp_path: Path) -> None:
    """The files' headers say so before any process starts."""
    file = tmp_path / "model.safetensors"
    header = json.dumps({"w": {"dtype": "F32", "shape": [2**30], "data_offsets": [0, 2**32]}}).encode()
    with open(file, "wb") as handle:
        handle.write(len(header).to_bytes(8, "little") + header)
        handle.truncate(8 + len(header) + 2**32)

    result = load(file, "safetensors", canary=canary(), available=lambda: 4 * 10**9)

    assert (result.outcome, result.skip_cause, result.reason) == ("skipped", "memory", None)
    assert result.predicted_bytes is not None
    assert result.predicted_bytes > 2**32
    assert "4GiB of tensors" in result.message


def test_a_limit_below_the_prediction_is_tried(tmp_path: Path) -> None:
    """canary.memory_limit contains a load that would not fit; it does not skip it."""
    file = tmp_path / "model.safetensors"
    header = json.dumps({"w": {"dtype": "F32", "shape": [2**30], "data_offsets": [0, 2**32]}}).encode()
    with open(file, "wb") as handle:
        handle.write(len(header).to_bytes(8, "little") + header)
        handle.truncate(8 + len(header) + 2**32)

    result = load(file, "safetensors", canary=canary(memory_limit=200_000_000), available=lambda: 4 * 10**9)

    assert (result.outcome, result.reason) == ("failed", "dependency_missing")


@pytest.mark.root
@pytest.mark.skipif(not IS_ROOT, reason="needs root for a cgroup")
def test_cleaning_up_never_takes_a_group_in_use() -> None:
    """A probe beside a daemon: one makes its group while the other looks for stale ones."""
    own = cgroup.own_cgroups()
    stop = threading.Event()

    def clean() -> None:
        while not stop.is_set():
            group.remove_stale(own)

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    try:
        for _ in range(200):
            made = group.create(new_id(), MEMORY_LIMIT, own)
            assert all(Path(file).exists() for file in made.files)
            assert made.remove()
    finally:
        stop.set()
        cleaner.join()
