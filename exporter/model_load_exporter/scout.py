"""Looks for what matches globs, in a process of its own: a dead mount holds up that process and nobody else.

It says what it found each minute, the same or not: silence means that it hangs. What was found before stays in force
then, so a mount that is away for an hour takes no model out of the metrics.
"""

import asyncio
import contextlib
import json
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

from model_load_exporter.canary.sandbox import environment
from model_load_exporter.config.discover import Matches, look
from model_load_exporter.verification.quiet import lie_low

logger = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
FIRST_SECONDS = 5.0
"""How long a start or a reload waits for the first look."""

_SILENT_LOOKS = 3
_LONGEST = 16 * 2**20
_COMMAND = (sys.executable, "-I", "-m", "model_load_exporter.scout")


def main() -> None:
    """The child: globs, seconds from look to look and the parent's pid as JSON in its only argument."""
    globs, seconds, parent = json.loads(sys.argv[1])
    lie_low(parent)
    while True:
        # ASCII: a file name need not be UTF-8, and comes back with its surrogates.
        data = json.dumps(look(globs)).encode() + b"\n"
        while data:
            data = data[os.write(1, data) :]
        time.sleep(seconds)


class Scout:
    """One process that watches some globs. `matches` is what it said last, by glob."""

    def __init__(self, globs: Sequence[str], known: Matches | None = None, seconds: float | None = None) -> None:
        """Starts it. It dies with the thread that calls this: that must be the one of the daemon's loop.

        known: what an earlier one found; it holds for the globs that it had until the first look.
        """
        self.globs = tuple(globs)
        self.matches: Matches = {one: paths for one, paths in (known or {}).items() if one in self.globs}
        self.hangs = False
        self._seconds = LOOK_SECONDS if seconds is None else seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self._task: asyncio.Task[None] | None = None
        if self.globs:
            self._start()

    def first(self, seconds: float = FIRST_SECONDS) -> None:
        """Waits for the first look, before `watch`; where it does not come in time, goes on without."""
        deadline, data = time.monotonic() + seconds, b""
        while self._pipe >= 0 and (left := deadline - time.monotonic()) > 0:
            if select.select([self._pipe], [], [], left)[0]:
                more = os.read(self._pipe, 65536)
                data += more
                if not more or (data.endswith(b"\n") and self._take(data)):
                    return
        if self.globs:
            self.hangs = True
            logger.warning("looking for models takes long (%s); it goes on in the background", ", ".join(self.globs))

    def watch(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Awaits `changed`, on the running loop, whenever something else matches."""
        if self.globs:
            self._task = asyncio.create_task(self._follow(changed), name="scout")

    def close(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
        self._end()

    async def _follow(self, changed: Callable[[], Awaitable[None]]) -> None:
        while True:
            if self._process is not None:
                try:
                    await self._listen(changed)
                finally:
                    self._end()
                logger.warning("the process that looks for models has ended; it is started again")
            await asyncio.sleep(self._seconds)
            self._start()

    async def _listen(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Takes what the process says until it ends."""
        pipe, self._pipe = os.fdopen(self._pipe, "rb"), -1
        reader = asyncio.StreamReader(limit=_LONGEST)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            while True:
                try:
                    line = await asyncio.wait_for(reader.readline(), _SILENT_LOOKS * self._seconds)
                except TimeoutError:
                    if not self.hangs:
                        names = ", ".join(self.globs)
                        logger.warning("looking for models hangs (%s); those that were found before stay", names)
                    self.hangs = True
                    continue
                except ValueError:
                    return
                if not line:
                    return
                before = self.matches
                if self._take(line) and self.hangs:
                    logger.info("looking for models goes on")
                    self.hangs = False
                if self.matches != before:
                    await changed()
        finally:
            transport.close()

    def _take(self, line: bytes) -> bool:
        """True for a line that says what matches."""
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return False
        if not isinstance(found, dict) or not set(found) <= set(self.globs):
            return False
        self.matches = {**self.matches, **found}
        return True

    def _start(self) -> None:
        """Starts the process; one that cannot be started is tried again like one that has died."""
        read, write = os.pipe()
        try:
            argument = json.dumps([self.globs, self._seconds, os.getpid()])
            self._process = subprocess.Popen(
                [*_COMMAND, argument], stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.DEVNULL,
                start_new_session=True, env=environment(), cwd="/",
            )  # fmt: skip
            self._pipe = read
        except OSError as error:
            os.close(read)
            logger.warning("models cannot be looked for: %s", error.strerror)
        finally:
            os.close(write)

    def _end(self) -> None:
        """Ends the process, and waits no longer than a moment: it may hang in the kernel."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        if self._process is not None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.1)
            self._process = None


if __name__ == "__main__":
    main()
