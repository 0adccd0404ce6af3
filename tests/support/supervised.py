"""Services under `model-load-exporter run`, as people start them."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from support.daemon import COMMAND, dispose
from support.wait import until


def run_command(*command: str, flags: Sequence[str] = ()) -> list[str]:
    """The command line of a service under `run`."""
    return [str(COMMAND), "run", *flags, "--", *command]


def run(
    *command: str, flags: Sequence[str] = (), environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Runs a short service to its end."""
    return subprocess.run(
        run_command(*command, flags=flags), capture_output=True, text=True, check=False, timeout=60, cwd=cwd,
        stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})},
    )  # fmt: skip


class Supervised:
    """A service that runs: its supervisor's process, and what it has said so far."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log
        # All that was below it when it was told to end: what outlives it is an orphan that nobody else would find.
        self.family: set[int] = set()

    @property
    def pid(self) -> int:
        """The supervisor's."""
        return self.process.pid

    def output(self) -> str:
        """Standard output and error so far."""
        return self.log.read_text(errors="replace")

    def says(self, text: str, times: int = 1, seconds: float = 30) -> None:
        """Waits until its output has this text so often."""
        until(
            lambda: self.output().count(text) >= times, seconds, lambda: f"it says {text!r}; it said:\n{self.output()}"
        )

    def service(self) -> int:
        """The pid of the service itself."""
        return until(lambda: children(self.pid), 20, "the service runs")[0]

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 20) -> int:
        """Sends the supervisor a signal; its exit status, negative for a signal."""
        self.family |= set(descendants(self.pid))
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextlib.contextmanager
def supervised(
    folder: Path, *command: str, flags: Sequence[str] = (), environment: Mapping[str, str] | None = None,
    cwd: Path | None = None, wrapper: Sequence[str] = (),
) -> Iterator[Supervised]:  # fmt: skip
    """A service under `run`; whatever is left of it goes at the end."""
    log = folder / "output"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*wrapper, *run_command(*command, flags=flags)], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}, cwd=cwd,
        )  # fmt: skip
    running = Supervised(process, log)
    try:
        yield running
    finally:
        if process.poll() is None:
            running.family |= set(descendants(process.pid))
        dispose(process)
        for pid in running.family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """Processes that this one has started and not reaped."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def descendants(pid: int) -> list[int]:
    """All below it."""
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def state(pid: int) -> str:
    """Its state as ps(1) shows it, S, T, Z; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
