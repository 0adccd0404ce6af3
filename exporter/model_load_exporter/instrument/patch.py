"""Points: the public functions of a library that load, and putting our function around each.

Plain functions with the original in `__wrapped__`, not object proxies: `pool.submit(torch.load, path)` pickles a
function by its name, which a proxy (wrapt's) refuses.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import FunctionType

from model_load_exporter.instrument import calls, log
from model_load_exporter.instrument.calls import Point

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    from typing import Any

_MARK = "__model_load_exporter__"

_applied: list[tuple[Any, str, Any, Any]] = []
"""(class or module, name, what was there, what is there now), to be undone in reverse order."""


def apply(module: Any, points: tuple[Point, ...]) -> None:
    """Puts ours around each point of the module that is there; what is missing in this version is passed over."""
    for point in points:
        try:
            _apply(module, point)
        except Exception:
            log.trouble("%s.%s is not hooked", module.__name__, point.name)


def revert() -> None:
    """Takes all of it away again, but where somebody else has put theirs around ours."""
    while _applied:
        owner, name, before, after = _applied.pop()
        if vars(owner).get(name) is after:
            setattr(owner, name, before)
        if isinstance(owner, type(sys)):
            _rename(name, after, before)


def replace_result(module: Any, name: str, change: Callable[[Any], Any]) -> None:
    """The module's function gives `change(result)` instead of its result, or the result where that raises."""

    def around(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def hooked(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            try:
                return change(result)
            except Exception:
                log.trouble("%s is as it was", name)
                return result

        return hooked

    _put(module, module, name, around)


def _apply(module: Any, point: Point) -> None:
    *above, name = point.name.split(".")
    owner = module
    for part in above:
        owner = vars(owner).get(part)
        if owner is None:
            return
    _put(module, owner, name, lambda function: _around(function, point))


def _put(module: Any, owner: Any, name: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    before = vars(owner).get(name)
    function = before.__func__ if isinstance(before, (classmethod, staticmethod)) else before
    if not callable(function) or hasattr(function, _MARK):
        return
    hooked: Any = around(function)
    setattr(hooked, _MARK, True)
    after = type(before)(hooked) if isinstance(before, (classmethod, staticmethod)) else hooked
    setattr(owner, name, after)
    _applied.append((owner, name, before, after))
    if owner is module:
        _rename(name, before, after)


def _rename(name: str, before: Any, after: Any) -> None:
    """Modules that have the function by `from ... import`, as torch itself has torch.load, get the other one too."""
    if not isinstance(before, FunctionType):
        return
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", None)
        if type(names) is dict and names.get(name) is before:
            names[name] = after


def _around(original: Callable[..., Any], point: Point) -> Callable[..., Any]:
    @functools.wraps(original)
    def hooked(*args: Any, **kwargs: Any) -> Any:
        call, kwargs = calls.begin(point, args, kwargs)
        if call is None:
            return original(*args, **kwargs)
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            call.failed(error)
            raise
        return call.done(args, result)

    return hooked
