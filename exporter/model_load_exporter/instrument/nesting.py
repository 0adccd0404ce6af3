"""Which open load a call belongs to: the outermost load counts, and what it does inside are its stages.

Two ways to belong. By place: the call runs inside of the load, in the same thread or task (a context variable tells;
`asyncio.to_thread` carries it along). By what is loaded: at or below the load's path, the same repository or name, in
any thread, since the threads of a pool carry no context.
"""

import os
import threading
from contextvars import ContextVar

from model_load_exporter.instrument.load import Load, NestedLoad

_open: dict[str, Load] = {}
"""The loads that are open in this process, in any thread."""
_lock = threading.Lock()

_here: "ContextVar[Load | None]" = ContextVar("model_load_exporter_load", default=None)
"""The innermost load around this place. It may be over, or of the parent process: only those in `_open` count."""


def leave(load: Load) -> None:
    """The load is over."""
    with _lock:
        _open.pop(load.id, None)
    if _here.get() is load:  # it may end in another task than it began in
        _here.set(load.around)


def by_place() -> Load | None:
    """The open load that this call runs inside of."""
    load = _here.get()
    while load is not None and (load.over or load.id not in _open):
        load = load.around
    return load


def by_name(model: str, path: str | None, repo: str | None) -> Load | None:
    """The open load, of any thread, that this one belongs to by what it loads."""
    with _lock:
        return _by_name(model, path, repo)


def claim(load: Load, stage: str = "other") -> Load | NestedLoad:
    """The load itself, open from now on around whatever this thread or task does next; or, where it belongs by name to
    one that is open, a stage of that one.
    """
    with _lock:
        outer = _by_name(load.model, load.path, load.repo)
        if outer is None:
            _open[load.id] = load
    if outer is not None:
        same = load.model == outer.model and load.path in (None, outer.path)
        return NestedLoad(outer, "" if outer.told_below and same else stage)
    load.around = _here.get()
    _here.set(load)
    return load


def _by_name(model: str, path: str | None, repo: str | None) -> Load | None:
    for outer in _open.values():
        if not outer.over and _covers(outer, model, path, repo):
            return outer
    return None


def _covers(outer: Load, model: str, path: str | None, repo: str | None) -> bool:
    """True where a load belongs to one that is already open: at or below its path, the same repo, or the same name."""
    if path is not None and outer.path is not None:
        above = os.path.abspath(outer.path)
        below = os.path.abspath(path)
        return below == above or below.startswith(above.rstrip("/") + "/")
    if repo is not None and outer.repo is not None:
        return repo == outer.repo
    if path is not None and outer.repo is not None and path.startswith("/"):
        from model_load_exporter.identity import repo_of

        if repo_of(path) == outer.repo:  # what the hub's cache holds of a repository is that repository
            return True
    return model == outer.model


def _forget() -> None:
    """In a forked child: the loads that were open are the parent's, and its lock may be held by no thread here."""
    global _lock
    _lock = threading.Lock()
    _open.clear()


os.register_at_fork(after_in_child=_forget)
