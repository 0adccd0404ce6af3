"""Starts Prometheus, Alertmanager and their like on a free port, and ends them."""

import contextlib
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest


def free_address() -> str:
    """An address of this host that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextlib.contextmanager
def running(command: Sequence[str], ready: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process, from when the address `ready` answers; if it never does, the test fails with the process's log."""
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while not _answers(ready):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{command[0]} did not get ready (exit status {server.poll()}):\n{log.read_text()}")
            time.sleep(0.05)
        yield server
    finally:
        server.terminate()
        server.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
