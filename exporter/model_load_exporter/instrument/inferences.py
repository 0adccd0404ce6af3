"""record_inference: how often a model serves and how long it takes, for the series model_inference_*."""

from __future__ import annotations

import functools
import time

from model_load_exporter.instrument import log
from model_load_exporter.instrument.holder import holder

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

_COROUTINE, _GENERATOR, _ASYNC_GENERATOR = 0x80, 0x20, 0x200  # inspect.CO_*; importing inspect costs 5 ms


_LONGEST = 1e9


class record_inference:  # noqa: N801 - read as a verb, like track_load
    """Records inferences of `model`, by the name that it was loaded under.

        record_inference("nllb-200", seconds)                  # one that is over; failed=True where it failed
        with record_inference("nllb-200"): model.generate(...)
        @record_inference("nllb-200")                          # on a function or coroutine function: each call is one

    An exception goes through unchanged, and counts as a failed inference; one that was cancelled counts, but did not
    fail. Costs some microseconds, and a line a second.
    """

    def __init__(self, model: str, seconds: float | None = None, *, failed: bool = False) -> None:
        self._model = model
        self._began: list[float] = []
        if seconds is not None:
            self._record(seconds, failed=failed)

    def __enter__(self) -> None:
        self._began.append(time.perf_counter())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._record(time.perf_counter() - self._began.pop(), failed=error is not None and _failure(error))

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Decorates `function`. Raises TypeError for a generator function."""
        flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
        if flags & (_GENERATOR | _ASYNC_GENERATOR):
            raise TypeError(
                "record_inference decorates functions and coroutine functions; inside a generator use `with`"
            )

        if flags & _COROUTINE:

            @functools.wraps(function)
            async def recorded_async(*args: Any, **kwargs: Any) -> Any:
                with record_inference(self._model):
                    return await function(*args, **kwargs)

            return recorded_async  # type: ignore[return-value]  # with the signature of F

        @functools.wraps(function)
        def recorded(*args: Any, **kwargs: Any) -> Any:
            with record_inference(self._model):
                return function(*args, **kwargs)

        return recorded  # type: ignore[return-value]  # as above

    def _record(self, seconds: float, *, failed: bool) -> None:
        try:
            # min and max of NaN and infinity are numbers, which a line of JSON can say.
            holder.infer(self._model, min(max(0.0, float(seconds)), _LONGEST), failed=failed)
        except Exception:  # whatever is wrong with the witness, the service answers
            log.trouble("an inference was not recorded")


def _failure(error: BaseException) -> bool:
    """False for a client that went away, a closed generator, Ctrl-C."""
    try:
        # Here and not above: an inference that succeeds never pays for it.
        from model_load_exporter.classify.exceptions import is_cancellation

        return not is_cancellation(error)
    except Exception:  # whatever is wrong with the witness, the service's own error goes on
        return True
