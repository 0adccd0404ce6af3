"""Where the files of all models stand, kept over restarts by the ledger."""

import threading
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import asdict, replace

from model_load_exporter.config import Model
from model_load_exporter.ledger import Ledger
from model_load_exporter.verification.finding import Finding
from model_load_exporter.verification.standing import Change, FileStanding, from_json

_FACT = "files:"


class FileStandings:
    """The standing of every model whose files are verified. The recorder's thread writes, others read under `lock`."""

    def __init__(self, ledger: Ledger) -> None:
        self.lock = threading.Lock()
        self._ledger = ledger
        self._standings: dict[str, FileStanding] = {}
        self._running: Counter[str] = Counter()
        self._stuck: set[str] = set()
        self._version = 0

    def version(self) -> Hashable:
        """Another value with each change."""
        with self.lock:
            return self._version

    def configure(self, models: Mapping[str, Model]) -> None:
        """The models that are verified now; their standing comes back from the ledger. On the recorder's thread.

        Of one that leaves, the ledger keeps counters and verdict: folders of models come and go for years.
        """
        found = {}
        for name, model in models.items():
            standing = self._standings.get(name) or self._restore(name)
            if standing.path != model.path:
                standing = FileStanding(
                    path=model.path or "", reasons=standing.reasons, changed=standing.changed,
                    changes=standing.changes, errors=standing.errors,
                )  # fmt: skip
            found[name] = standing
        for name in self._standings.keys() - found.keys():
            left = replace(
                self._standings[name], files={}, rotten={}, events=[], stamp="", outside=[], inside=[], verified=None
            )
            self._ledger.put_fact(_FACT + name, asdict(left))
        with self.lock:
            self._standings = found
            self._version += 1

    def get(self, name: str) -> FileStanding | None:
        """A copy of one model's standing; None for a model that is not verified."""
        with self.lock:
            standing = self._standings.get(name)
            return replace(standing) if standing is not None else None

    def running(self, name: str) -> bool:
        """True while the model's files are being verified."""
        with self.lock:
            return self._running[name] > 0

    def stuck(self, name: str) -> bool:
        """True while a read of the model's files hangs, and no other is tried."""
        with self.lock:
            return name in self._stuck

    def began(self, name: str) -> None:
        """A verification of the model is under way: a look, or a read of its contents, or both."""
        with self.lock:
            self._running[name] += 1
            self._version += 1

    def ended(self, name: str) -> None:
        """One of them is over."""
        with self.lock:
            self._running[name] -= 1
            self._version += 1

    def mark_stuck(self, name: str, *, stuck: bool) -> None:
        """Whether a read of the model's files hangs."""
        with self.lock:
            if stuck != (name in self._stuck):
                (self._stuck.add if stuck else self._stuck.discard)(name)
                self._version += 1

    def record(self, name: str, finding: Finding, now: float, *, reads: bool) -> tuple[FileStanding, Change | None]:
        """Takes a verdict and hands it to the ledger. On the recorder's thread. Raises KeyError: the model has left."""
        with self.lock:
            standing = self._standings[name]
            change = standing.take(finding, now, reads=reads)
            self._version += 1
            self._ledger.put_fact(_FACT + name, asdict(standing))
            return replace(standing), change

    def fail(self, name: str, cause: str, message: str) -> None:
        """Counts a verification without a verdict. On the recorder's thread."""
        with self.lock:
            standing = self._standings.get(name)
            if standing is None:
                return
            standing.errors[cause] = standing.errors.get(cause, 0) + 1
            standing.error = message
            self._version += 1
            self._ledger.put_fact(_FACT + name, asdict(standing))

    def _restore(self, name: str) -> FileStanding:
        fact = self._ledger.fact(_FACT + name)
        try:
            return from_json(fact) if isinstance(fact, dict) else FileStanding()
        except (TypeError, KeyError, ValueError, AttributeError):
            # Written by another version: the files are seen for the first time again.
            return FileStanding()
