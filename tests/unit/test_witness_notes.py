"""Files beside the journal: kill notes and faulthandler's dumps, whom they are believed from, and when they go."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model_load_exporter.attempt import Kill
from model_load_exporter.journal.fault import arm, forget_fault, read_fault
from model_load_exporter.journal.kill import read_kill, tell_kill
from model_load_exporter.journal.leftovers import tidy
from model_load_exporter.journal.process import pid_namespace
from model_load_exporter.witness.evidence import Dump
from model_load_exporter.witness.faulthandler_dump import parse

UID = os.geteuid()


def note(spool: Path, pid: int, owner: int = UID) -> Kill | None:
    return read_kill(str(spool), pid, pid_namespace(), owner)


def test_a_kill_is_told_before_it_happens(spool: Path) -> None:
    """Whole or not at all; of that process alone; the last one counts."""
    before = time.time()
    assert tell_kill(4711, "timeout")
    assert tell_kill(4711, "shut\ndown")
    found = note(spool, 4711)
    assert found is not None
    assert (found.pid, found.cause, found.pid_namespace) == (4711, "shut down", pid_namespace())
    assert before <= found.time <= time.time()
    assert note(spool, 4712) is None
    assert read_kill(str(spool), 4711, 1, UID) is None
    assert [path.name for path in spool.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\n", b'{"event":"begin"}', b"x" * 10_000])
def test_odd_notes_are_none(spool: Path, content: bytes) -> None:
    """Whatever lies there under that name."""
    (spool / f"k-{pid_namespace()}-5.kill").write_bytes(content)
    assert note(spool, 5) is None


def test_a_note_that_is_no_file_or_of_another_boot_is_none(spool: Path) -> None:
    """A link, a FIFO (which must not hang the reader), a note from before a restart of the host."""
    assert tell_kill(6, "timeout")
    path = spool / f"k-{pid_namespace()}-6.kill"
    event = json.loads(path.read_bytes())
    path.write_text(json.dumps({**event, "boot_id": "another"}))
    assert note(spool, 6) is None
    (spool / "elsewhere").write_text(json.dumps(event))
    path.unlink()
    path.symlink_to(spool / "elsewhere")
    assert note(spool, 6) is None
    path.unlink()
    os.mkfifo(path)
    assert note(spool, 6) is None


@pytest.mark.root
def test_a_stranger_is_not_believed(spool: Path) -> None:
    """Root's word counts for every process, another user's for its own."""
    assert tell_kill(7, "timeout")
    assert note(spool, 7, owner=12345) is not None
    os.chown(spool / f"k-{pid_namespace()}-7.kill", 12345, -1)
    assert note(spool, 7, owner=12345) is not None
    assert note(spool, 7, owner=54321) is None


def test_a_note_that_cannot_be_written_hinders_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No spool, a pid that is none: False, and no exception."""
    monkeypatch.setenv("MODEL_LOAD_EXPORTER_SPOOL", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert not tell_kill(1, "timeout")
    assert not tell_kill("x", "timeout")  # type: ignore[arg-type]  # on purpose


def test_writing_a_note_needs_the_standard_library_alone(spool: Path) -> None:
    """It runs inside supervisors."""
    code = "import sys; from model_load_exporter.journal.kill import tell_kill; print(tell_kill(9, 'timeout'));"
    code += "print([n for n in ('prometheus_client', 'aiohttp', 'yaml', 'wrapt') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["True", "[]"]


FAULTING = """
import ctypes, resource, sys
from model_load_exporter import track_load
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
def touch():
    {fault}
with track_load("m"):
    touch()
"""


@pytest.mark.parametrize(("fault", "kind"), [("ctypes.string_at(0)", "segfault"), ("import os; os.abort()", "aborted")])
def test_a_fault_leaves_its_place(spool: Path, fault: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """faulthandler writes beside the journal where the environment asks for it."""
    monkeypatch.setenv("MODEL_LOAD_EXPORTER_FAULTHANDLER", "1")
    subprocess.run([sys.executable, "-c", FAULTING.format(fault=fault)], check=False, capture_output=True)
    (journal,) = spool.glob("*.jsonl")
    dump = parse(read_fault(str(spool), journal.stem, UID))
    assert dump is not None
    assert dump.kind == kind
    assert "touch (<string>:" in dump.where or "string_at (" in dump.where
    assert read_fault(str(spool), journal.stem, UID + 1) == "", "another user's file"
    forget_fault(str(spool), journal.stem)
    assert list(spool.glob("*.fault")) == []


@pytest.mark.parametrize(
    ("environment", "before"),
    [("0", ""), ("", ""), ("1", "import faulthandler; faulthandler.enable()")],
    ids=["off", "unset", "the service's own"],
)
def test_no_dump_is_armed_unasked(spool: Path, environment: str, before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not without the opt-in, and never in place of the service's own."""
    monkeypatch.setenv("MODEL_LOAD_EXPORTER_FAULTHANDLER", environment)
    code = before + FAULTING.format(fault="ctypes.string_at(0)")
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert list(spool.glob("*.fault")) == []
    assert ("Segmentation fault" in done.stderr) == bool(before)


def test_a_load_without_a_fault_leaves_nothing(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The empty file goes with its load, a forked child's fault is not its parent's, and nesting arms once."""
    monkeypatch.setenv("MODEL_LOAD_EXPORTER_FAULTHANDLER", "1")
    code = """
import faulthandler, os
from pathlib import Path
from model_load_exporter import track_load
spool = Path(os.environ["MODEL_LOAD_EXPORTER_SPOOL"])
with track_load("m"):
    assert len(list(spool.glob("*.fault"))) == 1
    with track_load("other"):
        assert len(list(spool.glob("*.fault"))) == 1
    child = os.fork()
    if child == 0:
        assert not faulthandler.is_enabled()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert faulthandler.is_enabled()
assert not faulthandler.is_enabled()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=20)
    assert list(spool.glob("*.fault")) == []


@pytest.mark.parametrize(
    ("text", "dump"),
    [
        ("", None),
        ("garbage", None),
        ("Fatal Python error: Floating-point exception\n", None),
        ("Fatal Python error: Bus error\n\nCurrent thread 0x1 (most recent call first):\n  <no Python frame>\n",
         Dump("bus_error", "code that is not Python")),
        ('Fatal Python error: Segmentation fault\n\nThread 0x2 (most recent call first):\n  File "a", line 1 in a\n\n'
         'Current thread 0x1 [python] (most recent call first):\n  File "/m/b.py", line 12 in load\n  File "c", line 1',
         Dump("segfault", "load (/m/b.py:12)")),
        ("Fatal Python error: Aborted\n", Dump("aborted", "code that is not Python")),
    ],
)  # fmt: skip
def test_what_a_dump_says(text: str, dump: Dump | None) -> None:
    """The kind, and the innermost frame of the thread that faulted."""
    assert parse(text) == dump


def test_leftovers_go_when_their_time_is_over(spool: Path) -> None:
    """After ten minutes; a dump stays while its journal is there; journals and strangers are left alone."""
    names = ["a.fault", "b.fault", "k-1-2.kill", "young.fault", "b.jsonl", "other.txt"]
    for name in names:
        (spool / name).write_text("")
        if name != "young.fault":
            os.utime(spool / name, (0, 0))
    tidy(str(spool))
    assert sorted(path.name for path in spool.iterdir() if path.name in names) == [
        "b.fault", "b.jsonl", "other.txt", "young.fault",
    ]  # fmt: skip
    tidy(str(spool / "none"))


def test_arming_fails_open(tmp_path: Path) -> None:
    """A folder that is not there is no exception."""
    assert arm(str(tmp_path / "none"), "a") is None
