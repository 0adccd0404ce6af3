"""One journal file as the reader follows it: torn, oversized, foreign and endless content."""

import fcntl
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model_load_exporter.journal.format import CAUSES, JournalError
from model_load_exporter.journal.line import MAX_FILE, MAX_LINE
from model_load_exporter.journal.tail import Tail
from support.recording import begin, event, hold, lines

ID = "a-1"
STAGE = event("stage_begin", stage="weights")
END = event("end", outcome="loaded")


class File:
    """A journal file of this test and the tail that follows it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{ID}.jsonl"
        self.path.touch()
        self.tail = Tail(str(folder), self.path.name)
        self.events = 0
        self.causes: list[str] = []

    def add(self, content: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(content)
        events, problems = self.tail.read()
        self.events += events
        self.causes += [problem.cause for problem in problems]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[File]:
    made = File(tmp_path)
    yield made
    made.tail.close()


def test_a_line_counts_once_it_is_whole(file: File) -> None:
    """Written byte by byte, an attempt is the same as written at once, and is never read in part."""
    content = lines(begin(ID), STAGE, END)
    for index in range(len(content)):
        file.add(content[index : index + 1])
        assert file.events == content[: index + 1].count(b"\n")
    assert file.tail.attempt is not None
    assert file.tail.attempt.outcome == "loaded"
    assert not file.tail.torn()
    assert file.causes == []


def test_a_torn_last_line_is_dropped(file: File) -> None:
    """A full disk or a kill in the middle of a write: the lines before it count."""
    file.add(lines(begin(ID), STAGE) + lines(END)[:-9])
    assert file.tail.torn()
    assert file.tail.attempt is not None
    assert file.tail.attempt.open


def test_a_torn_line_costs_only_itself(file: File) -> None:
    """The writer ends the cut line and goes on: one bad line, and the end is taken."""
    file.add(lines(begin(ID)) + lines(STAGE)[:20] + b"\n" + lines(END))
    assert file.causes == ["bad_json"]
    assert file.tail.attempt is not None
    assert file.tail.attempt.outcome == "loaded"


@pytest.mark.parametrize("pieces", [1, 3, 200_000])
def test_an_oversized_line_costs_only_itself(file: File, pieces: int) -> None:
    """Told once, however it arrives and however long it is; a good line after it counts."""
    file.add(lines(begin(ID)))
    huge = b'{"event":"stage_begin","time":1,"stage":"' + b"x" * 200_000 + b'"}\n'
    for start in range(0, len(huge), len(huge) // pieces + 1):
        file.add(huge[start : start + len(huge) // pieces + 1])
    file.add(lines(STAGE, END))
    assert file.causes == ["oversized"]
    assert file.tail.attempt is not None
    assert [stage.name for stage in file.tail.attempt.stages] == ["weights"]
    assert file.tail.attempt.outcome == "loaded"


def test_a_line_of_the_limit_is_taken(file: File) -> None:
    """4096 bytes with the newline are within it; some bytes more are not."""
    plain = len(lines(event("stage_begin", stage="")))
    exact = event("stage_begin", stage="x" * (MAX_LINE - plain))
    file.add(lines(begin(ID)))
    file.add(lines(exact))
    assert (file.events, file.causes) == (2, [])
    file.add(lines(event("stage_begin", stage="x" * (MAX_LINE - plain + 10))))
    assert (file.events, file.causes) == (2, ["oversized"])


def test_unknown_events_versions_and_kinds_of_file_are_passed_over(file: File) -> None:
    """Lines that a later version adds, and lines of the other kind of file, change nothing."""
    file.add(
        lines(begin(ID), event("checkpoint", part=3), hold(ID), begin(ID), event("end", outcome="loaded", v=9), STAGE)
    )
    assert file.causes == ["unknown_version"]
    assert file.tail.attempt is not None
    assert file.tail.attempt.open
    assert [stage.name for stage in file.tail.attempt.stages] == ["weights"]


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (lines(begin(ID, v=2), END), "unknown_version"),
        (lines(begin("a-2"), END), "foreign_file"),
        (lines(END, begin(ID)), "foreign_file"),
        (lines(event("of-a-later-version"), begin(ID)), "foreign_file"),
        (lines({}), "foreign_file"),
        (b"hello, world\n" + lines(begin(ID)), "bad_json"),
        (b"\x7fELF\x02\x01\x01\x00\n\x00\n", "bad_json"),
        (b"x" * (MAX_LINE + 5) + b"\n" + lines(begin(ID)), "oversized"),
        (b"\0" * 2_000_000, "oversized"),
    ],
)
def test_a_file_that_does_not_begin_like_a_journal_is_foreign(file: File, content: bytes, cause: str) -> None:
    """Told once by its first line; what follows is not read, now or later."""
    file.add(content)
    file.add(lines(begin(ID), END))
    assert file.tail.foreign
    assert file.causes == [cause]
    assert file.tail.attempt is None
    assert not file.tail.torn()


def test_a_runaway_writer_is_read_to_the_limit(file: File) -> None:
    """Beyond 1 MiB nothing is read, and that is told once."""
    file.add(lines(begin(ID)))
    block = lines(*[STAGE] * 2000)
    while file.path.stat().st_size <= MAX_FILE + len(block):
        file.add(block)
    assert file.causes == ["too_large"]
    assert file.events < (MAX_FILE + 65536) // len(lines(STAGE)) + 2


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    """A link, a FIFO (which would hang a reader) and a folder of a journal's name."""
    (tmp_path / "real.jsonl").write_bytes(lines(begin("real")))
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "real.jsonl")
    os.mkfifo(tmp_path / "fifo.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(OSError, match="symbolic links"):
        Tail(str(tmp_path), "link.jsonl")
    for name in ("fifo.jsonl", "folder.jsonl"):
        with pytest.raises(JournalError) as caught:
            Tail(str(tmp_path), name)
        assert caught.value.cause == "foreign_file"


def test_other_readers_do_not_look_like_a_writer(file: File) -> None:
    """Several may test the lock at the same moment (a side process, a second exporter): none sees another."""
    with file.path.open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        assert file.tail.released()
    with file.path.open("ab") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert not file.tail.released()
    assert file.tail.released()


def test_random_bytes_are_survived(tmp_path: Path) -> None:
    """2,000 files of noise, good lines and cut lines in random pieces: no crash, known causes, bounded memory."""
    rng = random.Random(7)
    good = [lines(one) for one in (begin(ID), hold(ID), STAGE, END, event("exit"), event("unhold", model="nllb"))]
    for number in range(2000):
        folder = tmp_path / str(number)
        folder.mkdir()
        made = File(folder)
        parts: list[bytes] = [good[0]] if rng.random() < 0.5 else []
        for _ in range(rng.randint(1, 8)):
            kind = rng.randrange(4)
            line = rng.choice(good)
            parts.append((line, line[: rng.randrange(len(line))], rng.randbytes(rng.randrange(300)), b"\n")[kind])
        content = b"".join(parts)
        at = 0
        while at < len(content):
            step = rng.randint(1, 400)
            made.add(content[at : at + step])
            at += step
        assert set(made.causes) <= set(CAUSES)
        state: dict[str, Any] = vars(made.tail)
        assert len(state["_rest"]) <= MAX_LINE
        made.tail.close()
