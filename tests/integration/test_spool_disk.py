"""Full disks, for real: under the spool no load fails or waits, under the ledger nothing is lost or counted twice."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_load_exporter import track_load, unloaded
from model_load_exporter.journal.reader import create_spool
from model_load_exporter.journal.spool import open_spool
from model_load_exporter.journal.writer import JournalFile, stamp
from support.recording import Recording, begin
from support.wait import until

pytestmark = pytest.mark.root


@pytest.fixture
def disk() -> Iterator[Path]:
    """A file system of 256 KiB of its own."""
    folder = Path(tempfile.mkdtemp())
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0755", "none", folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        folder.rmdir()
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
    folder.rmdir()


def fill(disk: Path, leave: int = 0) -> Path:
    """Uses the space of the disk up, but for `leave` bytes; answers the file that does."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    if leave:
        os.truncate(path, path.stat().st_size - leave)
    return path


@pytest.fixture
def small_spool(disk: Path, spool: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spool on the small disk, found by the writers of this test."""
    folder = disk / "spool"
    create_spool(str(folder))
    monkeypatch.setenv("MODEL_LOAD_EXPORTER_SPOOL", str(folder))
    return folder


def test_a_full_disk_under_the_spool_costs_the_witness_alone(disk: Path, small_spool: Path) -> None:
    """At the begin: the load and its error go on, it says that nobody witnesses it, and nothing is left behind."""
    fill(disk)
    with track_load("nllb") as load:
        assert not load.witnessed
        with load.stage("weights"):
            model = load.holds({1, 2})
    assert model == {1, 2}
    with pytest.raises(RuntimeError, match="the load's own"), track_load("nllb") as load, load.stage("weights"):
        raise RuntimeError("the load's own")
    assert [path.name for path in small_spool.iterdir()] == ["spool.json"]
    unloaded("nllb")


def test_a_disk_that_fills_up_in_mid_load_costs_some_lines(disk: Path, small_spool: Path, tmp_path: Path) -> None:
    """The line that is cut short spoils only itself: with room again, the end is told and the load counts."""
    file = JournalFile.create(open_spool(str(small_spool)), begin("a-1"), "a-1")
    filler = fill(disk)
    # The journal's own last page takes lines until it is full; the one that crosses its end is cut.
    written = 0
    while file.write({**stamp("stage_begin"), "stage": "weights", "note": "y" * 300}):
        written += 1
        assert written < 50
    journal = small_spool / "a-1.jsonl"
    assert not journal.read_bytes().endswith(b"\n"), "a line was cut short"
    assert not file.write({**stamp("stage_begin"), "stage": "device"})
    filler.unlink()
    assert file.write({**stamp("end"), "outcome": "loaded"})
    file.close()
    with Recording(small_spool, tmp_path / "state") as recording:
        recording.until_recorded()
        assert sum(recording.tally("nllb").success_buckets) == 1
        assert recording.problems() == {"bad_json": 1}


def test_a_load_goes_through_on_a_disk_that_fills_up(disk: Path, small_spool: Path, tmp_path: Path) -> None:
    """track_load itself: its file is made, then there is no room for anything; the death of nobody is told."""
    with track_load("nllb") as load:
        assert load.witnessed
        filler = fill(disk)
        for _ in range(100):
            with load.stage("weights"):
                pass
        filler.unlink()
    unloaded("nllb")
    with Recording(small_spool, tmp_path / "state") as recording:
        recording.until(lambda: sum(recording.tally("nllb").success_buckets) == 1, "it counts as loaded")
        assert recording.tally("nllb").failures == {}


def test_a_full_disk_under_the_ledger_loses_nothing(disk: Path, spool: Path) -> None:
    """Counted in memory, journals kept in the spool; written once there is room, and counted once for good."""
    state = disk / "state"
    with Recording(spool, state) as recording:
        run_loads(2)
        recording.until(lambda: len(recording.rows()) == 2, "two loads are on disk")
        recording.until_recorded_but_holders()
        filler = fill(disk)
        run_loads(50)
        recording.until(lambda: recording.tally("nllb").attempts == 52, "all count in memory")
        until(lambda: not recording.recorder.ledger_writable, 10, "the ledger says that it cannot write")
        kept = [name for name in recording.files() if name.startswith("a-")]
        assert len(kept) >= 50 - len(recording.rows())
        run_loads(3)
        recording.until(lambda: recording.tally("nllb").attempts == 55, "it goes on counting")
        filler.unlink()
        until(lambda: recording.recorder.ledger_writable, 10, "the ledger writes again")
        recording.until_recorded_but_holders()
        assert len(recording.rows()) == 55
    with Recording(spool, state) as again:
        tally = again.tally("nllb")
        assert (tally.attempts, sum(tally.success_buckets)) == (55, 55)


def test_a_daemon_that_ends_on_a_full_disk_counts_from_the_journals(disk: Path, spool: Path) -> None:
    """What never reached the ledger is still in the spool: the next start counts it, once."""
    state = disk / "state"
    with Recording(spool, state) as recording:
        filler = fill(disk)
        run_loads(20)
        recording.until(lambda: recording.tally("nllb").attempts == 20, "all count in memory")
        until(lambda: not recording.recorder.ledger_writable, 10, "the ledger says that it cannot write")
    filler.unlink()
    for _ in range(2):
        with Recording(spool, state) as again:
            again.until_recorded_but_holders()
            tally = again.tally("nllb")
            assert (tally.attempts, sum(tally.success_buckets)) == (20, 20)


def run_loads(count: int) -> None:
    for _ in range(count):
        with track_load("nllb", path="/models/" + "x" * 300) as load, load.stage("weights"):
            pass
    unloaded("nllb")
