"""load_with_recovery: a load that is tried again where that can help, and falls back where it cannot."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Iterable, Sequence

from model_load_exporter.classify.exceptions import classify_exception, is_cancellation
from model_load_exporter.classify.files import look
from model_load_exporter.instrument import log, state
from model_load_exporter.instrument.deadline import LoadTimeoutError, call_within
from model_load_exporter.instrument.track import track_load
from model_load_exporter.reasons import REASONS

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    from typing import Any

    Call = Callable[[], Any]
    Loader = Call | tuple[str, Call] | tuple[str, Call, str | os.PathLike[str] | None]

_LONGEST_WAIT = 60.0
_COROUTINE = 0x80  # inspect.CO_COROUTINE; importing inspect costs 5 ms
_ASYNC = (
    "{} is a coroutine function; load_with_recovery calls plain ones: pass `lambda: asyncio.run(load())`, and in async "
    "code `await asyncio.to_thread(load_with_recovery, ...)`"
)


class ModelFilesError(OSError):
    """The look at the model's files before a load saw that it could not succeed."""


class _UsageError(TypeError):
    """A loader that never can load, of the service's own making: no failure to try again or to fall back from."""


class LoadFailedError(RuntimeError):
    """Every loader failed. tried: (loader's name, attempt from 1, reason, message) of each attempt, in their order."""

    def __init__(self, model: str, tried: Sequence[tuple[str, int, str, str]]) -> None:
        self.tried = tuple(tried)
        last = "; ".join(f"{name}, attempt {number}: {reason}: {message}" for name, number, reason, message in tried)
        super().__init__(f"{model} could not be loaded: {last}")


class _Recovery:
    """One call of load_with_recovery."""

    def __init__(self, model: str, attempts: int, timeout: float | None, backoff: float, target: str | None) -> None:
        self.model, self.attempts, self.backoff, self.target = model, attempts, backoff, target
        self.ends = None if timeout is None else time.monotonic() + timeout
        self.timeout = timeout
        self.share = 1
        self.tried: list[tuple[str, int, str, str]] = []
        self.first_error: BaseException | None = None

    def run(self, loaders: Sequence[tuple[str, Call, str | None]]) -> Any:
        for place, (name, call, path) in enumerate(loaders):
            self.share = len(loaders) - place
            for number in range(1, self.attempts + 1):
                state.note_attempt(self.model, number, self.attempts)
                try:
                    loaded = self._once(name, call, path, fallback=place > 0)
                except Exception as error:
                    if is_cancellation(error) or isinstance(error, _UsageError):
                        raise
                    again = self._failed(error, name, number, path)
                else:
                    state.note_fallback(self.model, name if place > 0 else None)
                    return loaded
                self._clear()
                if not again or number == self.attempts or not self._wait(number):
                    break
            if self._left() == 0.0:
                break
        raise LoadFailedError(self.model, self.tried) from self.first_error

    def _once(self, name: str, call: Call, path: str | None, *, fallback: bool) -> Any:
        with track_load(self.model, path=path, target=self.target) as load:
            load.told_below = True
            if path is not None and os.path.isabs(path) and (found := look(path)) is not None:
                raise ModelFilesError(f"{found.path}: {found.detail}")
            seconds = self._seconds()
            loaded = call_within(call, seconds, round(seconds, 1) if seconds and self.share > 1 else self.timeout)
            if isinstance(loaded, Coroutine):
                loaded.close()  # else Python warns that nobody awaited it
                raise _UsageError(_ASYNC.format(name))
            for part in _parts(loaded):
                load.holds(part)
            if fallback:
                load.describe(fallback=name)
            return loaded

    def _failed(self, error: Exception, name: str, number: int, path: str | None) -> bool:
        """Notes a failure; True where the same loader may succeed on another try."""
        found = classify_exception(error, path)
        self.tried.append((name, number, found.reason, found.message))
        self.first_error = self.first_error or error
        log.warning(
            "%s: %s, attempt %d of %d failed: %s: %s",
            self.model, name, number, self.attempts, found.reason, found.message,
        )  # fmt: skip
        # Its frames hold what was loaded so far; the next attempt needs that memory.
        for one in (error, error.__cause__, error.__context__):
            if one is not None:
                traceback.clear_frames(one.__traceback__)
        if isinstance(error, LoadTimeoutError):
            return False  # this loader had its share of the time; what is left belongs to those behind it
        reason = REASONS.get(found.reason)
        return reason is not None and reason.passing

    def _wait(self, number: int) -> bool:
        """Waits before the next attempt; False where the time limit leaves none."""
        # Services that failed together would come back together: hence the jitter.
        wait = min(self.backoff * 2 ** (number - 1), _LONGEST_WAIT) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        seconds = self._seconds()
        if seconds is not None and wait >= seconds:
            return False
        time.sleep(wait)
        return True

    def _seconds(self) -> float | None:
        """Seconds for the present loader: an equal share of what is left, so that each behind it can be tried too."""
        left = self._left()
        return None if left is None else left / self.share

    def _left(self) -> float | None:
        return None if self.ends is None else max(0.0, self.ends - time.monotonic())

    def _clear(self) -> None:
        """Gives back what a failed attempt left behind."""
        gc.collect()
        torch = sys.modules.get("torch")
        if torch is not None:
            with contextlib.suppress(Exception):
                if torch.cuda.is_initialized():
                    torch.cuda.empty_cache()


def load_with_recovery(
    model: str,
    loaders: Sequence[Loader],
    *,
    attempts: int = 3,
    timeout: float | None = None,
    backoff: float = 1.0,
    path: str | os.PathLike[str] | None = None,
    target: str | None = None,
) -> Any:
    """What the first loader that succeeds returns.

        model = load_with_recovery("nllb-200", [load_primary, ("small", load_small)], attempts=3, timeout=300)

    loaders: functions without arguments, in the order in which they are tried: the model itself, then what may serve in
    its place (a smaller model, a reduced precision, the CPU). Each also as (name, function) or (name, function, path).
    attempts: of each loader; only reasons that can pass (network, a busy GPU, a timeout) are tried again, a corrupted
    file is not. timeout: seconds for all of it; an attempt with n loaders behind it may take 1/(n+1) of what is left,
    and one that takes longer is ended, or left behind in its thread where native code keeps it: the next loader's turn.
    backoff: seconds before the second attempt, doubled with each, with jitter. path: what the first loader loads:
    looked at before each attempt, so that a file that cannot be loaded costs no load.
    Each attempt is a load of `model` in the journal. Raises LoadFailedError, from the first loader's error; TypeError
    for what is no loader, a coroutine function too; in async code `await asyncio.to_thread(load_with_recovery, ...)`.
    """
    if callable(loaders) or not isinstance(loaders, Iterable):
        raise TypeError(f"load_with_recovery needs a list of loaders, not {type(loaders).__name__}: [load]")
    rows = [_loader(loader, place, path) for place, loader in enumerate(loaders)]
    if not rows or attempts < 1:
        raise ValueError("load_with_recovery needs a loader, and at least one attempt")
    try:
        return _Recovery(model, attempts, timeout, backoff, target).run(rows)
    finally:
        state.note_attempt(model, 0, 0)


def _loader(loader: Loader, place: int, path: str | os.PathLike[str] | None) -> tuple[str, Call, str | None]:
    own: str | os.PathLike[str] | None = None
    if not isinstance(loader, tuple):
        name, call = str(getattr(loader, "__name__", f"loader {place + 1}")), loader
    elif len(loader) in (2, 3) and isinstance(loader[0], str):
        name, call, own = loader if len(loader) == 3 else (*loader, None)
    else:
        raise TypeError(f"loader {place + 1} is {loader!r:.100}, not (name, function) or (name, function, path)")
    if not callable(call):
        raise TypeError(f"loader {place + 1} is {call!r:.100}, not a function without arguments")
    if _is_coroutine_function(call):
        raise TypeError(_ASYNC.format(name))
    if own is None and place == 0:
        own = path
    return name, call, os.fspath(own) if own is not None else None


def _is_coroutine_function(call: Any) -> bool:
    while isinstance(call, functools.partial):
        call = call.func
    # Of an object that can be called it is the method that tells.
    method = call if hasattr(call, "__code__") else type(call).__call__
    return bool(getattr(getattr(method, "__code__", None), "co_flags", 0) & _COROUTINE)


def _parts(loaded: object) -> list[object]:
    """A pair of model and tokenizer is held until both are gone; a tuple itself takes no weak reference."""
    if isinstance(loaded, dict):
        return list(loaded.values())
    return list(loaded) if isinstance(loaded, (tuple, list)) else [loaded]
