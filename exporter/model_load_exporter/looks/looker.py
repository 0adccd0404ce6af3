"""The asker's side: one process that looks, started at the first ask and again when it has died."""

import contextlib
import errno
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO, Any

SECONDS = 5.0
"""How long an answer is waited for: a disk that spins up takes less."""

_COMMAND = (sys.executable, "-I", "-m", "model_load_exporter.looks.process")
_REST = 1.0
"""Seconds between two starts of the process."""

Ask = tuple[str, ...]
"""(what, argument...): see answers.py."""


class Looker:
    """Asks from any thread. A look that hangs is asked once: who asks the same again hears so at once."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._open: dict[Ask, _Answer] = {}
        self._numbers: dict[int, Ask] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0
        self._started = -_REST
        self._closed = False

    def ask(self, what: str, *arguments: str, seconds: float | None = None) -> Any:
        """The answer. Raises OSError as the look itself would, TimeoutError where it hangs."""
        return self.ask_all([(what, *arguments)], seconds)[0].value()

    def ask_all(self, asks: Sequence[Ask], seconds: float | None = None) -> list["_Answer"]:
        """An answer each, in their order; all are looked for at once, and waited for together."""
        deadline = time.monotonic() + (self._seconds if seconds is None else seconds)
        answers = [self._begin(ask) for ask in asks]
        for answer in answers:
            if not answer.hangs and not answer.there.wait(max(0.0, deadline - time.monotonic())):
                answer.hangs = True
        return answers

    def close(self) -> None:
        """Ends the process, and waits no longer than a moment: it may hang in the kernel."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
            left = self._forget()
        for answer in left:
            answer.fail(errno.ECANCELED, "not looked at: the exporter ends")
        if process is not None:
            process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)

    def _forget(self) -> list["_Answer"]:
        """Every look that is under way, which nobody waits for from now on."""
        left, self._open, self._numbers = list(self._open.values()), {}, {}
        return left

    def _begin(self, ask: Ask) -> "_Answer":
        with self._lock:
            answer = self._open.get(ask)
            if answer is not None:
                return answer
            answer = _Answer(ask)
            try:
                process = self._running()
                assert process.stdin is not None  # noqa: S101 - it is a pipe
                self._number += 1
                process.stdin.write(json.dumps([self._number, ask[0], ask[1:]]).encode() + b"\n")
                process.stdin.flush()
            except OSError as error:
                answer.fail(error.errno or errno.EIO, error.strerror or str(error))
            else:
                self._open[ask] = answer
                self._numbers[self._number] = ask
            return answer

    def _running(self) -> subprocess.Popen[bytes]:
        """The process. Raises OSError where it cannot be had."""
        if self._process is not None:
            return self._process
        now = time.monotonic()
        if self._closed or now - self._started < _REST:
            raise OSError(errno.EAGAIN, "the process that looks at files has ended; it is started again")
        self._started = now
        self._process = subprocess.Popen(
            _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True, cwd="/",
        )  # fmt: skip
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        reader = threading.Thread(
            target=self._listen, args=(self._process, self._process.stdout), name="looks", daemon=True
        )
        reader.start()
        return self._process

    def _listen(self, process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
        """Hands out what it answers, until it ends."""
        for line in output:
            try:
                number, told = json.loads(line)
            except (ValueError, TypeError):
                continue  # a parser that prints
            with self._lock:
                ask = self._numbers.pop(number, None)
                answer = self._open.pop(ask) if ask is not None else None
            if answer is None:
                continue
            if "errno" in told:
                answer.fail(told["errno"], told["text"])
            else:
                answer.succeed(told["value"])
        process.wait()
        with self._lock:
            if self._process is process:
                self._process = None
            left = self._forget()
        for answer in left:
            answer.fail(errno.EIO, "the process that looks at files has ended")
        for pipe in (process.stdin, output):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()


class _Answer:
    """What came of one look. hangs: it did not come in time, though it may still."""

    def __init__(self, ask: Ask) -> None:
        self.there = threading.Event()
        self.hangs = False
        self._ask = ask
        self._value: Any = None
        self._error: OSError | None = None

    def succeed(self, value: Any) -> None:
        """It has come."""
        self._value = value
        self.there.set()

    def fail(self, number: int, text: str) -> None:
        """The look failed."""
        self._error = OSError(number, text)
        self.there.set()

    def value(self) -> Any:
        """The answer. Raises OSError, TimeoutError while it hangs."""
        if not self.there.is_set():
            subject = self._ask[1] if len(self._ask) > 1 else self._ask[0]
            raise TimeoutError(errno.ETIMEDOUT, f"{subject} does not answer; does its mount hang?")
        if self._error is not None:
            raise OSError(self._error.errno, self._error.strerror)
        return self._value
