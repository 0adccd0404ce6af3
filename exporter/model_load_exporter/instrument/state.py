"""What this process knows of its own loads now, whether a journal takes what they tell or not.

Kept by the loads as they go; `health` makes of it what the service's health addresses tell.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    from typing import Protocol

    class OpenLoad(Protocol):
        """A load that is open, as `load.Load` is. began: by the monotonic clock; open_stages: the innermost last."""

        id: str
        model: str
        began: float
        open_stages: list[str]

        @property
        def witnessed(self) -> bool: ...  # noqa: D102 - as load.Load has it


open_loads: dict[str, OpenLoad] = {}
"""The loads that are open, by id, the oldest first."""

failures: dict[str, tuple[str, str, float, bool]] = {}
"""(reason, message, unix time, whether a journal took it) of the last load of a model, where it failed."""

attempts: dict[str, tuple[int, int]] = {}
"""(number from 1, of how many) of the model's next or present load, where somebody tries again."""

fallbacks: dict[str, str] = {}
"""What serves in place of a model."""


def loading(load: OpenLoad) -> None:
    """A load began."""
    open_loads[load.id] = load


def loaded(load: OpenLoad) -> None:
    """It ended well, or was cancelled."""
    open_loads.pop(load.id, None)
    failures.pop(load.model, None)


def failed(load: OpenLoad, reason: str, message: str) -> None:
    """It failed."""
    open_loads.pop(load.id, None)
    failures[load.model] = (reason, message, time.time(), load.witnessed)


def note_attempt(model: str, number: int, of: int) -> None:
    """The next load of `model` is attempt `number` (from 1) of `of`; 0 where nobody tries again any more."""
    if number:
        attempts[model] = (number, of)
    else:
        attempts.pop(model, None)


def note_fallback(model: str, name: str | None) -> None:
    """What serves in place of `model` from now on; None where `model` itself does."""
    if name is None:
        fallbacks.pop(model, None)
    else:
        fallbacks[model] = name


def forget() -> None:
    """Knows nothing, as at the start."""
    inherit()
    failures.clear()
    fallbacks.clear()


def inherit() -> None:
    """In a forked child: loads that are open go on in the parent; what came of those that are over is in both."""
    open_loads.clear()
    attempts.clear()


os.register_at_fork(after_in_child=inherit)
