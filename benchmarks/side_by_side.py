"""What the benchmarks share: servers as processes of their own, their CPU time, and a table of ratios with goals."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent

PROMETHEUS_CLIENT = """
import signal, sys
from prometheus_client import REGISTRY, Gauge, start_http_server
port, count = int(sys.argv[1]), int(sys.argv[2])
family = Gauge("bench_value", "A value.", ["name", "kind"])
for number in range(count):
    family.labels(f"series-{number}", "bench").set(number * 1.5)
start_http_server(port, "127.0.0.1")
signal.pause()
"""


@dataclass
class Server:
    """One server under test. cpu: seconds of processor time that all its threads took so far, ended ones too."""

    name: str
    process: "subprocess.Popen[bytes]"
    url: str

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        # clock_getcpuclockid(3): the process clock of another pid.
        return time.clock_gettime((~self.process.pid << 3) | 2)

    @property
    def resident(self) -> int:
        """Resident bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def get(self) -> bytes:
        """One scrape, as Prometheus asks: with gzip."""
        request = urllib.request.Request(self.url, headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            body: bytes = answer.read()
        return body

    def wait(self) -> float:
        """Seconds until it answers 200."""
        began = time.monotonic()
        while time.monotonic() - began < 60:
            with contextlib.suppress(OSError):
                self.get()
                return time.monotonic() - began
            if self.process.poll() is not None:
                sys.exit(f"{self.name} ended with status {self.process.returncode}")
            time.sleep(0.001)
        sys.exit(f"{self.name} does not answer")


@contextlib.contextmanager
def serving(
    name: str, command: Sequence[str], port: int, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server, ended in the end. `wait` for its first answer."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        list(command), stdin=quiet, stdout=quiet, stderr=quiet, env={**os.environ, **(environment or {})}
    )
    try:
        yield Server(name, process, f"http://127.0.0.1:{port}/metrics")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def exporter(folder: Path, port: int, *flags: str) -> list[str]:
    """The command line of a daemon with its files in a folder."""
    return [
        str(BIN / "model-load-exporter"), "serve", f"--web.listen-address=127.0.0.1:{port}",
        f"--spool.dir={folder}/spool", f"--state.dir={folder}/state", *flags,
    ]  # fmt: skip


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return sorted(values)[len(values) // 2]


def verdict(name: str, ratio: float, goal: float) -> bool:
    """Prints one ratio beside its goal; True where it is met."""
    met = ratio <= goal
    print(f"  {name:<58} {ratio:8.3f}x   goal <= {goal:g}x   {'met' if met else 'MISSED'}")
    return met
