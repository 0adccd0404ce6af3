"""The processes of one run: a real exporter with spool and state of its own, and the service under `run`."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from clients import ask
from verdict import TARGET, Told

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COMMAND = Path(sys.executable).with_name("model-load-exporter")
BIN = ROOT / ".venv-models/bin"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end(process: "subprocess.Popen[bytes]", grace: float = 3.0) -> None:
    """SIGTERM, then SIGKILL, as a container runtime does. SIGKILL to `run` takes the service with it."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait(10)


class Exporter:
    """The daemon, which probes the service's health address twice a second."""

    def __init__(self, folder: Path, health_port: int) -> None:
        self.spool = folder / "spool"
        self._port = free_port()
        config = folder / "config.yml"
        address = f"http://127.0.0.1:{health_port}/health"
        config.write_text(f"services:\n  - {{target: {TARGET}, url: '{address}', interval: 500ms}}\n")
        with (folder / "exporter.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    COMMAND, "serve", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{self._port}",
                    f"--spool.dir={self.spool}", f"--state.dir={folder / 'state'}",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + 20
        while ask(self._port, "/-/ready", 5).outcome != "ok":
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.end()
                raise SystemExit(f"the exporter does not start:\n{(folder / 'exporter.log').read_text()}")
            time.sleep(0.05)

    def told(self) -> Told:
        """What it says now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as answer:
            return Told.parse(answer.read().decode())

    def end(self) -> None:
        """Ends the daemon."""
        end(self._process, 10)


@contextlib.contextmanager
def service(
    command: Sequence[str], wrapper: Sequence[str], environment: dict[str, str], log: Path
) -> "Iterator[subprocess.Popen[bytes]]":
    """The service under `model-load-exporter run`, in what limits it."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*wrapper, str(COMMAND), "run", "--name", TARGET, "--", str(BIN / command[0]), *command[1:]],
            cwd=HERE, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        )  # fmt: skip
    try:
        yield process
    finally:
        end(process)


class Liveness(threading.Thread):
    """A kubelet's liveness probe: 3 failures in a row, then it ends the service, by force where that takes longer.

    A kubelet asks every ten seconds and gives half a minute of grace, and a load takes minutes: here all is a load of
    five seconds, so the times are SECONDS and GRACE. ended: whether it did.
    """

    SECONDS = 0.5
    GRACE = 0.3

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, path: str) -> None:
        super().__init__(daemon=True)
        self.ended = False
        self._process, self._port, self._path = process, port, path
        self._ending = threading.Event()

    def run(self) -> None:
        """Until it had to end the service, or is told to stop. Its clock starts when the service listens."""
        failures, seen = 0, False
        while not self._ending.wait(self.SECONDS if seen and not failures else 0.1):
            outcome = ask(self._port, self._path, self.SECONDS).outcome
            seen = seen or outcome != "refused"
            failures = failures + 1 if outcome != "ok" and seen else 0
            if failures == 3:
                self.ended = True
                end(self._process, self.GRACE)
                return

    def stop(self) -> None:
        """Ends the probe alone."""
        self._ending.set()
        self.join(10)


class KernelLog:
    """The kernel's lines from now on, as dmesg prints them. None come where /dev/kmsg may not be read."""

    def __init__(self) -> None:
        self._file = -1
        with contextlib.suppress(OSError):
            self._file = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
            os.lseek(self._file, 0, os.SEEK_END)

    def lines(self, cgroup: str) -> list[str]:
        """The kernel's reports of OOM kills in that cgroup since the start of this run; others are left out."""
        report: list[str] = []
        found: list[str] = []
        for line in self._new():
            if "invoked oom-killer" in line:
                report = []
            report.append(line)
            if "Killed process" in line:
                found += report if any(f"/{cgroup}," in one for one in report) else []
                report = []
        return found

    def _new(self) -> list[str]:
        rows = []
        while self._file >= 0:
            try:
                head, _, text = os.read(self._file, 8192).decode(errors="replace").partition(";")
            except BrokenPipeError:
                continue
            except OSError:
                break
            priority, _, stamp, *_ = head.split(",")
            if int(priority) >> 3 == 0:
                rows.append(f"[{int(stamp) / 1e6:12.6f}] {text.splitlines()[0]}")
        return rows

    def close(self) -> None:
        """Lets the log go."""
        if self._file >= 0:
            os.close(self._file)
