"""What the journals in a spool say of one service, for the side process: a State as the service itself would give it.

Nothing is written, judged or deleted: that is the daemon's work. A file that it deletes stays readable here to its end.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field

from model_load_exporter.attempt import Begin, LoadAttempt
from model_load_exporter.health import kin
from model_load_exporter.health.state import Failure, Held, Loading, State
from model_load_exporter.holding import Hold, Holding
from model_load_exporter.journal.format import ID, JournalError
from model_load_exporter.journal.line import SUFFIX
from model_load_exporter.journal.process import boot_id, pid_namespace
from model_load_exporter.journal.tail import Tail

_KEEP_FAILURES = 900.0
"""Seconds for which a failed load is told after its process has ended, unless a later one succeeds."""
_CLOCK_STEP = 2.0
"""Seconds by which a journal may seem older than the process that wrote it."""


@dataclass(slots=True)
class Watcher:
    """Follows the files of one service.

    service: its pid; its files are those of this process and of all below it. target: with one, the files with that
    target of all processes below `server` too, which the workers of one server have in common; 0: there is none.
    """

    folder: str
    service: int
    target: str = ""
    server: int = 0
    _files: dict[str, Tail] = field(default_factory=dict)
    _others: dict[str, int] = field(default_factory=dict)
    _failures: dict[str, tuple[Failure, int, int | None]] = field(default_factory=dict)
    _born: dict[str, int] = field(default_factory=dict)

    def update(self) -> None:
        """Reads what is new. Raises OSError where the spool cannot be read."""
        with os.scandir(self.folder) as entries:
            found = {entry.name: entry.inode() for entry in entries if entry.name.endswith(SUFFIX)}
        self._others = {name: inode for name, inode in self._others.items() if found.get(name) == inode}
        for name, inode in found.items():
            if name not in self._files and self._others.get(name) != inode:
                self._open(name, inode)
        for name in list(self._files):
            self._read(name)

    def state(self) -> State:
        """As it was at the last update."""
        now = time.time()
        open_, holds = [], dict[str, list[tuple[Holding, Hold]]]()
        for tail in self._files.values():
            attempt, holding = tail.attempt, tail.holding
            if attempt is not None and attempt.open:
                open_.append(Loading(attempt.begin.model, attempt.stage, max(0.0, now - attempt.begin.time)))
            elif holding is not None and not holding.exited:
                for model, hold in holding.held.items():
                    holds.setdefault(model, []).append((holding, hold))
        busy = {one.model for one in open_} | set(holds)
        failures = tuple(
            one
            for one, pid, born in self._failures.values()
            if one.model not in busy
            and (one.time > now - _KEEP_FAILURES or (born is not None and kin.born(pid) == born))
        )
        held = tuple(_held(model, rows) for model, rows in holds.items())
        return State(tuple(sorted(open_, key=lambda one: -one.elapsed)), held, failures, witnessed=True)

    def _open(self, name: str, inode: int) -> None:
        if not ID.match(name.removesuffix(SUFFIX)):
            self._others[name] = inode
            return
        try:
            tail = Tail(self.folder, name)
        except FileNotFoundError:
            return
        except (OSError, JournalError):
            self._others[name] = inode
            return
        with contextlib.suppress(OSError):
            tail.read()
        if self._ours(tail):
            self._files[name] = tail
        else:
            tail.close()
            self._others[name] = inode

    def _ours(self, tail: Tail) -> bool:
        first = _first(tail)
        # A pid says who it is only in its own namespace: in every pod the first process is 1.
        if first is None or first.pid_namespace is None or first.pid_namespace != pid_namespace():
            return False
        if first.boot_id not in ("", boot_id()):
            return False
        born = kin.born(first.pid)
        # Written before the process began: by an earlier one, whose pid, and in a container namespace, it has now.
        if born is None or first.time < kin.began(born) - _CLOCK_STEP:
            return False
        self._born[tail.name] = born
        if kin.descends(first.pid, self.service):
            return True
        return (
            bool(self.target) and first.target == self.target and kin.descends(first.pid, self.server or self.service)
        )

    def _read(self, name: str) -> None:
        tail = self._files[name]
        try:
            # A child forked by the dead writer keeps the file locked.
            released = tail.released() or not self._lives(tail)
            tail.read()
        except OSError:
            released = True
        if not released:
            return
        if tail.attempt is not None:
            self._ended(tail.attempt, self._born.get(name))
        tail.close()
        del self._files[name]
        self._born.pop(name, None)
        with contextlib.suppress(OSError):
            self._others[name] = os.lstat(f"{self.folder}/{name}").st_ino

    def _lives(self, tail: Tail) -> bool:
        first = _first(tail)
        return first is not None and kin.born(first.pid) == self._born.get(tail.name)

    def _ended(self, attempt: LoadAttempt, born: int | None) -> None:
        model, pid = attempt.begin.model, attempt.begin.pid
        if attempt.outcome == "loaded":
            self._failures.pop(model, None)
        elif attempt.outcome == "failed":
            reason = attempt.reason or "unknown"
            failure = Failure(model, reason, attempt.message, attempt.ended or time.time())
            self._failures[model] = failure, pid, born
        elif attempt.outcome is None:
            stage = f" at stage {attempt.stage}" if attempt.stage else ""
            message = f"the loading process ended{stage} and did not say why; the exporter's status page does"
            self._failures[model] = Failure(model, "process_died", message, time.time()), pid, born


def _first(tail: Tail) -> Begin | Hold | None:
    if tail.attempt is not None and tail.attempt.begin.kind == "service":
        return tail.attempt.begin
    return tail.holding.first if tail.holding is not None else None


def _held(model: str, rows: list[tuple[Holding, Hold]]) -> Held:
    files = {name: size for _, hold in rows for name, size in hold.mapped}
    served = [holding.inferences[model] for holding, _ in rows if model in holding.inferences]
    hold = rows[-1][1]
    return Held(
        model=model,
        kind=hold.format,
        memory=sum(hold.anonymous for _, hold in rows) + sum(files.values()),
        inferences=sum(one.count for one in served),
        last_inference=max((one.time for one in served), default=None),
        fallback=hold.fallback or None,
    )
