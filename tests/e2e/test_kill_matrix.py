"""Every kind of death, repeated, under every set of evidence: the verdict is right or less sure, never wrong.

2 repeats every day (about half a minute), 10 with --full. Host OOM, systemd-oomd and cgroup v2's memory files are
fixture trees in tests/unit/test_witness_*.py; gunicorn's own timeout is tested with `run`. Here a supervisor writes the
kill note that gunicorn's hook writes.
"""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from model_load_exporter.witness.family import descendants
from model_load_exporter.witness.sources import SOURCES
from support.cgroup import MemoryCgroup, memory_cgroup
from support.daemon import Daemon, dispose
from support.service import EXIT_STATUS_IS_TOLD, Service
from support.wait import until

DYING = (Path(__file__).parents[1] / "fixtures" / "witness" / "dying.py").read_text()

UNSURE = frozenset({"killed", "process_died"})
RIGHT: Mapping[str, str] = {
    "sigkill": "killed",
    "sigterm": "killed",
    "segfault": "segfault",
    "segfault_in_a_thread": "segfault",
    "bus_error": "bus_error",
    "abort": "aborted",
    "illegal_instruction": "illegal_instruction",
    "cgroup_oom": "cgroup_oom_killed",
    "sibling_oom": "killed",
    "os_exit": "process_died",
    "system_exit": "process_died",
    "supervisor_timeout": "timeout",
    "parent_death": "killed",
    "child_of_the_loader": "process_died",
    "clock_jump": "killed",
    "pid_reuse": "killed",
}
"""The reason that is true of each. `frozen` is no death."""
KINDS = (*RIGHT, "frozen")
EXITS = frozenset({"os_exit", "system_exit", "child_of_the_loader"})
"""Nobody sent these a signal: `killed` would be wrong of them, not less sure."""

NAMESPACES = ("unshare", "--user", "--map-root-user", "--pid", "--mount", "--fork", "--mount-proc")


@dataclass(frozen=True)
class Setting:
    """A set of evidence. apart: the services live in namespaces of their own. sidecar: the daemon does."""

    disabled: tuple[str, ...] = ()
    apart: bool = False
    sidecar: bool = False
    exact: bool = True


SETTINGS = {
    "all": Setting(),
    "no-pidfd-info": Setting(("exit_status",)),
    "no-exit-status": Setting(("exit_status", "proc_connector", "zombie"), exact=False),
    "no-kmsg": Setting(("kernel_log",), exact=False),
    "none": Setting(SOURCES, exact=False),
    "services-apart": Setting(apart=True),
    "daemon-apart": Setting(sidecar=True, exact=False),
}


class Sidecar(Daemon):
    """A daemon in namespaces of its own, without rights on the host: it sees the spool alone."""

    def command(self) -> list[str]:
        return [*NAMESPACES, "--kill-child=SIGKILL", "--", *super().command()]


@contextlib.contextmanager
def daemon_of(folder: Path, setting: Setting) -> Iterator[Daemon]:
    flags = [f"--evidence.disable={source}" for source in setting.disabled]
    daemon = (Sidecar if setting.sidecar else Daemon)(folder, flags=flags)
    try:
        daemon.start()
        yield daemon
    finally:
        dispose(daemon.process)


class Loader:
    """One service of the matrix, mid-load."""

    def __init__(self, daemon: Daemon, kind: str, number: int, group: MemoryCgroup | None, *, apart: bool) -> None:
        self.kind, self.model = kind, f"{kind}-{number}"
        self._apart = apart
        wrapper = group.wrapper if group is not None else ()
        spool = daemon.spool
        if apart:
            # A shell is the namespace's first process: that one ignores signals which it does not handle.
            bind = 'mkdir -p "$0" && mount --bind "$1" "$0" && shift && "$@"; exit $?'
            wrapper = (*wrapper, *NAMESPACES, "sh", "-c", bind, str(daemon.folder / "bound"), str(spool))
            spool = daemon.folder / "bound"
        self.service = Service(DYING, spool, arguments=[self.model, kind], wrapper=wrapper)

    @property
    def loader_pid(self) -> int:
        """As this host numbers it."""
        return descendants(self.service.pid, "/proc")[-1] if self._apart else self.service.pid


def die(loader: Loader) -> subprocess.Popen[bytes] | None:
    """Tells it to, and reaps as a supervisor does; for pid_reuse, the process that has its pid now."""
    loader.service.tell("")
    if loader.kind == "frozen":
        return None
    loader.service.reap()
    if loader.kind == "pid_reuse":
        last = Path("/proc/sys/kernel/ns_last_pid")
        newest = last.read_text()
        try:
            for _ in range(20):
                last.write_text(str(loader.service.pid - 1))
                other = subprocess.Popen(["sleep", "60"])
                if other.pid == loader.service.pid:
                    return other
                dispose(other)
        finally:
            # Or the pids of all others that just died would come again within milliseconds, and those of threads that
            # fault: without any exit status, nothing tells such a fault from the dead process's own.
            last.write_text(newest)
    return None


def history(daemon: Daemon) -> dict[str, dict[str, Any]]:
    """The attempts by model."""
    return {load["model"]: load for load in json.loads(daemon.get("/api/v1/loads?limit=1000").text)["loads"]}


@pytest.mark.root
@pytest.mark.skipif(not EXIT_STATUS_IS_TOLD, reason="what `exact` says holds where the kernel tells exit statuses")
@pytest.mark.parametrize("name", SETTINGS)
def test_no_verdict_is_wrong(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """All kinds at once, as on a bad day: each gets its own reason, or one that says less."""
    setting = SETTINGS[name]
    repeats = 10 if request.config.getoption("--full") else 2
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(daemon_of(tmp_path, setting))
        loaders = []
        for number in range(repeats):
            for kind in KINDS:
                oom = kind in ("cgroup_oom", "sibling_oom")
                group = stack.enter_context(memory_cgroup(64 << 20)) if oom else None
                loader = Loader(daemon, kind, number, group, apart=setting.apart)
                stack.callback(dispose, loader.service.process)
                loaders.append(loader)
        for loader in loaders:
            loader.service.says("open")
        until(lambda: daemon.series().sum("model_load_in_progress") == len(loaders), 20, "all are open")
        for loader in loaders:
            if (other := die(loader)) is not None:
                stack.callback(dispose, other)
        dead = [loader for loader in loaders if loader.kind != "frozen"]

        def judged() -> bool:
            loads = history(daemon)
            return all(loads[loader.model]["outcome"] is not None for loader in dead)

        until(judged, 30, lambda: f"each has a verdict: {history(daemon)}; {daemon.log()[-2000:]}")
        loads = history(daemon)
        wrong = []
        for loader in dead:
            load, right = loads[loader.model], RIGHT[loader.kind]
            less_sure = {"process_died"} if loader.kind in EXITS else UNSURE
            good = load["outcome"] == "failed" and load["reason"] in ({right} if setting.exact else {right, *less_sure})
            if not good:
                wrong.append((loader.model, load["outcome"], load["reason"], load["message"], load.get("evidence")))
        assert wrong == []
        frozen = [loader for loader in loaders if loader.kind == "frozen"]
        assert [loads[loader.model]["outcome"] for loader in frozen] == [None] * repeats
        for loader in frozen:
            os.kill(loader.loader_pid, signal.SIGCONT)
        until(lambda: all(history(daemon)[one.model]["outcome"] == "loaded" for one in frozen), 10, "they go on")
        series = daemon.series()
        assert series.sum("model_load_failures_total") == len(dead), "each counts once"
        assert series.sum("model_load_attempts_total") == len(loaders)
        if name == "all":
            explained = [loads[f"sibling_oom-{number}"]["message"] for number in range(repeats)]
            # The line that names a victim's cgroup is rate-limited; the sibling is a child here.
            told = ("the OOM killer ended", "its child")
            assert all(any(part in message for part in told) for message in explained), explained
            first = [loads[f"child_of_the_loader-{number}"]["message"] for number in range(repeats)]
            assert all("its child" in message for message in first), first
