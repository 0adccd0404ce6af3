"""The witness at work in the recorder: stalls in the history, the first death of a group, what little evidence says."""

import os
import signal
import time
from pathlib import Path

import pytest

from model_load_exporter import recorder
from model_load_exporter.journal.process import boot_id, pid_namespace
from model_load_exporter.witness.attachment import Origin
from model_load_exporter.witness.family import last_pid
from model_load_exporter.witness.progress import sample
from model_load_exporter.witness.sources import SOURCES
from model_load_exporter.witness.witness import Death, Witness
from support.cgroup import memory_cgroup
from support.daemon import running
from support.recording import Recording
from support.service import EXIT_STATUS_IS_TOLD, serving
from support.wait import until

LOADING = """
import ctypes, os, sys, threading
from model_load_exporter import track_load
with track_load(sys.argv[1]) as load, load.stage("weights"):
    print(load.id)
    exec(sys.stdin.readline())
"""


def test_a_stall_is_in_the_history_with_what_it_waited_for(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the load is open already, and after its end; once a stall."""
    monkeypatch.setattr(recorder, "STALLED_SECONDS", 0.5)
    fifo = tmp_path / "model.bin"
    os.mkfifo(fifo)
    with serving(LOADING, recording.spool, arguments=["nllb"]) as service:
        service.read()
        service.tell(f"open({str(fifo)!r})")
        until(lambda: recording.rows() and recording.rows()[0].detail.get("waits"), 10, "the stall is on record")
        (row,) = recording.rows()
        assert row.outcome is None
        first = row.detail["waits"][0]
        assert (first["stage"], first["kind"]) == ("weights", "fifo")
        assert first["seen"] - first["since"] >= 0.5
        with fifo.open("w"):
            assert service.reap() == 0
    recording.until_recorded_but_holders()
    (row,) = recording.rows()
    assert row.outcome == "loaded"
    assert [wait["kind"] for wait in row.detail["waits"]] == ["fifo"]


@pytest.mark.skipif(not EXIT_STATUS_IS_TOLD, reason="the second rank's verdict is as sure only with its exit status")
def test_the_first_death_of_a_group_names_its_reason(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rank that died first, though the others told their failures before its verdict was certain."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "run-1")
    # Left with the pidfd, the witness has no status until the parent has reaped.
    witness = recording.recorder.witness
    if witness._connector is not None:
        witness._connector.close()
    witness._connector, witness._disabled = None, frozenset({"zombie"})
    with (
        serving(LOADING, recording.spool, arguments=["llama"], environment={"RANK": "0"}) as told,
        serving(LOADING, recording.spool, arguments=["llama"], environment={"RANK": "1"}) as died,
    ):
        told.read()
        died.read()
        recording.until(lambda: len(recording.loads.open) == 2, "both are open")
        died.kill(signal.SIGSEGV)
        until(lambda: recording.recorder._sightings.undecided, 5, "the death is noticed")
        told.tell("raise FileNotFoundError('its peer is gone')")
        told.reap()
        assert recording.tally("llama").failures == {}
        died.reap()
        recording.until_recorded()
    tally = recording.tally("llama")
    assert (tally.attempts, tally.failures) == (1, {"segfault": 1})


def test_a_fault_without_an_exit_status(tmp_path: Path) -> None:
    """faulthandler's dump names it, and the place, where the kernel tells nothing."""
    flags = [f"--evidence.disable={source}" for source in SOURCES if source != "faulthandler"]
    environment = {"MODEL_LOAD_EXPORTER_FAULTHANDLER": "1"}
    with running(tmp_path, flags=flags) as daemon:
        with serving(LOADING, daemon.spool, arguments=["nllb"], environment=environment) as service:
            service.read()
            daemon.wait_for(1, "model_load_in_progress", model="nllb")
            service.tell("ctypes.string_at(0)")
            service.reap()
            daemon.wait_for(1, "model_load_failures_total", model="nllb", reason="segfault")
        assert "string_at" in daemon.get("/api/v1/loads").text
        until(lambda: not list(daemon.spool.glob("*.fault")), 5, "the dump is deleted with its journal")


@pytest.mark.root
@pytest.mark.parametrize("seen", ["nobody came", "it was the largest", "somebody came"])
def test_a_counted_oom_kill(spool: Path, seen: str) -> None:
    """Without the kernel log the cgroup's counter alone tells, where it can have meant nobody else."""
    witness = Witness("/proc", "/sys", ("kernel_log", "proc_connector", "vmstat"))
    grow = "kept = []\nwhile True: kept.append(b'x' * (1 << 20))"
    held = "kept = [b'x' * (48 << 20)]; print('held'); sys.stdin.readline(); exec(" + repr(grow) + ")"
    with (
        memory_cgroup(64 << 20) as group,
        serving(LOADING, spool, arguments=["nllb"], wrapper=group.wrapper) as service,
    ):
        service.read()
        (journal,) = spool.glob("*.jsonl")
        status = journal.stat()
        attachment = witness.attach(
            Origin(
                str(spool), journal.stem, status.st_dev, status.st_ino, status.st_uid, service.pid,
                pid_namespace(), boot_id(), time.time() - 1, 1.0,
            )
        )  # fmt: skip
        service.tell(held)
        service.says("held")
        witness.look(attachment)
        found = sample(service.pid, "/proc")
        assert found is not None
        attachment.anonymous = found.anonymous if seen == "it was the largest" else None
        if seen == "somebody came":
            attachment.last_pid = -1
        service.tell("")
        assert service.reap() == -signal.SIGKILL
        if seen == "nobody came":
            attachment.last_pid = last_pid("/proc")
        death = Death(attachment, time.monotonic(), time.time())
        verdict = until(lambda: witness.examine(death, time.monotonic()), 5, "a verdict")
        assert verdict is not None
        expected = ("killed", "low") if seen == "somebody came" else ("cgroup_oom_killed", "medium")
        assert (verdict.reason, verdict.confidence) == expected
        witness.let_go(attachment)
    witness.close()


def test_a_journal_that_is_closed_by_a_living_process_is_lost(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No death, no failure: the attempt has no outcome."""
    monkeypatch.setattr("model_load_exporter.witness.witness._TEARDOWN", 0.2)
    with serving(LOADING, recording.spool, arguments=["nllb"]) as service:
        service.read()
        service.tell("os.close(load._file._fd); print('closed'); sys.stdin.readline()")
        service.says("closed")
        recording.until(lambda: not recording.loads.open, "it is not open any more", seconds=10)
        recording.until_recorded()
        assert recording.rows()[0].outcome == "lost"
        assert recording.tally("nllb").failures == {}
