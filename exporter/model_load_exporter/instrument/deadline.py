"""A call that ends in time: in a thread of its own, since nothing else can stop waiting for native code."""

from __future__ import annotations

import contextvars
import ctypes
import threading

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_GRACE_SECONDS = 1.0
_GRACE_SHARE = 0.1
"""Of the call's own time, at most: a caller with a short limit has something else to do with the rest."""


class LoadTimeoutError(TimeoutError):
    """A load did not finish in time. abandoned: native code still runs in its thread, and keeps its memory."""

    def __init__(self, seconds: float, *, abandoned: bool) -> None:
        super().__init__(f"the load did not finish within {seconds:g} seconds")
        self.abandoned = abandoned


class _EndedError(BaseException):
    """Raised in the thread whose time is over. No Exception: a loader that catches those must not go on."""


def call_within(call: Callable[[], Any], seconds: float | None, limit: float | None) -> Any:
    """What `call` returns or raises. Raises LoadTimeoutError after `seconds`; None: in this thread, without limit.

    limit: the time limit as the message tells it, seconds.
    """
    if seconds is None:
        return call()
    outcome: list[Any] = []
    errors: list[BaseException] = []
    context = contextvars.copy_context()

    def work() -> None:
        try:
            outcome.append(context.run(call))
        except BaseException as error:  # whatever it is, the caller's thread raises it
            errors.append(error)

    thread = threading.Thread(target=work, name="model-load", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        # Python code ends at its next line; native code when it comes back, if it ever does.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_EndedError))
        thread.join(min(_GRACE_SECONDS, _GRACE_SHARE * seconds))
        if not outcome:
            raise LoadTimeoutError(limit or seconds, abandoned=thread.is_alive())
    if errors:
        raise errors[0]
    return outcome[0]
