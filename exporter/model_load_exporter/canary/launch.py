"""Starting the child, following it on the event loop, and ending it with everything that it started.

No thread and no blocking wait: a pidfd tells of the exit, readers follow the two pipes. Starting takes the
millisecond or two of a vfork and exec.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_load_exporter.canary import child
from model_load_exporter.canary.observed import Observed
from model_load_exporter.canary.sandbox import Sandbox, environment

_CHUNK = 65536
_FAST_LOG = 2**20
"""Bytes of output that are read as they come; a child that floods is read in steps, and waits on its full pipe."""
_SLOW_STEP = 0.02
_GRACE = 3.0
"""Seconds that the guard has to end its subtree, before everything is killed at once."""


class Follower:
    """Reads one pipe to its end without blocking; `take` gets the bytes and says how long to wait (None: no more)."""

    def __init__(self, fd: int, take: Callable[[bytes], float | None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = fd
        self._take = take
        self._timer: asyncio.TimerHandle | None = None
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._readable)

    def _readable(self) -> None:
        data = self._read()
        if data is None:
            return
        wait = self._take(data) if data else None
        if wait is None:
            self.close()
        elif wait > 0:
            self._loop.remove_reader(self._fd)
            self._timer = self._loop.call_later(wait, self._loop.add_reader, self._fd, self._readable)

    def _read(self) -> bytes | None:
        try:
            return os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def drain(self) -> None:
        """Takes what is in the pipe now, and closes it: nobody who is to be heard can write any more."""
        for _ in range(64):
            data = self._read() if self._fd >= 0 else b""
            if not data or self._take(data) is None:
                break
        self.close()

    def close(self) -> None:
        """Stops reading; may be called again."""
        if self._timer is not None:
            self._timer.cancel()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


class Launched:
    """One child under way. `observed` fills up as it runs."""

    def __init__(self, process: subprocess.Popen[bytes], report: int, log: int, sandbox: Sandbox) -> None:
        self.observed = Observed()
        self._process = process
        self._sandbox = sandbox
        self._followers = (Follower(report, self._take_report), Follower(log, self._take_log))
        self._gone = asyncio.Event()
        self._pidfd = -1
        # Without pidfds (before Linux 5.3, some sandboxes) the exit is polled for.
        with contextlib.suppress(OSError):
            self._pidfd = os.pidfd_open(process.pid)
            asyncio.get_running_loop().add_reader(self._pidfd, self._exited)

    def _take_report(self, data: bytes) -> float | None:
        return 0.0 if self.observed.take_reports(data) else None

    def _take_log(self, data: bytes) -> float | None:
        self.observed.take_log(data)
        return 0.0 if self.observed.log_bytes < _FAST_LOG else _SLOW_STEP

    def _exited(self) -> None:
        if self._process.poll() is not None:
            self._close_pidfd()
            self._gone.set()

    def _close_pidfd(self) -> None:
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    @property
    def guard_status(self) -> int | None:
        """Exit status of the guard: negative for a signal, None while it lives."""
        return self._process.returncode

    async def wait(self, seconds: float) -> bool:
        """Waits for the end; False where it did not come in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._pidfd < 0 and self._process.poll() is None:
                    await asyncio.sleep(0.05)
                if self._process.returncode is None:
                    await self._gone.wait()
        return self._process.returncode is not None

    async def end(self) -> bool:
        """Ends it and everything that it started: by its guard, then all at once. False where something survived."""
        self._signal(signal.SIGTERM)
        if await self.wait(_GRACE):
            return True
        self._kill()
        return await self.wait(_GRACE)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(OSError):
            self._process.send_signal(number)

    def _kill(self) -> None:
        self._sandbox.kill()
        self._signal(signal.SIGKILL)

    async def close(self) -> None:
        """Leaves no process, descriptor or cgroup behind, however it ends; may be cancelled at any point."""
        try:
            if self._process.poll() is None:
                await self.end()
        finally:
            if self._process.poll() is None:
                self._kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(0.5)
            self._close_pidfd()
            for follower in self._followers:
                follower.drain()
            self._sandbox.remove()


def start(python: str, spec: dict[str, Any], sandbox: Sandbox) -> Launched:
    """Starts the child under that interpreter. Raises OSError where it cannot be run; nothing is left behind then.

    The child dies with the thread that calls this (PR_SET_PDEATHSIG): that must be the one of the daemon's loop.
    """
    report, report_end = os.pipe()
    log, log_end = os.pipe()
    try:
        full = {**spec, **sandbox.spec(), "report_fd": report_end, "parent": os.getpid()}
        process = subprocess.Popen(
            [python, "-I", "-X", "faulthandler", str(Path(child.__file__).resolve()), json.dumps(full)],
            stdin=subprocess.DEVNULL,
            stdout=log_end,
            stderr=log_end,
            pass_fds=(report_end,),
            start_new_session=True,
            env=environment(),
            cwd="/",
        )
    except BaseException:
        os.close(report)
        os.close(log)
        raise
    finally:
        os.close(report_end)
        os.close(log_end)
    try:
        return Launched(process, report, log, sandbox)
    except BaseException:
        process.kill()
        process.wait()
        raise


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended: what it told, what its group's counters say, and what was done to it.

    seconds: from its start to its end or the time limit; ended: that moment, by the monotonic clock. survivors: True
    where something of it could not be killed (uninterruptible sleep). guard_status: of the first process, negative
    for a signal. oom_kills, hit_limit: of its own cgroup. hit_above: a cgroup above ran into its limit meanwhile.
    """

    observed: Observed
    seconds: float
    ended: float
    timed_out: bool
    survivors: bool
    guard_status: int | None
    oom_kills: int
    hit_limit: bool
    hit_above: bool


async def follow(python: str, spec: dict[str, Any], sandbox: Sandbox, timeout: float) -> Ending:
    """Runs one child to its end, or to the time limit in seconds; on cancellation ends it first.

    Raises OSError where the interpreter cannot be run. Processes, descriptors and the sandbox are gone afterwards.
    """
    began = time.monotonic()
    try:
        launched = start(python, spec, sandbox)
    except BaseException:
        sandbox.remove()
        raise
    oom_kills = 0
    hit_limit = hit_above = survivors = False
    try:
        in_time = await launched.wait(timeout)
        ended = time.monotonic()
        survivors = not (in_time or await launched.end())
        if sandbox.group is not None:
            oom_kills, hit_limit = sandbox.group.oom_kills(), sandbox.group.hit_limit()
        hit_above = sandbox.hit_above()
    finally:
        await launched.close()
    return Ending(
        launched.observed,
        ended - began,
        ended,
        not in_time,
        survivors,
        launched.guard_status,
        oom_kills,
        hit_limit,
        hit_above,
    )
