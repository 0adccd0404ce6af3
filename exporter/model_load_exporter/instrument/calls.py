"""A call of a hooked function: is it a load, a part of one, or neither, and what is told of it.

The outermost load is an attempt; a load inside of it is its stage. A **part** (configuration, tokenizer, download) is
no load: by itself it is no attempt, or a service would hold a model that it has no weights of. Only where it fails
outside of any load is it told, after the fact, as the failed load that it is to the service.

Nothing here raises: the load goes on, whatever is wrong with its witness.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import ContextVar

from model_load_exporter.instrument import log, nesting
from model_load_exporter.instrument.load import Load, NestedLoad
from model_load_exporter.journal.writer import stamp

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    from typing import Any

TARGET = "MODEL_LOAD_EXPORTER_TARGET"

_in_part: ContextVar[bool] = ContextVar("model_load_exporter_part", default=False)
"""True inside of a part that is in no load: its own parts fail with it."""

Asked = tuple[str | None, str | None]
"""(path, repo) that a call asks for."""


class Point:
    """One public function that loads.

    name: `function` or `Class.method`. asked: (args, kwargs) to what is loaded, or None where the call loads nothing
    (a file object, a model that is loaded already). stage: what it is inside of a load, "" where its parts say that
    themselves. own_stage: also of its own
    load, where that is all it does. part: no load by itself. held: (args, result) to the object that is the model.
    ask: (kwargs) to the arguments to call with, and told: (result, load, kwargs as they were) to the result to return.
    """

    __slots__ = ("ask", "asked", "held", "name", "own_stage", "part", "stage", "told")

    def __init__(
        self,
        name: str,
        asked: Callable[[tuple[Any, ...], dict[str, Any]], Asked | None],
        stage: str,
        *,
        own_stage: bool = True,
        part: bool = False,
        held: Callable[[tuple[Any, ...], Any], Any] = lambda args, result: result,
        ask: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        told: Callable[[Any, Load | NestedLoad, dict[str, Any]], Any] | None = None,
    ) -> None:
        self.name, self.asked, self.stage, self.own_stage, self.part = name, asked, stage, own_stage, part
        self.held, self.ask, self.told = held, ask, told


class Call:
    """A call that is under way and is told of."""

    def __init__(self, point: Point, load: Load | NestedLoad, kwargs: dict[str, Any]) -> None:
        self._point, self._load, self._kwargs = point, load, kwargs
        self._stage: Any = None

    def begin(self) -> None:
        """The load, or the stage of another, begins."""
        self._load.begin()
        if isinstance(self._load, Load) and self._point.own_stage:
            self._stage = self._load.stage(self._point.stage)
            self._stage.__enter__()

    def failed(self, error: BaseException) -> None:
        """The call raised."""
        self._end(error)

    def done(self, args: tuple[Any, ...], result: Any) -> Any:
        """The call returned; what the service gets."""
        try:
            if self._point.told is not None:
                result = self._point.told(result, self._load, self._kwargs)
            if isinstance(self._load, Load):
                held = self._point.held(args, result)
                if held is not None:
                    self._load.holds(held)
        except Exception:
            log.trouble("what %s loaded is not told", self._point.name)
        self._end(None)
        return result

    def _end(self, error: BaseException | None) -> None:
        kind = type(error) if error is not None else None
        if self._stage is not None:
            _quietly(self._stage.__exit__, kind, error, None)
        if isinstance(self._load, Load):
            _quietly(nesting.leave, self._load)
        _quietly(self._load.end, error)


class Part:
    """A part outside of any load: it leaves no trace unless it fails."""

    def __init__(self, point: Point, load: Load) -> None:
        self._point, self._load = point, load
        began = stamp("begin")
        self._began = {"time": began["time"], "monotonic": began["monotonic"]}
        _in_part.set(True)

    def failed(self, error: BaseException) -> None:
        """Tells the whole of it now, unless somebody only changed their mind."""
        _in_part.set(False)
        try:
            from model_load_exporter.classify.exceptions import is_cancellation

            if not is_cancellation(error):
                self._load.begin(self._began)
                self._load.begin_stage(self._point.stage, self._began)
                self._load.end_stage(self._point.stage, failed=True)
                self._load.end(error)
        except Exception:
            log.trouble("a failed part was not told")

    def done(self, args: tuple[Any, ...], result: Any) -> Any:
        """What the service gets."""
        _in_part.set(False)
        return result


def begin(point: Point, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Call | Part | None, dict[str, Any]]:
    """What is told of a call that begins now, or None; and the keyword arguments to make it with."""
    call = None
    try:
        call = _begin(point, args, kwargs)
        if isinstance(call, Call) and point.ask is not None:
            kwargs = point.ask(kwargs)
    except Exception:
        log.trouble("a call of %s is not told", point.name)
    return call, kwargs


def _begin(point: Point, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | Part | None:
    around = nesting.by_place()
    asked = point.asked(args, kwargs)
    if around is not None:
        # Inside of a load even a call that loads nothing new (pipeline() of a model object) is a stage of it.
        return _begun(Call(point, NestedLoad(around, point.stage), kwargs))
    if asked is None:
        return None
    from model_load_exporter.identity import model_name

    path, repo = asked
    model = model_name(None, path, repo)
    if point.part:
        outer = nesting.by_name(model, path, repo)
        if outer is not None:
            return _begun(Call(point, NestedLoad(outer, point.stage), kwargs))
        return None if _in_part.get() else Part(point, _new(model, path, repo))
    return _begun(Call(point, nesting.claim(_new(model, path, repo), point.stage), kwargs))


def _quietly(tell: Callable[..., object], *arguments: object) -> None:
    try:
        tell(*arguments)
    except Exception:
        log.trouble("a load goes on unwitnessed")


def _begun(call: Call) -> Call:
    _quietly(call.begin)
    return call


def _new(model: str, path: str | None, repo: str | None) -> Load:
    return Load(model, target=os.environ.get(TARGET, ""), path=path, repo=repo)


def named(index: int, *names: str) -> Callable[[tuple[Any, ...], dict[str, Any]], Asked | None]:
    """For `asked`: the argument at that place (self or cls is 0) or of that name is a path, or an id on the hub."""

    def asked(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Asked | None:
        return place(argument(args, kwargs, index, *names))

    return asked


def file(index: int, *names: str) -> Callable[[tuple[Any, ...], dict[str, Any]], Asked | None]:
    """For `asked`: likewise, and it can only be a path."""

    def asked(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Asked | None:
        value = _text(argument(args, kwargs, index, *names))
        return (value, None) if value else None

    return asked


def argument(args: tuple[Any, ...], kwargs: dict[str, Any], index: int, *names: str) -> Any:
    """The argument of a call that may be given by place or by any of these names."""
    if len(args) > index:
        return args[index]
    return next((kwargs[name] for name in names if name in kwargs), None)


def place(value: Any) -> Asked | None:
    """(path, repo) of what a library takes as either. It asks the disk only where the text leaves it open."""
    text = _text(value)
    if not text:
        return None
    if text.startswith(("/", "./", "../", "~")) or text.count("/") > 1 or os.path.exists(text):
        return text, None
    return None, text


def _text(value: Any) -> str | None:
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    return value if isinstance(value, str) else None
