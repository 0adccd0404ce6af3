"""SpoolReader: what it tells of the files of a spool, when, and how often."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_load_exporter.attempt import LoadAttempt
from model_load_exporter.journal.reader import SpoolReader
from model_load_exporter.journal.spool import open_spool
from model_load_exporter.journal.writer import JournalFile, stamp
from support.listener import Listener
from support.recording import begin, drop, event, hold, lines

END = {"outcome": "loaded"}


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def reader(spool: Path, listener: Listener) -> Iterator[SpoolReader]:
    made = SpoolReader(str(spool), listener)
    assert made.watching
    yield made
    made.close()


def make(spool: Path, file_id: str = "a-1") -> JournalFile:
    first = begin(file_id) if file_id.startswith("a") else hold(file_id)
    return JournalFile.create(open_spool(str(spool)), first, file_id)


def test_inotify_tells_a_load_from_begin_to_end(spool: Path, reader: SpoolReader, listener: Listener) -> None:
    """Each line is told as it is written, without a sweep; what is on record is deleted once it is let go."""
    file = make(spool)
    reader.process()
    assert listener.told() == ["begun a-1", "progressed a-1 other"]
    file.write({**stamp("stage_begin"), "stage": "weights"})
    reader.process()
    assert listener.told() == ["progressed a-1 weights"]
    file.write({**stamp("end"), **END})
    reader.process()
    assert listener.told() == ["ended a-1 loaded"]
    reader.delete("a-1")
    assert (spool / "a-1.jsonl").exists(), "a locked file is never deleted"
    file.close()
    reader.process()
    assert not (spool / "a-1.jsonl").exists()
    reader.sweep()
    assert listener.told() == []
    assert listener.causes == []


def test_a_file_without_an_end_is_told_when_its_lock_is_free(
    spool: Path, reader: SpoolReader, listener: Listener
) -> None:
    """Not before, however often it is looked at, and once."""
    file = make(spool)
    reader.process()
    reader.sweep()
    assert listener.told() == ["begun a-1", "progressed a-1 other"]
    file.close()
    reader.process()
    reader.sweep()
    reader.sweep()
    assert listener.told() == ["abandoned a-1"]


def test_a_holder_file_is_told_to_its_end(spool: Path, reader: SpoolReader, listener: Listener) -> None:
    """Models come and go; the end says whether the process left in good order."""
    file = make(spool, "h-1")
    reader.process()
    file.write({**stamp("unhold"), "model": "nllb"})
    reader.process()
    file.write(stamp("exit"))
    file.close()
    reader.process()
    assert listener.told() == ["held h-1", "changed h-1 nllb", "changed h-1 ", "changed h-1 ", "over h-1 True"]
    make(spool, "h-2").close()
    reader.process()
    assert listener.told() == ["held h-2", "changed h-2 nllb", "over h-2 False"]


def test_a_sweep_finds_what_lay_there_before(spool: Path, listener: Listener) -> None:
    """Files from before the reader's start: ended, abandoned, and still being written."""
    drop(spool, "a-1", lines(begin("a-1"), event("end", outcome="failed", reason="killed")))
    drop(spool, "a-2", lines(begin("a-2")))
    living = make(spool, "a-3")
    reader = SpoolReader(str(spool), listener)
    reader.sweep()
    assert sorted(listener.told()) == [
        "abandoned a-2", "begun a-1", "begun a-2", "begun a-3", "ended a-1 failed", "progressed a-2 other",
        "progressed a-3 other",
    ]  # fmt: skip
    assert reader.spool_bytes > 300
    living.close()
    reader.close()


def test_a_file_that_a_slow_writer_makes_in_the_open_is_followed(
    spool: Path, reader: SpoolReader, listener: Listener
) -> None:
    """Not by rename but empty first, then its lines: taken all the same."""
    with (spool / "a-1.jsonl").open("ab", buffering=0) as file:
        reader.process()
        reader.sweep()
        file.write(lines(begin("a-1")))
        reader.process()
        file.write(lines(event("end", **END)))
    reader.process()
    assert listener.told() == ["begun a-1", "progressed a-1 other", "ended a-1 loaded"]


def test_a_listener_that_fails_is_told_again(
    spool: Path, reader: SpoolReader, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the ledger while a file is read: the others go on, and that file is read from its start again."""
    with monkeypatch.context() as patch:
        ended = listener.ended

        def fail_for_one(attempt: LoadAttempt) -> None:
            if attempt.id == "a-1":
                raise OSError("disk")
            ended(attempt)

        patch.setattr(listener, "ended", fail_for_one)
        for file_id in ("a-1", "a-2"):
            drop(spool, file_id, lines(begin(file_id), event("end", **END)))
        reader.process()
        assert listener.told() == ["begun a-1", "begun a-2", "ended a-2 loaded"]
        assert listener.causes == ["unreadable"]
    reader.sweep()
    assert listener.told() == ["begun a-1", "ended a-1 loaded"]


def test_without_inotify_the_sweep_alone_finds_everything(
    spool: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No inotify instance left (a limit of the host): later, but complete."""

    def refuse(_: str) -> None:
        raise OSError("Too many open files")

    monkeypatch.setattr("model_load_exporter.journal.reader.Inotify", refuse)
    reader = SpoolReader(str(spool), listener)
    assert not reader.watching
    file = make(spool)
    reader.process()
    assert listener.told() == []
    reader.sweep()
    assert listener.told() == ["begun a-1", "progressed a-1 other"]
    file.close()
    reader.sweep()
    assert listener.told() == ["abandoned a-1"]
    reader.close()


def test_blank_files_cost_no_descriptor(spool: Path, reader: SpoolReader, listener: Listener) -> None:
    """Anybody may leave empty files in the spool: none of them is kept open, or counted, while it is young."""
    before = len(os.listdir("/proc/self/fd"))
    for number in range(50):
        (spool / f"a-{number}.jsonl").write_bytes(b"\n" * (number % 2))
    reader.process()
    reader.sweep()
    assert len(os.listdir("/proc/self/fd")) == before
    assert (listener.told(), listener.causes) == ([], [])
