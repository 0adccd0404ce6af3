"""What a stalled process waits for, seen from outside on real processes; what its children do is progress too."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_load_exporter.witness.family import descendants, doomed, last_pid, threads
from model_load_exporter.witness.progress import sample
from model_load_exporter.witness.waiting import Waiting, waiting
from support.daemon import dispose
from support.wait import until

ROOT = os.geteuid() == 0


@contextlib.contextmanager
def process(code: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A Python process that runs this code."""
    started = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    try:
        yield started
    finally:
        dispose(started)


def until_it_waits(pid: int, kind: str) -> Waiting:
    def found() -> Waiting | None:
        seen = waiting(pid, "/proc")
        return seen if seen is not None and seen.kind == kind else None

    return until(found, 10, lambda: f"it waits for {kind}; it is {waiting(pid, '/proc')}") or pytest.fail(kind)


def test_a_fifo(tmp_path: Path) -> None:
    """A model file that is a FIFO which nobody writes: opening it never comes back."""
    os.mkfifo(tmp_path / "model.bin")
    with process("import sys; open(sys.argv[1])", str(tmp_path / "model.bin")) as child:
        assert until_it_waits(child.pid, "fifo").state == "S"


def test_a_pipe() -> None:
    """A read of a pipe, with the pipe's name for those who may see it."""
    with process("import sys; sys.stdin.read()") as child:
        seen = until_it_waits(child.pid, "fifo")
        if ROOT:
            assert seen.call == "read"
            assert seen.target.startswith("pipe:[")
            assert "pipe:[" in seen.text()


def test_a_lock_of_the_hub(tmp_path: Path) -> None:
    """As huggingface_hub's cache takes it: flock on FILE.lock, which another process holds."""
    path = tmp_path / "model.safetensors.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        code = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX)"
        with process(code, str(path)) as child:
            seen = until_it_waits(child.pid, "hub lock" if ROOT else "lock")
            if ROOT:
                assert seen.target == str(path)


def test_the_network() -> None:
    """A server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1]))).recv(1)"
        with process(code, str(server.getsockname()[1])) as child:
            until_it_waits(child.pid, "network")


def test_a_stopped_process() -> None:
    """SIGSTOP: it waits for SIGCONT, whatever it did before."""
    with process("import sys; sys.stdin.read()") as child:
        child.send_signal(signal.SIGSTOP)
        assert until_it_waits(child.pid, "stopped").state == "T"


def test_a_worker_thread_says_more_than_the_main_one() -> None:
    """The main thread waits for a thread, which waits for a pipe."""
    code = (
        "import os, threading; r, w = os.pipe(); t = threading.Thread(target=os.read, args=(r, 1)); t.start(); t.join()"
    )
    with process(code) as child:
        until_it_waits(child.pid, "fifo")


def test_a_process_that_runs_waits_for_nothing() -> None:
    """Nor does one that is gone."""
    with process("print(flush=True)\nwhile True: pass") as child:
        assert child.stdout is not None
        child.stdout.readline()
        until(lambda: waiting(child.pid, "/proc") is None, 10, "it runs")
    assert waiting(child.pid, "/proc") is None


@pytest.mark.parametrize(
    ("state", "channel", "syscall", "kind"),
    [
        ("D", "folio_wait_bit_common", "", "disk"),
        ("D", "0", "", "disk"),
        ("D", "rpc_wait_bit_killable", "", "network file system"),
        ("S", "do_freezer_trap", "", "frozen"),
        ("D", "__refrigerator", "", "frozen"),
        ("S", "futex_do_wait", "", "thread"),
        ("S", "0", "running", "unknown"),
        ("S", "ep_poll", "", "poll"),
        ("S", "new_name_of_a_later_kernel", "x y z", "unknown"),
        ("S", "flock_lock_inode_wait", "", "lock"),
    ],
)
def test_the_kernels_functions_by_name(tmp_path: Path, state: str, channel: str, syscall: str, kind: str) -> None:
    """What cannot be made here (a frozen cgroup, a dead disk, NFS) by the names that the kernel gives it."""
    task = tmp_path / "7" / "task" / "7"
    task.mkdir(parents=True)
    (task / "stat").write_text(f"7 (a) b) {state} 1 7\n")
    (task / "wchan").write_text(channel)
    (task / "syscall").write_text(syscall)
    seen = waiting(7, str(tmp_path))
    assert seen is not None
    assert seen.kind == kind
    assert kind in seen.text()


def test_without_rights_the_state_is_left(tmp_path: Path) -> None:
    """No wchan, no syscall: nothing is made up."""
    task = tmp_path / "7" / "task" / "7"
    task.mkdir(parents=True)
    (task / "stat").write_text("7 (python3) S 1 7\n")
    assert waiting(7, str(tmp_path)) == Waiting("unknown", "S", "")
    (task / "stat").write_text("7 (python3")
    assert waiting(7, str(tmp_path)) is None


def test_what_children_do_is_progress() -> None:
    """A loader that waits for a working child moves; the child's child counts too."""
    code = "import os, subprocess, sys; subprocess.run(['sh', '-c', 'while read line; do :; done; exit'])"
    with process(code) as child:
        until(lambda: descendants(child.pid, "/proc"), 10, "it has a child")
        children = descendants(child.pid, "/proc")
        until(lambda: sample(child.pid, "/proc", children) == sample(child.pid, "/proc", children), 5, "they wait")
        before = sample(child.pid, "/proc", children)
        alone = sample(child.pid, "/proc")
        assert before is not None
        assert alone is not None
        assert child.stdin is not None
        child.stdin.write(b"line\n" * 200_000)

        def moved() -> bool:
            now = sample(child.pid, "/proc", children)
            return now is not None and now.work != before.work

        until(moved, 10, "the child's work shows")
        after = sample(child.pid, "/proc")
        assert after is not None
        assert after.work == alone.work, "the loader itself did nothing"
        child.stdin.close()
    assert descendants(child.pid, "/proc") == []


def test_threads_are_listed() -> None:
    """By the ids that the kernel log names."""
    done = threading.Event()
    found: list[int] = []

    def stay() -> None:
        found.append(threading.get_native_id())
        done.wait()

    thread = threading.Thread(target=stay)
    thread.start()
    until(lambda: found, 5, "the thread runs")
    assert {os.getpid(), *found} <= threads(os.getpid(), "/proc")
    done.set()
    thread.join()
    assert threads(2**22 + 1, "/proc") == set()


def test_a_process_that_is_ending_is_doomed() -> None:
    """A zombie, one that is gone; not one that lives, stopped or not."""
    assert not doomed(os.getpid(), "/proc")
    with process("import sys; sys.stdin.read()") as child:
        child.send_signal(signal.SIGSTOP)
        until_it_waits(child.pid, "stopped")
        assert not doomed(child.pid, "/proc")
        child.kill()
        until(lambda: doomed(child.pid, "/proc"), 5, "it is ending")
    assert doomed(child.pid, "/proc")


def test_a_new_process_changes_the_last_pid(tmp_path: Path) -> None:
    """It is what tells that nobody came."""
    before = last_pid("/proc")
    with process("pass"):
        assert last_pid("/proc") != before
    assert last_pid(str(tmp_path)) is None
