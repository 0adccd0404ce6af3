"""One verification's process: started, followed on the event loop, given up when it reads nothing for too long.

A read on a dead mount cannot be ended, not even by SIGKILL: the process then stays until the mount answers. It is left
alone, and remembered; nothing here ever waits for it.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model_load_exporter.canary.launch import Follower
from model_load_exporter.canary.sandbox import environment
from model_load_exporter.verification.finding import Finding, Lines

STALLED, HUNG, DIED, FAILED = CAUSES = ("stalled", "hung", "died", "failed")
"""Why a verification came to no verdict: it read nothing for too long and was ended; and could not be ended; its
process died; it said that it could not."""

COMMAND = (sys.executable, "-I", "-m", "model_load_exporter.verification.child")

GRACE_SECONDS = 3.0
"""How long a process may take to die of SIGKILL before it counts as one that hangs."""

_MOST_SAID = 4096


class Child:
    """One process under way."""

    def __init__(self, process: "subprocess.Popen[bytes]", out: int, err: int) -> None:
        self.lines = Lines()
        self.said = b""
        self._process = process
        self._heard = time.monotonic()
        self._gone = asyncio.Event()
        self._followers = (Follower(out, self._take), Follower(err, self._take_said))
        self._pidfd = -1
        # Without pidfds (before Linux 5.3, some sandboxes) the exit is polled for.
        with contextlib.suppress(OSError):
            self._pidfd = os.pidfd_open(process.pid)
            asyncio.get_running_loop().add_reader(self._pidfd, self._look)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def alive(self) -> bool:
        """False once it is gone and reaped."""
        self._look()
        return self._process.returncode is None

    @property
    def status(self) -> int | None:
        """Its exit status, negative for a signal; None while it lives."""
        return self._process.returncode

    async def finish(self, silence: float) -> bool:
        """Waits for its end; False where it said nothing for `silence` seconds, or far too much."""
        while self.alive():
            left = self._heard + silence - time.monotonic()
            if left <= 0 or self.lines.flooded:
                return False
            await self._wait(left)
        return True

    async def kill(self) -> bool:
        """Ends it; False where it does not die: it sleeps in the kernel."""
        self.strike()
        deadline = time.monotonic() + GRACE_SECONDS
        while self.alive() and (left := deadline - time.monotonic()) > 0:
            await self._wait(left)
        return not self.alive()

    def strike(self) -> None:
        """SIGKILL, and no wait for what comes of it."""
        if self.alive():
            self._process.kill()

    def close(self) -> None:
        """Takes what it said last, and hears no more of it. Its end is still noticed."""
        for follower in self._followers:
            follower.drain() if not self.alive() else follower.close()

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), min(seconds, 1.0 if self._pidfd >= 0 else 0.05))

    def _look(self) -> None:
        if self._process.poll() is not None and not self._gone.is_set():
            self._gone.set()
            if self._pidfd >= 0:
                asyncio.get_running_loop().remove_reader(self._pidfd)
                os.close(self._pidfd)
                self._pidfd = -1

    def _take(self, data: bytes) -> float | None:
        if self.lines.take(data):
            self._heard = time.monotonic()
        return None if self.lines.flooded else 0.0

    def _take_said(self, data: bytes) -> float | None:
        self.said = (self.said + data)[-_MOST_SAID:]
        return 0.0


def start(spec: dict[str, Any], command: Sequence[str] = COMMAND) -> Child:
    """Starts a child. Raises OSError; nothing is left behind then.

    It dies with the thread that calls this (PR_SET_PDEATHSIG): that must be the one of the daemon's loop.
    """
    out, out_end = os.pipe()
    err, err_end = os.pipe()
    try:
        process = subprocess.Popen(
            [*command, json.dumps({**spec, "parent": os.getpid()})],
            stdin=subprocess.DEVNULL,
            stdout=out_end,
            stderr=err_end,
            start_new_session=True,
            env=environment(),
            cwd="/",
        )
    except BaseException:
        os.close(out)
        os.close(err)
        raise
    finally:
        os.close(out_end)
        os.close(err_end)
    return Child(process, out, err)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a verification went. finding: None without a verdict; then `cause` is one of CAUSES and `message` says more.

    left: the process, where it could not be ended.
    """

    finding: Finding | None
    cause: str = ""
    message: str = ""
    left: Child | None = None


async def run(spec: dict[str, Any], silence: float, command: Sequence[str] = COMMAND) -> Ended:
    """One verification from start to end. silence: seconds without progress after which it is given up.

    Cancelled, it kills its child and does not wait for it.
    """
    try:
        child = start(spec, command)
    except OSError as error:
        return Ended(None, FAILED, f"its process cannot be started: {error.strerror}")
    try:
        if await child.finish(silence):
            child.close()
            return _ended(child)
        if await child.kill():
            child.close()
            if child.lines.flooded:
                return Ended(None, DIED, "it was ended: it wrote without end")
            return Ended(None, STALLED, f"nothing could be read for {silence:.0f} s, and it was ended")
        message = f"nothing could be read for {silence:.0f} s, and process {child.pid} cannot be ended: it waits for"
        return Ended(None, HUNG, f"{message} a disk or mount that does not answer", left=child)
    finally:
        child.strike()
        child.close()


def _ended(child: Child) -> Ended:
    if child.lines.error:
        return Ended(None, FAILED, child.lines.error)
    if child.lines.finding is not None and child.status == 0:
        return Ended(child.lines.finding)
    lines = child.said.decode("utf-8", "replace").strip().splitlines()
    how = f"signal {-child.status}" if child.status and child.status < 0 else f"status {child.status}"
    return Ended(None, DIED, f"its process ended with {how}" + (f": {lines[-1][:200]}" if lines else ""))
