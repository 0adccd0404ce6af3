"""SpoolReader: what it leaves alone, tidies, or outlives: foreign files, leftovers, and people who delete."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_load_exporter.journal.reader import SpoolReader
from model_load_exporter.journal.spool import open_spool
from model_load_exporter.journal.writer import JournalFile, stamp
from support.listener import Listener
from support.recording import begin, drop, hold, lines

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


def age(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def test_foreign_things_are_counted_once_and_left_alone(spool: Path, reader: SpoolReader, listener: Listener) -> None:
    """Links, FIFOs, folders, binaries, wrong ids and odd names: none hangs the reader, none is deleted."""
    outside = spool.parent / "outside.jsonl"
    outside.write_bytes(lines(begin("link")))
    (spool / "link.jsonl").symlink_to(outside)
    (spool / "dangling.jsonl").symlink_to(spool / "nothing")
    os.mkfifo(spool / "fifo.jsonl")
    (spool / "folder.jsonl").mkdir()
    (spool / "binary.jsonl").write_bytes(b"\x7fELF\n" * 50)
    (spool / "huge.jsonl").write_bytes(b"\0" * 3_000_000)
    (spool / "wrong.jsonl").write_bytes(lines(begin("right")))
    (spool / "ümlaut.jsonl").write_bytes(lines(begin("x")))
    (spool / ("x" * 65 + ".jsonl")).write_bytes(lines(begin("x")))
    (spool / "version.jsonl").write_bytes(lines(begin("version", v=2)))
    Path(os.fsdecode(os.fsencode(spool) + b"/\xff\xfe.jsonl")).write_bytes(b"\n")
    (spool / "notes.txt").write_text("not a journal at all")
    before = sorted(os.listdir(spool))
    for _ in range(3):
        reader.process()
        reader.sweep()
    assert listener.told() == []
    assert sorted(listener.causes) == sorted(["foreign_file"] * 8 + ["bad_json", "oversized", "unknown_version"])
    assert sorted(os.listdir(spool)) == before


def test_a_foreign_name_that_is_used_anew_is_looked_at_again(
    spool: Path, reader: SpoolReader, listener: Listener
) -> None:
    """What is ignored is the file, not its name."""
    (spool / "a-1.jsonl").write_text("hello\n")
    reader.sweep()
    (spool / "a-1.jsonl").unlink()
    reader.sweep()
    make(spool, "a-1").close()
    reader.process()
    assert listener.told() == ["begun a-1", "progressed a-1 other", "abandoned a-1"]


def test_a_file_without_a_whole_line_waits_and_goes(spool: Path, reader: SpoolReader, listener: Listener) -> None:
    """Empty, or one torn line: its writer may be about to lock it; after ten minutes it is told once, and deleted."""
    paths = [drop(spool, "a-1", b""), drop(spool, "a-2", lines(begin("a-2"))[:50])]
    reader.sweep()
    reader.sweep()
    assert listener.causes == []
    for path in paths:
        age(path, 601)
    reader.sweep()
    reader.sweep()
    assert listener.causes == ["torn", "torn"]
    assert not any(path.exists() for path in paths)
    assert listener.told() == []


def test_leftovers_of_writers_that_died_are_tidied(spool: Path, reader: SpoolReader, listener: Listener) -> None:
    """A `.ID.tmp` of a writer that never came to its rename goes after ten minutes; a young one stays."""
    old, young, other = spool / ".a-1.tmp", spool / ".a-2.tmp", spool / ".hidden"
    for path in (old, young, other):
        path.write_bytes(b"{")
    age(old, 601)
    age(other, 601)
    reader.sweep()
    assert sorted(path.name for path in spool.glob(".*")) == [".a-2.tmp", ".hidden"]
    assert listener.causes == []


def test_a_journal_that_somebody_deletes_is_followed_to_its_end(
    spool: Path, reader: SpoolReader, listener: Listener
) -> None:
    """rm in the spool: inotify tells nothing more, the sweep still sees the end, and the death of the other."""
    ends, dies = make(spool, "a-1"), make(spool, "a-2")
    reader.process()
    listener.told()
    before = len(os.listdir("/proc/self/fd"))
    (spool / "a-1.jsonl").unlink()
    (spool / "a-2.jsonl").unlink()
    reader.sweep()
    assert listener.told() == [], "both are locked and open"
    ends.write({**stamp("end"), **END})
    ends.close()
    dies.close()
    reader.sweep()
    assert sorted(listener.told()) == ["abandoned a-2", "ended a-1 loaded"]
    reader.delete("a-1")
    reader.delete("a-2")
    assert len(os.listdir("/proc/self/fd")) == before - 4, "two descriptors of the writer's, two of the reader's"


def test_a_spool_that_is_gone_is_survived(spool: Path, reader: SpoolReader, listener: Listener) -> None:
    """Somebody removes the whole folder under a running daemon."""
    file = make(spool)
    reader.process()
    file.close()
    for path in spool.iterdir():
        path.unlink()
    spool.rmdir()
    reader.process()
    reader.sweep()
    assert "unreadable" in listener.causes
