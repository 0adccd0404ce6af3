"""track_load: two lines that make a load witnessed. Context manager and decorator, for sync and async code."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from types import TracebackType

from model_load_exporter.instrument import log, nesting
from model_load_exporter.instrument.holder import holder
from model_load_exporter.instrument.load import Load, NestedLoad

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

TARGET = "MODEL_LOAD_EXPORTER_TARGET"

_COROUTINE, _GENERATOR, _ASYNC_GENERATOR = 0x80, 0x20, 0x200  # inspect.CO_*; importing inspect costs 5 ms


class track_load:  # noqa: N801 - read as a verb, like contextlib's own
    """Witnesses one load of `model`.

        with track_load("nllb-200", path="/models/nllb") as load:
            with load.stage("tokenizer"): tokenizer = ...
            with load.stage("weights"):   model = load.holds(...)

    model: its name; without one, the hub's org/name or the last part of the path. path: file or folder that is
    loaded. repo: id on the hub. target: the service's name; without one, $MODEL_LOAD_EXPORTER_TARGET.
    Also `async with`, and `@track_load(...)` on a function or coroutine function: each call is a load.
    An exception goes through unchanged.
    """

    def __init__(
        self,
        model: str | None = None,
        path: str | os.PathLike[str] | None = None,
        *,
        repo: str | None = None,
        target: str | None = None,
    ) -> None:
        self._model, self._path, self._repo, self._target = model, path, repo, target
        self._entered: list[Load | NestedLoad] = []

    def __enter__(self) -> Load | NestedLoad:
        load: Load | NestedLoad | None = None
        try:
            load = self._new_load()
            load.begin()
        except Exception:  # whatever is wrong with the witness, the load goes on without one
            log.trouble("a load goes on unwitnessed")
            load = load or Load("unknown")
        self._entered.append(load)
        return load

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        load = self._entered.pop()
        try:
            if isinstance(load, Load):
                nesting.leave(load)
            load.end(error)
        except Exception:  # as above
            log.trouble("the end of a load was not told")

    async def __aenter__(self) -> Load | NestedLoad:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Decorates `function`: each call is one load. Raises TypeError for a generator function."""
        flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
        if flags & (_GENERATOR | _ASYNC_GENERATOR):
            raise TypeError("track_load decorates functions and coroutine functions; inside a generator use `with`")

        if flags & _COROUTINE:

            @functools.wraps(function)
            async def tracked_async(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    return await function(*args, **kwargs)

            return tracked_async  # type: ignore[return-value]  # with the signature of F

        @functools.wraps(function)
        def tracked(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return tracked  # type: ignore[return-value]  # as above

    def _again(self) -> track_load:
        """The same settings for another load: calls of a decorated function may overlap."""
        return track_load(self._model, self._path, repo=self._repo, target=self._target)

    def _new_load(self) -> Load | NestedLoad:
        # Here: pulling it in at import would cost a service that never loads.
        from model_load_exporter.identity import model_name

        path = os.fspath(self._path) if self._path is not None else None
        model = model_name(self._model, path, self._repo)
        target = self._target if self._target is not None else os.environ.get(TARGET, "")
        return nesting.claim(Load(model, target=target, path=path, repo=self._repo))


def unloaded(model: str) -> None:
    """Says that this process no longer holds `model`, by the name it was loaded under."""
    with contextlib.suppress(Exception):
        holder.unhold(model)
