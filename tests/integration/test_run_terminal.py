"""`run` on a terminal: Ctrl-C, Ctrl-Z, fg and a new window size reach the service once, and the shell sees its jobs."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import COMMAND
from support.supervised import children, state
from support.wait import until

SERVICE = """
import os, signal, threading
TOLD = {signal.SIGINT, signal.SIGWINCH, signal.SIGQUIT}
def tell():  # by sigwait: a handler would wait for input() where the signal came just before its read(2)
    while True:
        number = signal.sigwait(TOLD)
        print("got", signal.Signals(number).name, flush=True)
        if number == signal.SIGQUIT:
            os._exit(3)
signal.pthread_sigmask(signal.SIG_BLOCK, TOLD)
threading.Thread(target=tell, daemon=True).start()
print("foreground", os.tcgetpgrp(0) == os.getpgrp(), flush=True)
while True:
    print("read", input(), flush=True)
"""


class Terminal:
    """An interactive bash on a pseudo-terminal, typed into as a person would."""

    def __init__(self, folder: Path) -> None:
        self._seen = b""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ.update(PS1="$ ", HISTFILE="", TERM="dumb")
            os.chdir(folder)
            os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def says(self, text: str, seconds: float = 20) -> str:
        """Waits for a text in what comes after the last one waited for; returns what came up to it."""
        deadline = time.monotonic() + seconds
        while text.encode() not in self._seen:
            if not select.select([self._fd], [], [], max(0, deadline - time.monotonic()))[0]:
                pytest.fail(f"not within {seconds:g} s: {text!r}; the terminal shows {self._seen.decode()!r}")
            self._seen += os.read(self._fd, 4096)
        before, _, self._seen = self._seen.partition(text.encode())
        return before.decode()

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        for child in children(self.pid):
            for pid in (*children(child), child):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._fd)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "service.py").write_text(SERVICE)
    shown = Terminal(tmp_path)
    try:
        shown.says("$ ")
        yield shown
    finally:
        shown.close()


def start(terminal: Terminal) -> tuple[int, int]:
    """(supervisor, service) of a job in the foreground."""
    terminal.type(f"{COMMAND} run -- {sys.executable} service.py\n")
    terminal.says("foreground True")
    (supervisor,) = until(lambda: children(terminal.pid), 10, "the job runs")
    (service,) = children(supervisor)
    return supervisor, service


def test_ctrl_c_and_a_new_window_reach_the_service_once(terminal: Terminal) -> None:
    """The kernel tells the whole group: what the supervisor hands on besides would be a second Ctrl-C."""
    start(terminal)
    terminal.type("\x03")
    terminal.says("got SIGINT")
    terminal.resize(33, 99)
    terminal.says("got SIGWINCH")
    terminal.type("hello\n")
    assert "got" not in terminal.says("read hello")
    terminal.type("\x1c")
    terminal.says("$ ")
    terminal.type("echo status $?\n")
    terminal.says("status 3\r\n")


def test_ctrl_z_fg_and_bg(terminal: Terminal) -> None:
    """The shell sees the job stop and go on, and the service with it."""
    terminal.type("set -b\n")  # tells of a job at once, not with the next prompt
    supervisor, service = start(terminal)
    for _ in range(2):
        terminal.type("\x1a")
        terminal.says("Stopped")
        until(lambda: (state(supervisor), state(service)) == ("T", "T"), 10, "both are stopped")
        terminal.type("fg\n")
        terminal.type("again\n")
        terminal.says("read again")
        until(lambda: state(supervisor) == "S", 10, "the supervisor sleeps again")
    terminal.type("\x1a")
    terminal.says("Stopped")
    terminal.type("bg\n")
    terminal.says("service.py &")
    terminal.says("Stopped")
    # It reads from a terminal that it has not: the kernel stops it, and the shell sees that too.
    until(lambda: (state(supervisor), state(service)) == ("T", "T"), 10, "stopped for its input")
    terminal.type("fg\n")
    terminal.type("back\n")
    terminal.says("read back")
    terminal.type("\x1c")
    terminal.says("$ ")


def test_kill_of_a_job(terminal: Terminal) -> None:
    """`kill %1` ends both, and the shell says Terminated, as of the service alone."""
    terminal.type(f"{COMMAND} run -- sleep 600 &\n")
    supervisor = until(lambda: children(terminal.pid), 10, "the job runs")[0]
    until(lambda: children(supervisor), 10, "the service runs")
    terminal.type("kill %1; wait %1; echo status $?\n")
    terminal.says("status 143\r\n")


def test_in_a_pipeline(terminal: Terminal) -> None:
    """Same group as the rest of it: Ctrl-C ends all, and a reader that leaves ends the writer by SIGPIPE."""
    terminal.type(f"{COMMAND} run -- yes | head -n 1; echo status ${{PIPESTATUS[0]}}\n")
    terminal.says("status 141\r\n")
    terminal.type(f"{COMMAND} run -- sleep 600 | cat; echo status ${{PIPESTATUS[0]}}\n")
    job = until(lambda: [child for child in children(terminal.pid) if children(child)], 10, "the pipeline runs")[0]
    assert os.getpgid(children(job)[0]) == os.getpgid(job)
    terminal.type("\x03")
    terminal.says("^C")
    until(lambda: state(job) == "", 10, "it has ended")


def test_sigstop_is_the_services_alone() -> None:
    """Who stops the service by hand will continue it by hand: the supervisor stays awake, from the first moment on."""
    with subprocess.Popen([str(COMMAND), "run", "--", "sleep", "600"]) as process:
        service = until(lambda: children(process.pid), 10, "it runs")[0]
        os.kill(service, signal.SIGSTOP)
        until(lambda: state(service) == "T", 10, "it is stopped")
        os.kill(process.pid, signal.SIGCONT)
        until(lambda: state(service) == "S", 10, "SIGCONT is handed on")
        process.terminate()
        assert process.wait(10) == -signal.SIGTERM
