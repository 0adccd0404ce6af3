"""Plain processes that belong together: each with its log, ready by a condition, ended by its pid."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from asking import status

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class NotReadyError(Exception):
    """A process ended, or was not ready in time; the message is one line that says where to look."""


class Program:
    """One process. name: for people. log: where its output goes. port: what it listens on."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name, self.command, self.log = name, list(command), log
        self.environment = {**os.environ, **(environment or {})}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, once more where it has ended. Its log goes on."""
        parent = os.getpid()

        def with_parent() -> None:
            # Whatever ends this one, kill -9 too: nothing of the demo stays behind.
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                os._exit(1)

        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C at the terminal reaches the demo alone, which ends all in their order.
            self.process = subprocess.Popen(  # noqa: PLW1509, RUF100 - this process has one thread
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment,
                start_new_session=True, preexec_fn=with_parent,
            )  # fmt: skip

    @property
    def ended(self) -> str | None:
        """How it ended, for people; None while it runs."""
        status = self.process.poll() if self.process is not None else None
        if status is None:
            return None
        return f"status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"

    def wait_for(self, url: str, seconds: float) -> None:
        """Waits until the address answers 200. Raises NotReadyError."""
        ends = time.monotonic() + seconds
        while status(url) != 200:
            if self.ended is not None:
                raise NotReadyError(f"{self.name} ended by {self.ended}: see {self.log}")
            if time.monotonic() > ends:
                raise NotReadyError(f"{self.name} does not answer {url} after {seconds:.0f} s: see {self.log}")
            time.sleep(0.05)

    def stop(self, seconds: float = 10) -> None:
        """Ends it: SIGTERM, and SIGKILL where that is not enough."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
