"""Load: one load of a model by this process, as it is told to the journal while it happens."""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from contextvars import ContextVar

from model_load_exporter.instrument import log, memory, state
from model_load_exporter.instrument.holder import holder
from model_load_exporter.journal.process import identity, runtime
from model_load_exporter.journal.spool import SpoolError, find_spool
from model_load_exporter.journal.writer import JournalFile, stamp

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    from typing import Any, TypeVar

    T = TypeVar("T")

PARENT = "MODEL_LOAD_EXPORTER_PARENT"
"""Exported while a load is open: what a child process loads of the same model belongs to that load."""

_warned = False

_innermost: ContextVar[tuple[str, str] | None] = ContextVar("model_load_exporter_stage", default=None)
"""(load's id, stage) of the innermost stage around this place."""


class Load:
    """A load in progress. Made by `track_load`; `stage`, `holds` and `witnessed` are what a service uses.

    No method raises on account of the journal. In a forked child the inherited load does nothing.
    """

    def __init__(self, model: str, *, target: str = "", path: str | None = None, repo: str | None = None) -> None:
        self.model = model
        self.target = target
        self.path = path
        self.repo = repo
        self.id = f"a-{os.urandom(16).hex()}"
        self._pid = os.getpid()
        self._file: JournalFile | None = None
        self._held_objects: int | None = None
        self._meter = memory.Meter()
        self._space, _, self._anonymous = self._meter.read()
        self._highest = memory.highest_resident()
        self._gpu = memory.gpu_allocated()
        self._parent_outside: str | None = None
        self._notes: dict[str, Any] = {}
        self._described: dict[str, Any] = {}
        self.over = False
        self.told_below = False
        """True where what runs inside may tell the same load again (load_with_recovery): that is no stage of it."""
        self.began = time.monotonic()
        self.open_stages: list[str] = []
        self.around: Load | None = None
        """The load around this one in its thread, kept by `nesting`."""

    @property
    def witnessed(self) -> bool:
        """True while the journal takes what this load tells. False: no spool, a full disk, an unsafe file system."""
        return self._file is not None and self._file.open

    def begin(self, began: dict[str, Any] | None = None) -> None:
        """Opens the journal file, or warns once in the life of the process that nobody witnesses its loads.

        began: time and monotonic of a load that is told after the fact; without it, it begins now.
        """
        event: dict[str, Any] = {
            **stamp("begin"),
            **(began or {}),
            **identity(),
            "model": self.model,
            "kind": "service",
            "target": self.target or None,
            "path": _absolute(self.path),
            "repo": self.repo,
            "parent": os.environ.get(PARENT) or None,
            "group": _group(),
            "rank": os.environ.get("RANK"),
            "runtime": runtime(),
        }
        try:
            self._file = JournalFile.create(
                find_spool(), {key: value for key, value in event.items() if value is not None}, self.id
            )
        except (OSError, ValueError, SpoolError) as error:
            _warn_once(error)
        self._export_parent()
        state.loading(self)

    def stage(self, name: str) -> Stage:
        """One stage of the load: download, config, tokenizer, weights, device, pipeline, warmup, inference, other."""
        return Stage(self, name)

    def note(self, message: str, **notes: Any) -> None:
        """What a load that succeeds should not keep to itself, weights that the files did not have, say: in `end`."""
        self._notes = {"message": message, "notes": notes}

    def describe(self, **keys: str) -> None:
        """More of what is held: format, dtype, version, revision. What is known already stays."""
        self._described = {**keys, **self._described}

    def holds(self, obj: T) -> T:
        """Says that `obj` is (part of) the loaded model, and returns it: the model is held until the last such object
        is finalised. An object that takes no weak reference is held until `unloaded(model)` or the process's end.
        """
        with contextlib.suppress(Exception):
            finaliser = weakref.finalize(obj, self._let_go)
            finaliser.atexit = False
            self._held_objects = (self._held_objects or 0) + 1
        return obj

    def end(self, error: BaseException | None) -> None:
        """Tells the outcome: loaded without an error, else cancelled or failed with the reason that the error has."""
        self.over = True
        now = self._meter.read()
        self._meter.close()
        if os.getpid() != self._pid:
            return
        self._restore_parent()
        event = stamp("end")
        event.update(self._peaks(*now[1:]))
        if error is None:
            event["outcome"] = "loaded"
            event.update(self._notes)
        else:
            event.update(_outcome_of(error, self.path))
        if event["outcome"] == "failed":
            state.failed(self, event["reason"], event["message"])
        else:
            state.loaded(self)
        self._tell(event)
        # 0: the service threw away all that it said the model is, before the load was over.
        if error is None and self._held_objects != 0:
            holder.hold(self.model, self._details(*now))
        if self._file is not None:
            self._file.close()

    def begin_stage(self, name: str, began: dict[str, Any] | None = None) -> None:
        """A stage begins; `stage` does it for a `with`. began: as for `begin`."""
        self.open_stages.append(name)
        self._tell({**stamp("stage_begin"), **(began or {}), "stage": name})

    def end_stage(self, name: str, *, failed: bool) -> None:
        """A stage ends, with the memory that the process has now."""
        with contextlib.suppress(ValueError):
            self.open_stages.remove(name)
        _, rss, anonymous = self._meter.read()
        event = {**stamp("stage_end"), "stage": name, "rss": rss, "anonymous": anonymous}
        if failed:
            event["failed"] = True
        self._tell(event)

    def _tell(self, event: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(event)

    def _peaks(self, rss: int | None, anonymous: int | None) -> dict[str, int | None]:
        """Peak resident size where this load made it: the kernel's high-water mark counts only if it rose."""
        highest = memory.highest_resident()
        risen = highest is not None and self._highest is not None and highest > self._highest
        return {"peak_rss": highest if risen else rss, "peak_anonymous": anonymous}

    def _details(self, space: int | None, _rss: int | None, anonymous: int | None) -> dict[str, Any]:
        # Reading what is mapped costs as much as the rest of a load. A process that is no larger has mapped nothing.
        grown = space is None or self._space is None or space > self._space
        gpu = memory.gpu_allocated()
        return {
            "attempt": self.id,
            "target": self.target,
            "path": self.path,
            "repo": self.repo,
            "anonymous": max(0, (anonymous or 0) - (self._anonymous or 0)),
            "mapped": memory.mapped_files(self.path) if grown else [],
            "runtime": runtime(),
            **self._described,
            "gpu": [[index, max(0, size - self._gpu.get(index, 0))] for index, size in gpu.items()],
        }

    def _let_go(self) -> None:
        self._held_objects = (self._held_objects or 0) - 1
        if self._held_objects <= 0 and os.getpid() == self._pid:
            holder.note_finalised(self.model, self.id)

    def _export_parent(self) -> None:
        self._parent_outside = _exporting[-1]._parent_outside if _exporting else os.environ.get(PARENT)
        _exporting.append(self)
        os.environ[PARENT] = self.id

    def _restore_parent(self) -> None:
        """Loads of several threads end in any order: the variable then names one that is still open, or none."""
        with contextlib.suppress(ValueError):
            _exporting.remove(self)
        if os.environ.get(PARENT) != self.id:
            return
        parent = _exporting[-1].id if _exporting else self._parent_outside
        if parent is None:
            del os.environ[PARENT]
        else:
            os.environ[PARENT] = parent


_exporting: list[Load] = []
"""The open loads of this process, in the order in which they began."""


class Stage:
    """One stage of a load, for a `with`."""

    __slots__ = ("_around", "_load", "_name")

    def __init__(self, load: Load, name: str) -> None:
        self._load, self._name = load, name
        self._around: tuple[str, str] | None = None

    def __enter__(self) -> None:
        self._around = _innermost.get()
        _innermost.set((self._load.id, self._name))
        self._load.begin_stage(self._name)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        _innermost.set(self._around)
        self._load.end_stage(self._name, failed=kind is not None)


class NestedLoad:
    """A load at or below the path of an open one: a stage of that one, and its own stages are that one's too."""

    def __init__(self, outer: Load, stage: str = "other") -> None:
        self._outer = outer
        self._name = stage
        self._stage: Stage | None = None

    @property
    def witnessed(self) -> bool:
        """As the outer load has it."""
        return self._outer.witnessed

    def begin(self) -> None:
        """Begins a stage of the outer load, unless it has no name or that is at a stage of this name here already."""
        if self._name and (self._name == "other" or _innermost.get() != (self._outer.id, self._name)):
            self._stage = self._outer.stage(self._name)
            self._stage.__enter__()

    def stage(self, name: str) -> Stage:
        """One stage, told as the outer load's."""
        return self._outer.stage(name)

    @property
    def told_below(self) -> bool:
        """As the outer load has it."""
        return self._outer.told_below

    @told_below.setter
    def told_below(self, told: bool) -> None:
        self._outer.told_below = told

    def holds(self, obj: T) -> T:
        """As the outer load does."""
        return self._outer.holds(obj)

    def note(self, message: str, **notes: Any) -> None:
        """As the outer load does."""
        self._outer.note(message, **notes)

    def describe(self, **keys: str) -> None:
        """As the outer load does: of several parts, the first says what the whole is."""
        self._outer.describe(**keys)

    def end(self, error: BaseException | None) -> None:
        """Ends the stage; whether the outer load fails is for the outer load to say."""
        if self._stage is not None:
            self._stage.__exit__(type(error) if error else None, error, None)


def _outcome_of(error: BaseException, path: str | None) -> dict[str, str]:
    """Outcome, reason and message of a load that an exception ended."""
    try:
        # Here and not above: a load that succeeds never pays for it.
        from model_load_exporter.classify.exceptions import classify_exception, is_cancellation

        if is_cancellation(error):
            return {"outcome": "cancelled"}
        found = classify_exception(error, path)
        return {"outcome": "failed", "reason": found.reason, "message": found.message}
    except BaseException:  # out of memory, say: the load's own error must go on, and its failure be told
        return {"outcome": "failed", "reason": "unknown", "message": type(error).__name__}


def _absolute(path: str | None) -> str | None:
    """As it is where this process's own folder is gone."""
    with contextlib.suppress(OSError):
        return os.path.abspath(path) if path else None
    return path


def _group() -> str | None:
    """The ranks of one torchrun start are one group; an elastic restart of them is a new load."""
    run = os.environ.get("TORCHELASTIC_RUN_ID")
    return f"{run}.{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}" if run else None


def _warn_once(error: Exception) -> None:
    global _warned
    if not _warned:
        _warned = True
        log.warning("model loads of this process are not witnessed: %s", error)
