"""A spool is open to all: whatever lies in it, the daemon goes on, counts it, lets it go, and sees real loads."""

import json
import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from model_load_exporter.journal.process import boot_id
from support.daemon import Daemon, running
from support.service import load_once
from support.wait import until


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("daemon"), "limits: {models: 20}\n") as started:
        # What it opens once and keeps is open now: the ledger, libraries, sockets.
        load_once(started.spool, ("nllb", "", "loaded"))
        started.wait_for(1, "model_load_attempts_total", model="nllb")
        started.get("/")
        yield started


def descriptors(daemon: Daemon) -> int:
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def begin(file_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "v": 1, "event": "begin", "id": file_id, "time": time.time(), "model": "m", "kind": "service",
        "pid": os.getpid(), "boot_id": boot_id(),
    } | changes  # fmt: skip


def end(**changes: Any) -> dict[str, Any]:
    return {"event": "end", "time": time.time(), "outcome": "loaded"} | changes


def journal(spool: Path, file_id: str, *lines: bytes | dict[str, Any], name: str | bytes | None = None) -> None:
    """Puts a whole file there at once, as a writer that has ended does."""
    data = b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)
    hidden = spool / f".{file_id}.tmp"
    hidden.write_bytes(data)
    os.rename(os.fsencode(hidden), os.path.join(os.fsencode(spool), os.fsencode(name or f"{file_id}.jsonl")))


def no_files(spool: Path) -> None:
    os.mkfifo(spool / "fifo.jsonl")
    (spool / "link.jsonl").symlink_to("/etc/passwd")
    (spool / "nothing.jsonl").symlink_to("/nonexistent")
    (spool / "folder.jsonl").mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{spool}/socket.jsonl")


def binary(spool: Path) -> None:
    journal(spool, "binary", random.Random(1).randbytes(100_000))


def endless_line(spool: Path) -> None:
    journal(spool, "endless", b"{" * 3_000_000)


def other_name(spool: Path) -> None:
    journal(spool, "mine", begin("yours"), end())


def bad_name(spool: Path) -> None:
    journal(spool, "b1", begin("b1"), end(), name=b"\xff\xfe\n.jsonl")


def later_version(spool: Path) -> None:
    journal(spool, "later", begin("later", v=2), end())


def deep(spool: Path) -> None:
    journal(spool, "deep", b'{"event":"begin","v":1,"runtime":' + b"[" * 3900 + b"\n")


def numbers(spool: Path) -> None:
    journal(spool, "n1", begin("n1", time=-1), end())
    journal(spool, "n2", begin("n2", pid=10**30), end())
    journal(spool, "n3", b'{"v":1,"event":"begin","id":"n3","time":NaN,"model":"m","kind":"service","pid":1}\n')
    journal(spool, "n4", b'{"v":1,"event":"begin","id":"n4","time":1e999,"model":"m","kind":"service","pid":1}\n')
    journal(spool, "n5", b'{"v":1,"event":"begin","id":"n5","time":' + b"9" * 3000 + b"}\n")


def no_object(spool: Path) -> None:
    journal(spool, "o1", b"[1, 2]\n")
    journal(spool, "o2", b"null\n")


def bad_types(spool: Path) -> None:
    journal(spool, "t1", begin("t1", model=["m"]), end())
    journal(spool, "t2", begin("t2", model="  "), end())
    journal(spool, "t3", begin("t3", kind="probe"), end())
    journal(spool, "t4", begin("t4", id={"a": 1}), end())


HOSTILE: dict[Callable[[Path], None], tuple[int, tuple[str, ...]]] = {
    no_files: (5, ("foreign_file", "unreadable")),
    binary: (1, ("bad_json", "oversized")),
    endless_line: (1, ("oversized",)),
    other_name: (1, ("foreign_file",)),
    bad_name: (1, ("foreign_file",)),
    later_version: (1, ("unknown_version",)),
    deep: (1, ("bad_json", "bad_event")),
    numbers: (5, ("bad_event", "bad_json")),
    no_object: (2, ("bad_json",)),
    bad_types: (4, ("bad_event",)),
}
"""What is put there: how many files, and under which causes they may be counted."""


@pytest.mark.parametrize("put", HOSTILE, ids=lambda put: put.__name__)
def test_hostile_file(daemon: Daemon, put: Callable[[Path], None]) -> None:
    """It is counted by its cause, no descriptor stays open, and the next load is seen as ever."""
    open_before = descriptors(daemon)
    files, causes = HOSTILE[put]
    expected = errors(daemon, *causes) + files
    loads_before = daemon.value("model_load_attempts_total", model="nllb")
    assert loads_before is not None
    put(daemon.spool)
    until(lambda: errors(daemon, *causes) >= expected, 15, lambda: f"each is counted: {daemon.log()[-2000:]}")
    load_once(daemon.spool, ("nllb", "", "loaded"))
    daemon.wait_for(loads_before + 1, "model_load_attempts_total", model="nllb")
    for _ in range(5):
        assert daemon.get("/metrics").status == 200
    until(lambda: descriptors(daemon) <= open_before, 15, lambda: f"{descriptors(daemon)} open, {open_before} before")
    assert daemon.get("/-/healthy").status == 200
    assert "Traceback" not in daemon.log()
    assert "error in the recorder" not in daemon.log()
    assert errors(daemon, *causes) == expected


def errors(daemon: Daemon, *causes: str) -> float:
    series = daemon.series()
    return sum(series.value("model_load_exporter_journal_errors_total", cause=cause) or 0 for cause in causes)


def test_odd_but_valid(daemon: Daemon) -> None:
    """Journals that are valid and absurd count as loads, and their times and sizes cannot harm the series."""
    spool, now = daemon.spool, time.time()
    journal(spool, "v1", begin("v1", model="odd", time=now + 1e6), end(time=now - 1e6, peak_rss=2**59))
    journal(spool, "v2", begin("v2", model="odd", time=0), end(time=9e10))
    journal(spool, "v3", begin("v3", model="odd", future_key={"x": 1}), {"event": "future"}, end(reason="made_up"))
    journal(spool, "v4", begin("v4", model="odd"), {"event": "stage_end", "time": now, "stage": "never begun"}, end())
    journal(spool, "v5", begin("v5", model="odd"), end(outcome="failed", reason="made_up"), end(outcome="failed"))
    daemon.wait_for(5, "model_load_attempts_total", model="odd")
    daemon.wait_for(1, "model_load_failures_total", model="odd", reason="unknown")
    series = daemon.series()
    assert series.value("model_load_success_duration_seconds_count", model="odd") == 4
    assert series.sum("model_load_failures_total", model="odd") == 1
    assert all(value >= 0 for value in series.all("model_load_duration_seconds", model="odd").values())


def test_replayed_file(daemon: Daemon) -> None:
    """The same journal put there again is the same load."""
    for _ in range(3):
        journal(daemon.spool, "again", begin("again", model="replayed"), end())
        daemon.wait_for(1, "model_load_attempts_total", model="replayed")
        until(lambda: not (daemon.spool / "again.jsonl").exists(), 10, "it is taken")
    assert daemon.value("model_load_attempts_total", model="replayed") == 1
    assert daemon.value("model_load_success_duration_seconds_count", model="replayed") == 1


def test_many_names(daemon: Daemon) -> None:
    """Names beyond the limit of models count as `other`: no writer can flood Prometheus."""
    for number in range(100):
        journal(daemon.spool, f"flood-{number}", begin(f"flood-{number}", model=f"flood-{number}"), end())
    until(lambda: not list(daemon.spool.glob("flood-*")), 15, "all are taken")

    def counted() -> float:
        series = daemon.series()
        return sum(
            value for labels, value in series.all("model_load_attempts_total").items()
            if dict(labels)["model"].startswith(("flood-", "other"))
        )  # fmt: skip

    until(lambda: counted() == 100, 10, "each is counted")
    series = daemon.series()
    assert (series.value("model_load_attempts_total", model="other") or 0) > 50
    assert len(series.all("model_load_attempts_total")) <= 21
    assert daemon.get("/").status == 200


def test_spool_taken_away(tmp_path: Path) -> None:
    """A spool that somebody removes costs the loads in it, not the daemon."""
    with running(tmp_path) as daemon:
        daemon.spool.rename(tmp_path / "elsewhere")
        until(lambda: errors(daemon, "unreadable") > 0, 15, "it is counted")
        assert daemon.get("/-/healthy").status == 200
        assert daemon.end() == 0
        assert "Traceback" not in daemon.log()
