"""uvicorn and gunicorn end a worker that does not answer in time. Whoever looks at the dead worker sees SIGKILL alone.

So their supervisors write down the cause before they send the signal; every other kill of theirs (a stop, a reload)
has no cause to tell. And the workers' own parts: gunicorn's exit by SIGABRT says why it exits, uvicorn's orderly stop
says that it is one. Each is hooked when its module is imported.
"""

import contextlib
import functools
import signal
from collections.abc import Callable
from typing import Any

from model_load_exporter.instrument import imports
from model_load_exporter.instrument.holder import holder

CAUSE = "timeout"


def install() -> None:
    """Hooks the supervisors that this process may come to import, and those that it has. May be called again."""
    global _finder
    if _finder is None:
        _finder = imports.listen(_HOOKS)


def _uvicorn(module: Any) -> None:
    """Process.kill ends a worker that gave no answer to a ping; it is also how a dead one is put away."""
    _before(module.Process, "kill", _tell_uvicorn)


def _tell_uvicorn(process: Any) -> None:
    if process.process.exitcode is None:
        _tell(process.pid)


def _gunicorn(module: Any) -> None:
    """murder_workers sends SIGABRT, and SIGKILL to one that does not end of it; kill_worker sends for others too."""
    _during(module.Arbiter, "murder_workers")
    _before(module.Arbiter, "kill_worker", _tell_gunicorn)


def _tell_gunicorn(arbiter: Any, pid: int, number: int) -> None:
    if getattr(arbiter, _MARK, False) and number in (signal.SIGABRT, signal.SIGKILL):
        _tell(pid)


def _gunicorn_worker(module: Any) -> None:
    """The worker's own part: SIGABRT makes it exit from whatever it does, a load too. The exit then says why."""
    method = module.Worker.handle_abort
    if hasattr(method, _HOOKED):
        return

    @functools.wraps(method)
    def handle_abort(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except SystemExit as error:
            error.__cause__ = error.__cause__ or TimeoutError("gunicorn ended the worker: WORKER TIMEOUT")
            raise

    setattr(handle_abort, _HOOKED, True)
    module.Worker.handle_abort = handle_abort


def _uvicorn_server(module: Any) -> None:
    """After an orderly stop it raises the signal again that asked for it, and dies of it: past every atexit."""
    method = module.Server.shutdown
    if hasattr(method, _HOOKED):
        return

    @functools.wraps(method)
    async def shutdown(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = await method(self, *args, **kwargs)
        if getattr(self, "_captured_signals", None):
            _quietly(holder.exit)
        return answer

    setattr(shutdown, _HOOKED, True)
    module.Server.shutdown = shutdown


_finder: imports.Finder | None = None
_HOOKS: dict[str, imports.Listener] = {
    "uvicorn.supervisors.multiprocess": _uvicorn,
    "uvicorn.server": _uvicorn_server,
    "gunicorn.arbiter": _gunicorn,
    "gunicorn.workers.base": _gunicorn_worker,
}
_MARK = "_model_load_exporter_murders"
_HOOKED = "_model_load_exporter_hooked"


def _before(owner: type, name: str, tell: Callable[..., None]) -> None:
    method = getattr(owner, name)
    if hasattr(method, _HOOKED):
        return

    @functools.wraps(method)
    def told(*args: Any, **kwargs: Any) -> Any:
        _quietly(tell, *args, **kwargs)
        return method(*args, **kwargs)

    setattr(told, _HOOKED, True)
    setattr(owner, name, told)


def _during(owner: type, name: str) -> None:
    method = getattr(owner, name)
    if hasattr(method, _HOOKED):
        return

    @functools.wraps(method)
    def marked(self: Any, *args: Any, **kwargs: Any) -> Any:
        setattr(self, _MARK, True)
        try:
            return method(self, *args, **kwargs)
        finally:
            setattr(self, _MARK, False)

    setattr(marked, _HOOKED, True)
    setattr(owner, name, marked)


def _tell(pid: int) -> None:
    from model_load_exporter.journal.kill import tell_kill

    tell_kill(pid, CAUSE)


def _quietly(function: Callable[..., None], *args: Any, **kwargs: Any) -> None:
    """A supervisor must be able to kill, whatever is wrong here or new there."""
    with contextlib.suppress(Exception):
        function(*args, **kwargs)
