"""The process's holder file: which models it holds now and how they serve, told for as long as it lives.

One file for all models of the process, made when the first is held. A forked child starts without one: the models in
its memory are its parent's, told once by the parent's file. Health addresses know them; a file of the child's own tells
of one from the first inference on.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
from collections import deque

from model_load_exporter.instrument.served import Served
from model_load_exporter.journal.line import VERSION
from model_load_exporter.journal.process import identity, runtime
from model_load_exporter.journal.spool import SpoolError, find_spool
from model_load_exporter.journal.writer import JournalFile, stamp

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    from typing import Any

ROTATE_AT = 64 * 1024
"""Bytes after which the holder file goes on in a new one: it lives as long as the process does."""

TELL_SECONDS = 1.0
"""At most one line about a model's inferences in this time."""

_PARENTS_OWN = frozenset(("anonymous", "gpu", "since"))
"""Not told of a model that was loaded before the fork: its pages are shared, and counted with the parent's."""


class Holder:
    """The models that this process holds, and the file that says so."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._file: JournalFile | None = None
        self._held: dict[str, dict[str, Any]] = {}
        self._inherited: dict[str, dict[str, Any]] = {}
        self._inherited_told = False
        self._served: dict[str, Served] = {}
        self._timer: threading.Timer | None = None
        # A finaliser may run inside any line of any thread, this class's own included: it only leaves a note here.
        self._finalised: deque[tuple[str, str]] = deque()

    def hold(self, model: str, details: dict[str, Any]) -> bool:
        """The process holds `model` from now on; replaces an earlier hold of it. False where it cannot be told."""
        with self._lock:
            self._release_finalised()
            self._inherited.pop(model, None)
            return self._hold(model, details)

    def unhold(self, model: str, token: str | None = None) -> None:
        """The process let `model` go. With a token, only if the hold is still the one that carries it."""
        with self._lock:
            self._release_finalised()
            self._unhold(model, token)

    def infer(self, model: str, seconds: float, *, failed: bool) -> None:
        """An inference of `model` took so long. A model that nobody said is held, is from now on: it serves."""
        with self._lock:
            self._release_finalised()
            if model not in self._held:
                target = os.environ.get("MODEL_LOAD_EXPORTER_TARGET", "")
                parents = self._inherited.get(model, {})
                shared = {key: value for key, value in parents.items() if key not in _PARENTS_OWN}
                self._hold(model, {"target": target, "runtime": runtime(), **shared})
            served = self._served.setdefault(model, Served())
            served.add(seconds, failed=failed)
            if served.told + TELL_SECONDS <= time.monotonic():
                self._tell_served(model, served)
            elif self._timer is None:
                self._timer = threading.Timer(TELL_SECONDS, self._tell_late)
                self._timer.daemon = True
                self._timer.start()

    def models(self) -> list[str]:
        """The models that are held, those from before a fork too."""
        with self._lock:
            self._release_finalised()
            return list(self._inherited | self._held)

    def details(self, model: str) -> dict[str, Any]:
        """What was told of a model when it was held; empty for one that is not."""
        with self._lock:
            return self._inherited.get(model, {}) | self._held.get(model, {})

    def served(self, model: str) -> tuple[int, float | None]:
        """(inferences of this process, unix time of the last)."""
        with self._lock:
            served = self._served.get(model)
            return (served.total, served.last) if served is not None else (0, None)

    @property
    def witnessed(self) -> bool:
        """True while a journal takes what is told here, or has it from the parent."""
        if self._file is None and not self._held:
            return self._inherited_told
        return self._file is not None and self._file.open

    def note_finalised(self, model: str, token: str) -> None:
        """For finalisers: lets `model` go now if nobody is at work here, else with the next call."""
        self._finalised.append((model, token))
        if self._lock.acquire(blocking=False):
            try:
                self._release_finalised()
            finally:
                self._lock.release()

    def exit(self) -> None:
        """The process ends in good order."""
        with self._lock:
            if self._file is not None:
                self._tell_all_served()
                self._file.write(stamp("exit"))
                self._file.close()
                self._file = None

    def forget(self) -> None:
        """Knows nothing, as at the start."""
        self.__init__()  # type: ignore[misc]  # a fresh lock too: the parent's may have been held by another thread

    def inherit(self) -> None:
        """In a forked child: what the parent held is in this memory too, though the file that tells it is not ours."""
        models = {model: self._inherited.get(model, {}) | held for model, held in self._held.items()}
        inherited, finalised = self._inherited | models, self._finalised
        # Not by `witnessed`: the writer has closed the parent's file here already.
        told = self._file is not None or (self._inherited_told and not self._held)
        self.forget()
        self._inherited, self._finalised, self._inherited_told = inherited, finalised, told

    def _hold(self, model: str, details: dict[str, Any]) -> bool:
        details.setdefault("since", round(time.time(), 3))
        self._held[model] = details
        return self._tell({**stamp("hold"), **identity(), "model": model, **details})

    def _release_finalised(self) -> None:
        while self._finalised:
            self._unhold(*self._finalised.popleft())

    def _unhold(self, model: str, token: str | None) -> None:
        if token is None or self._inherited.get(model, {}).get("attempt") == token:
            self._inherited.pop(model, None)
        held = self._held.get(model)
        if held is None or (token is not None and held.get("attempt") != token):
            return
        del self._held[model]
        if self._file is not None:
            self._tell_all_served()
            self._file.write({**stamp("unhold"), "model": model})

    def _tell(self, event: dict[str, Any]) -> bool:
        try:
            if self._file is None:
                self._file = self._new_file()
                self._exit_with_multiprocessing()
                return True
            if self._file.written > ROTATE_AT:
                with contextlib.suppress(OSError, ValueError, SpoolError):
                    self._rotate(self._file)
                    return True
            return self._file.write({**event, "v": VERSION, "id": self._file.id})
        except (OSError, ValueError, SpoolError):
            return False

    def _tell_served(self, model: str, served: Served) -> None:
        """How often the model served since the file began."""
        served.told = time.monotonic()
        if self._file is None:
            return
        try:
            if self._file.written > ROTATE_AT:
                self._rotate(self._file)
        except (OSError, ValueError, SpoolError):
            pass  # on in the old one
        if served.untold:
            served.untold = not self._file.write({**stamp("inference"), "model": model, **served.counts()})

    def _tell_all_served(self) -> None:
        for model, served in self._served.items():
            if served.untold and self._file is not None:
                served.untold = not self._file.write({**stamp("inference"), "model": model, **served.counts()})

    def _tell_late(self) -> None:
        """What came too soon after the last line, and was the last for now."""
        with self._lock:
            self._timer = None
            self._tell_all_served()

    def _new_file(self, **keys: str) -> JournalFile:
        """A file that tells all that is held: what was held before there was a spool too."""
        events = [
            {**stamp("hold"), **identity(), "v": VERSION, "model": model, **details, **keys}
            for model, details in self._held.items()
        ]
        new = JournalFile.create(find_spool(), events[0], _new_id())
        for event in events[1:]:
            new.write({**event, "id": new.id})
        return new

    def _rotate(self, old: JournalFile) -> None:
        """Goes on in a new file, which is there before the old one says so: at no time does nothing hold."""
        new = self._new_file(replaces=old.id)
        # The old file's last word; a file counts from its own beginning.
        self._tell_all_served()
        for served in self._served.values():
            served.begin_file()
        self._file = new
        old.write({**stamp("exit"), "moved": new.id})
        old.close()

    def _exit_with_multiprocessing(self) -> None:
        """A forked worker of multiprocessing ends by os._exit, past atexit: its own finalisers are the place."""
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            util.Finalize(None, self.exit, exitpriority=-100)


def _new_id() -> str:
    return f"h-{os.urandom(16).hex()}"


holder = Holder()
"""This process's holder."""

atexit.register(holder.exit)
os.register_at_fork(after_in_child=holder.inherit)
