"""The proc connector: it tells of the processes that are watched, their threads and children, and of no other."""

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest

from model_load_exporter.journal.process import pid_namespace
from model_load_exporter.witness.evidence import ExitStatus
from model_load_exporter.witness.proc_connector import ProcConnector, exit_filter

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(pid_namespace() != 0xEFFFFFFC, reason="tells pids of the host's namespace"),
]

WAITING = "import os, sys; sys.stdin.read();"


@pytest.fixture
def connector() -> Iterator[ProcConnector]:
    opened = ProcConnector()
    yield opened
    opened.close()


def run(code: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", WAITING + code], stdin=subprocess.PIPE)


def status_of(code: str, connector: ProcConnector) -> ExitStatus | None:
    with run(code) as process:
        heard = connector.watch(process.pid)
    connector.read()
    return heard.status


@pytest.mark.parametrize(
    ("code", "expected"),
    [("os._exit(3)", (3, None)), ("os.kill(os.getpid(), 9)", (None, 9)), ("pass", (0, None))],
)
def test_the_end_of_a_watched_process_is_heard(
    connector: ProcConnector, code: str, expected: tuple[int | None, int | None]
) -> None:
    """As wait(2) would say it, also after it is reaped."""
    status = status_of(code, connector)
    assert status is not None
    assert (status.code, status.signal, status.source) == (*expected, "proc connector")


def test_threads_and_children_are_heard(connector: ProcConnector) -> None:
    """The thread that ended, and the child that ended badly before its parent did."""
    code = (
        "import threading; t = threading.Thread(target=lambda: print(threading.get_native_id(), flush=True));"
        "t.start(); t.join(); p = os.fork(); p or os.kill(os.getpid(), 15); print(p, flush=True); os.waitpid(p, 0)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", WAITING + code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        heard = connector.watch(process.pid)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        thread, child = int(process.stdout.readline()), int(process.stdout.readline())
    connector.read()
    assert thread in heard.threads
    assert list(heard.children) == [(child, ExitStatus(None, signal.SIGTERM, "proc connector"))]
    assert heard.status == ExitStatus(0, None, "proc connector")


def test_the_kernel_lets_no_other_process_through(connector: ProcConnector) -> None:
    """Nothing waits in the socket after other processes ended; the daemon pays nothing for them."""
    with run("pass") as watched:
        heard = connector.watch(watched.pid)
        # Ends of children of this very test: neither watched, nor children of a watched process.
        for _ in range(20):
            subprocess.run(["true"], check=True)
        with pytest.raises(BlockingIOError):
            connector._socket.recv(4096)
    connector.read()
    assert heard.status is not None


def test_one_process_may_be_watched_twice(connector: ProcConnector) -> None:
    """By its load and by what it holds: the end of the one interest does not end the other."""
    with run("os._exit(4)") as process:
        first, second = connector.watch(process.pid), connector.watch(process.pid)
        connector.let_go(first)
    connector.read()
    assert second.status == ExitStatus(4, None, "proc connector")
    connector.let_go(second)
    assert connector._watched == {}


def test_a_pid_that_comes_again_is_another_process(connector: ProcConnector) -> None:
    """What was heard of the first stays its own."""

    def message(code: int) -> bytes:
        return bytes(36) + struct.pack("=IIQ", 0x80000000, 0, 0) + struct.pack("=IIiIII", 7, 7, code, 17, 1, 1)

    old = connector.watch(7)
    connector.take(message(9))
    new = connector.watch(7)
    connector.take(message(3 << 8))
    assert (old.status, new.status) == (
        ExitStatus(None, 9, "proc connector"), ExitStatus(3, None, "proc connector")
    )  # fmt: skip
    connector.let_go(old)
    assert connector._watched == {7: new}


def test_odd_messages_are_passed_over(connector: ProcConnector) -> None:
    """Short ones, other events."""
    heard = connector.watch(os.getpid())
    for message in (b"", bytes(20), bytes(76), bytes(200)):
        connector.take(message)
    assert heard.status is None


def test_a_thousand_and_more_can_be_watched(connector: ProcConnector) -> None:
    """The filter is within what the kernel takes; beyond that all ends come through."""
    assert len(exit_filter(list(range(1, 1001)))) // 8 <= 4096
    for pid in range(10_000_000, 10_001_500):
        connector._watched[pid] = connector._watched.get(pid) or connector.watch(os.getpid())
    assert status_of("os._exit(5)", connector) == ExitStatus(5, None, "proc connector")
