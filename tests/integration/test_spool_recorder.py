"""From the spool to the ledger, by the real recorder: each load counts once, whatever is found, lost or replayed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_load_exporter.journal.spool import open_spool
from model_load_exporter.journal.writer import JournalFile, stamp
from support.recording import Recording, begin, drop, event, hold, lines
from support.service import EXIT_STATUS_IS_TOLD

KILLED = "killed" if EXIT_STATUS_IS_TOLD else "process_died"
GONE = 2**22 - 1
"""A pid that no process has: above what the kernel gives out unless told to."""
OTHER_BOOT = "00000000-0000-4000-8000-000000000000"


def loaded(file_id: str, **keys: object) -> bytes:
    return lines(begin(file_id, **keys), event("end", outcome="loaded"))


@pytest.fixture
def stopped(spool: Path, tmp_path: Path) -> Iterator[Recording]:
    """A recorder that the test starts and stops itself."""
    made = Recording(spool, tmp_path / "state")
    yield made
    made.stop()


def test_a_replayed_file_counts_once(recording: Recording) -> None:
    """The same journal again after its deletion (a backup, a confused writer), in whatever end it had."""
    content = {
        "a-1": loaded("a-1"),
        "a-2": lines(begin("a-2"), event("end", outcome="failed", reason="file_missing")),
        "a-3": lines(begin("a-3", pid=GONE), event("stage_begin", stage="weights")),
    }
    for _ in range(3):
        for file_id, data in content.items():
            drop(recording.spool, file_id, data)
        recording.until_recorded()
    tally = recording.tally("nllb")
    assert (tally.attempts, sum(tally.success_buckets)) == (3, 1)
    assert sum(tally.failures.values()) == 2
    assert len(recording.rows()) == 3


def test_a_replay_counts_nothing_after_a_restart_either(stopped: Recording) -> None:
    """The ledger knows the attempt; the journal was written back, or its deletion was lost in a crash."""
    for _ in range(2):
        drop(stopped.spool, "a-1", loaded("a-1"))
        drop(stopped.spool, "h-1", lines(hold("h-1", boot_id=OTHER_BOOT)))
        stopped.start()
        stopped.until_recorded()
        tally = stopped.tally("nllb")
        assert (tally.attempts, tally.deaths) == (1, {"host_rebooted": 1})
        stopped.stop()


def test_what_happened_while_no_daemon_ran_is_dated_then(stopped: Recording) -> None:
    """A death is not a death of now: it is dated by when a daemon last looked."""
    stopped.start()
    stopped.stop()
    long_ago = time.time() - 7200
    os.utime(stopped.spool / "reader.lock", (long_ago, long_ago))
    began = long_ago - 60
    drop(stopped.spool, "a-1", lines(begin("a-1", time=began, pid=GONE)))
    drop(stopped.spool, "a-2", lines(begin("a-2", time=long_ago + 600, model="aya", pid=GONE)))
    stopped.start()
    stopped.until_recorded()
    [(died, stage)] = stopped.tally("nllb").failure.values()
    assert died == pytest.approx(long_ago, abs=1)
    assert stage == "other"
    [(died, _)] = stopped.tally("aya").failure.values()
    assert died == pytest.approx(long_ago + 600, abs=1), "not before its begin"


def test_files_of_another_boot_are_a_reboot(stopped: Recording) -> None:
    """The host restarted under an open load: whatever has its pid now is another process."""
    hour_ago = time.time() - 3600
    drop(stopped.spool, "a-1", lines(begin("a-1", time=hour_ago, boot_id=OTHER_BOOT, pid=os.getpid())))
    drop(stopped.spool, "h-1", lines(hold("h-1", time=hour_ago, boot_id=OTHER_BOOT, model="aya")))
    stopped.start()
    stopped.until_recorded()
    assert stopped.tally("nllb").failures == {"host_rebooted": 1}
    assert stopped.tally("nllb").failure["host_rebooted"][0] < time.time() - 1800
    assert stopped.tally("aya").deaths == {"host_rebooted": 1}


def test_a_pid_that_means_another_process_by_now_is_not_believed(stopped: Recording) -> None:
    """The writer died while no daemon ran; a process that began later has its pid and is alive."""
    drop(stopped.spool, "a-1", lines(begin("a-1", time=time.time() - 86_400, pid=os.getpid())))
    stopped.start()
    stopped.until_recorded()
    assert stopped.tally("nllb").failures == {"process_died": 1}
    assert stopped.problems() == {}


def test_a_death_is_counted_within_moments(recording: Recording) -> None:
    """SIGKILL in mid-load, with the stage that it was in."""
    code = (
        "import signal\nfrom model_load_exporter import track_load\n"
        "with track_load('nllb') as load, load.stage('weights'):\n    print(flush=True)\n    signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        recording.until(lambda: bool(recording.loads.open), "the load is seen")
        process.send_signal(signal.SIGKILL)
    recording.until(lambda: bool(recording.tally("nllb").failure), "the death is counted", seconds=4)
    [(reason, (_, stage))] = recording.tally("nllb").failure.items()
    assert (reason, stage) == (KILLED, "weights")


def test_a_journal_that_its_process_loses_is_no_death(recording: Recording) -> None:
    """Closed without an end while the process lives on: no outcome, and told as lost."""
    file = JournalFile.create(open_spool(str(recording.spool)), begin("a-1"), "a-1")
    recording.until(lambda: bool(recording.loads.open), "the load is seen")
    file.close()
    recording.until(lambda: not recording.loads.open, "the load is over", seconds=15)
    assert recording.problems() == {"lost": 1}
    recording.until_recorded()
    assert recording.tally("nllb").failures == {}
    assert [row.outcome for row in recording.rows()] == ["lost"]


def test_a_journal_that_vanished_while_no_daemon_ran_is_closed(stopped: Recording) -> None:
    """Open in the ledger, gone from the spool: it does not stay open for ever."""
    stopped.start()
    file = JournalFile.create(open_spool(str(stopped.spool)), begin("a-1"), "a-1")
    stopped.until(lambda: bool(stopped.loads.open), "the load is seen")
    stopped.stop()
    file.close()
    (stopped.spool / "a-1.jsonl").unlink()
    stopped.start()
    assert stopped.problems() == {"lost": 1}
    stopped.stop()
    assert [row.outcome for row in stopped.rows()] == ["lost"]


def test_an_end_that_was_told_while_no_daemon_ran_is_the_end(stopped: Recording) -> None:
    """Open in the ledger; the service finished meanwhile."""
    stopped.start()
    file = JournalFile.create(open_spool(str(stopped.spool)), begin("a-1"), "a-1")
    stopped.until(lambda: bool(stopped.loads.open), "the load is seen")
    stopped.stop()
    file.write({**stamp("end"), "outcome": "loaded"})
    file.close()
    stopped.start()
    stopped.until_recorded()
    assert stopped.problems() == {}
    assert (stopped.tally("nllb").attempts, sum(stopped.tally("nllb").success_buckets)) == (1, 1)
    assert [row.outcome for row in stopped.rows()] == ["loaded"]


def test_hostile_files_beside_a_good_one_cost_nothing(stopped: Recording) -> None:
    """Everything foreign at once: each is counted, the good one is on record, none is touched."""
    spool = stopped.spool
    (spool / "link.jsonl").symlink_to("/etc/passwd")
    os.mkfifo(spool / "fifo.jsonl")
    (spool / "folder.jsonl").mkdir()
    (spool / "binary.jsonl").write_bytes(os.urandom(5000).replace(b"\n", b"") + b"\n")
    drop(spool, "wrong", lines(begin("right")))
    drop(spool, "newer", lines(begin("newer", v=2)))
    drop(spool, "big", lines(begin("big", kind="canary")) + b'{"x":"' + b"y" * 2**20)
    drop(
        spool,
        "a-1",
        lines(begin("a-1"), {"event": "end"}) + b"x" * 9000 + b"\n" + lines(event("end", outcome="loaded")),
    )
    foreign = set(stopped.files()) - {"a-1.jsonl"}
    stopped.start()
    stopped.until(lambda: sum(stopped.tally("nllb").success_buckets) == 1, "the good one counts")
    assert stopped.problems()["foreign_file"] == 4
    assert stopped.problems()["bad_event"] == 1
    assert stopped.problems()["unknown_version"] == 1
    assert stopped.problems()["oversized"] >= 2
    stopped.until(lambda: "a-1.jsonl" not in stopped.files(), "the good one is deleted")
    assert foreign - set(stopped.files()) <= {"big.jsonl"}, "the endless canary's file goes, the rest is left alone"


def test_runtimes_of_strangers_cannot_stop_the_ledger(recording: Recording) -> None:
    """Nested to the limit of JSON, or infinite: the attempt is on record, and so is the next."""
    for depth in (100, 900, 950, 970, 985, 995):
        deep = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
        content = loaded(f"a-{depth}", runtime="HERE").replace(b'"HERE"', deep)
        drop(recording.spool, f"a-{depth}", content)
    drop(recording.spool, "a-inf", loaded("a-inf", runtime={"a": float("inf")}))
    drop(recording.spool, "a-last", loaded("a-last"))
    recording.until(lambda: any(row.id == "a-last" for row in recording.rows()), "the ledger is written")
    assert recording.recorder.ledger_writable


def test_a_canarys_journal_is_no_services_load(recording: Recording) -> None:
    """kind canary: nothing is counted of it here, and its file goes."""
    drop(recording.spool, "a-1", loaded("a-1", kind="canary"))
    drop(recording.spool, "a-2", lines(begin("a-2", kind="canary")))
    drop(recording.spool, "a-3", loaded("a-3"))
    recording.until_recorded()
    assert recording.tally("nllb").attempts == 1
    assert [row.id for row in recording.rows()] == ["a-3"]


def test_loads_of_one_group_from_many_files_are_one(recording: Recording) -> None:
    """Four ranks, four journals: one attempt, and one failure when one of them fails."""
    for rank in range(4):
        drop(recording.spool, f"a-{rank}", loaded(f"a-{rank}", group="run.0", rank=str(rank)))
    for rank in range(4):
        outcome = {"outcome": "failed", "reason": "gpu_out_of_memory"} if rank == 1 else {"outcome": "loaded"}
        content = lines(begin(f"b-{rank}", group="run.1", rank=str(rank)), event("end", **outcome))
        drop(recording.spool, f"b-{rank}", content)
    recording.until_recorded()
    tally = recording.tally("nllb")
    assert tally.attempts == 2
    assert tally.failures == {"gpu_out_of_memory": 1}


@pytest.mark.parametrize("size", [300, pytest.param(10_000, marks=pytest.mark.full)])
def test_a_burst_of_loads_is_counted_exactly(recording: Recording, size: int) -> None:
    """Many at once, a third of them dying: no more, no fewer."""
    for number in range(size):
        content = lines(begin(f"a-{number}", pid=GONE)) if number % 3 == 0 else loaded(f"a-{number}")
        drop(recording.spool, f"a-{number}", content)
    recording.until_recorded(seconds=60)
    tally = recording.tally("nllb")
    deaths = len(range(0, size, 3))
    assert (tally.attempts, sum(tally.success_buckets), sum(tally.failures.values())) == (size, size - deaths, deaths)
