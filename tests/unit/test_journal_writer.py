"""Writing a journal file: how it appears, that it is locked until it is closed, and that forks do not keep it."""

import fcntl
import os
import stat
import threading
from pathlib import Path

import pytest

from model_load_exporter.journal.line import MAX_FILE
from model_load_exporter.journal.reader import lock_spool
from model_load_exporter.journal.spool import Spool, SpoolError, open_spool
from model_load_exporter.journal.tail import Tail
from model_load_exporter.journal.writer import JournalFile, stamp
from support.recording import begin


def create(folder: Path, file_id: str = "a-1") -> JournalFile:
    return JournalFile.create(open_spool(str(folder)), begin(file_id), file_id)


def tail(folder: Path, file_id: str = "a-1") -> Tail:
    followed = Tail(str(folder), f"{file_id}.jsonl")
    followed.read()
    return followed


def test_a_file_appears_whole_and_locked(spool: Path) -> None:
    """Under its name it has its first line and its lock; nothing else is left behind; close frees it."""
    file = create(spool)
    followed = tail(spool)
    assert followed.attempt is not None
    assert not followed.released()
    assert sorted(path.name for path in spool.iterdir()) == ["a-1.jsonl", "spool.json"]
    file.close()
    file.close()
    assert followed.released()
    assert not file.open
    assert not file.write(stamp("stage_begin"))
    followed.close()


def test_everybody_may_read_it_whatever_the_umask(spool: Path) -> None:
    """Mode 0644: the daemon need not be root, and services run under umask 077."""
    before = os.umask(0o077)
    try:
        create(spool).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((spool / "a-1.jsonl").stat().st_mode) == 0o644


def test_its_descriptor_is_not_inherited(spool: Path) -> None:
    """A program that the service starts must not keep the lock alive."""
    file = create(spool)
    [fd] = [
        int(name) for name in os.listdir("/proc/self/fd")
        if os.path.exists(f"/proc/self/fd/{name}") and os.path.samefile(f"/proc/self/fd/{name}", spool / "a-1.jsonl")
    ]  # fmt: skip
    assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND
    file.close()


def test_an_id_is_used_once(spool: Path) -> None:
    """A file that is being made under the same name is not touched."""
    (spool / ".a-1.tmp").write_text("somebody else's")
    with pytest.raises(FileExistsError):
        create(spool)
    assert (spool / ".a-1.tmp").read_text() == "somebody else's"
    assert not (spool / "a-1.jsonl").exists()


def test_nothing_is_left_of_a_file_that_could_not_be_made(spool: Path) -> None:
    """An event that fits in no line: the error, no file, no descriptor."""
    before = len(os.listdir("/proc/self/fd"))
    many = {f"key{number}": "v" * 15 for number in range(1000)}
    with pytest.raises(ValueError, match="does not fit"):
        JournalFile.create(open_spool(str(spool)), many, "a-1")
    (spool / "a-1.jsonl").mkdir()
    with pytest.raises(OSError, match="a-1"):
        create(spool)
    assert [path.name for path in spool.iterdir() if path.name.startswith(".")] == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_bad_event_is_dropped(spool: Path) -> None:
    """What cannot be said as JSON, or in a line, is not written; what follows is."""
    file = create(spool)
    endless: list[object] = []
    endless.append(endless)
    assert not file.write({"event": "stage_begin", "time": 1, "stage": endless})
    assert not file.write({("a", "tuple"): 1, "event": "x"})  # type: ignore[dict-item]  # a careless writer's key
    assert not file.write({f"key{number}": "v" * 15 for number in range(1000)})
    assert file.write({**stamp("end"), "outcome": "loaded"})
    file.close()
    followed = tail(spool)
    assert followed.attempt is not None
    assert followed.attempt.outcome == "loaded"
    followed.close()


def test_a_load_of_endless_stages_keeps_room_for_its_end(spool: Path) -> None:
    """Readers stop at 1 MiB: stages beyond are left out, the outcome is not."""
    file = create(spool)
    stages = 0
    while file.write({**stamp("stage_begin"), "stage": "weights", "note": "x" * 3000}):
        stages += 1
        assert stages < 1000
    assert file.write({**stamp("end"), "outcome": "failed", "message": "x" * 5000})
    file.close()
    assert (spool / "a-1.jsonl").stat().st_size < MAX_FILE
    followed = tail(spool)
    assert followed.attempt is not None
    assert followed.attempt.outcome == "failed"
    followed.close()


def test_a_forked_child_does_not_keep_the_lock(spool: Path) -> None:
    """The child closes what it inherited and writes nothing; the lock is the parent's until the parent's close."""
    file = create(spool)
    followed = tail(spool)
    ready_read, ready_write = os.pipe()
    go_read, go_write = os.pipe()
    child = os.fork()
    if child == 0:
        wrote = file.write({**stamp("end"), "outcome": "failed"})
        file.close()
        os.write(ready_write, b"y" if wrote or file.open else b"n")
        os.read(go_read, 1)
        os._exit(0)
    try:
        assert os.read(ready_read, 1) == b"n", "the child can neither write nor hold the parent's file"
        assert not followed.released(), "the child's close did not free the parent's lock"
        file.close()
        assert followed.released(), "free while the child lives on"
    finally:
        os.write(go_write, b"x")
        os.waitpid(child, 0)
        for fd in (ready_read, ready_write, go_read, go_write):
            os.close(fd)
        followed.close()


def test_threads_may_write_to_one_file(spool: Path) -> None:
    """Lines of several threads stand whole, each by itself."""
    file = create(spool)
    threads = [
        threading.Thread(
            target=lambda: [file.write({**stamp("stage_begin"), "stage": "other", "x": "y" * 500}) for _ in range(100)]
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    file.close()
    followed = Tail(str(spool), "a-1.jsonl")
    events, problems = followed.read()
    assert (events, problems) == (401, [])
    followed.close()


def test_the_spool_is_bounded_while_no_daemon_reads_it(spool: Path) -> None:
    """At the limit of files a writer makes no more; once a daemon reads, it does."""
    small = Spool(str(spool), max_files=3, max_bytes=2**20)
    for number in range(3):
        JournalFile.create(small, begin(f"a-{number}"), f"a-{number}").close()
    with pytest.raises(SpoolError, match="is full and no daemon reads it"):
        JournalFile.create(small, begin("a-3"), "a-3")
    lock = lock_spool(str(spool))
    JournalFile.create(small, begin("a-4"), "a-4").close()
    os.close(lock)
    with pytest.raises(SpoolError):
        JournalFile.create(small, begin("a-5"), "a-5")
    assert len(list(spool.glob("*.jsonl"))) == 4
