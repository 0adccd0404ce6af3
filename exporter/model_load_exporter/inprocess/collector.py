"""ModelLoadCollector: a service's own loads on its own /metrics, for prometheus_client."""

import contextlib
import logging
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.registry import Collector

from model_load_exporter.collectors.holders import HoldersCollector
from model_load_exporter.collectors.inference import InferenceCollector
from model_load_exporter.collectors.loads import LoadsCollector
from model_load_exporter.config import Config
from model_load_exporter.inprocess.keeping import Keeper
from model_load_exporter.inprocess.looking import daemon_ledger, look, workers_ledger
from model_load_exporter.inprocess.turn import FOLDER, Turn, Turns
from model_load_exporter.instrument.track import TARGET
from model_load_exporter.journal.reader import create_spool
from model_load_exporter.journal.spool import SYSTEM_SPOOL, SpoolError, candidates, find_spool, open_spool
from model_load_exporter.ledger import Ledger, LedgerError
from model_load_exporter.loads import Loads
from model_load_exporter.tally import Tally

logger = logging.getLogger("model_load_exporter")

_LIVE = frozenset((
    "model_load_duration_seconds", "model_load_in_progress", "model_load_started_timestamp_seconds",
    "model_load_progress_timestamp_seconds", "model_load_duration_threshold_seconds", "model_memory_threshold_bytes",
    "model_load_pod_info", "model_loaded", "model_memory_usage_bytes", "model_gpu_memory_usage_bytes", "model_info",
))  # fmt: skip
"""What the spool alone tells. The rest is counted, and is left out where the count is a daemon's and not readable."""


class ModelLoadCollector(Collector):
    """The series of one target, from the spool that its workers write: REGISTRY.register(ModelLoadCollector()).

    target: the service; without one, $MODEL_LOAD_EXPORTER_TARGET, else the empty target. spool: its folder, made if
    missing; without one, the one that track_load writes to. Every worker answers the same, whichever is asked. No
    thread is started: all work is done when the metrics are asked for. A fault costs these series only.
    """

    def __init__(self, target: str | None = None, spool: str | os.PathLike[str] | None = None) -> None:
        self._target = target
        self._spool = os.fspath(spool) if spool is not None else None
        self._lock = threading.Lock()
        self._turns: Turns | None = None
        self._keeper: Keeper | None = None
        self._said = ""
        _collectors.add(self)
        # Now: loads that begin before the first scrape need a spool as well.
        with contextlib.suppress(SpoolError):
            self._folder()

    def describe(self) -> Iterable[Metric]:
        """The families, without samples: registering it touches no spool, and a second one is refused."""
        loads = Loads(Config(), Ledger.in_memory())
        loads.tallies["", ""] = Tally(seen=float("inf"))
        for metric in _families(loads, ""):
            metric.samples.clear()
            yield metric

    def collect(self) -> Iterable[Metric]:
        """The families as they are now; none, and a line in the log, where the spool cannot be used."""
        target = self._target if self._target is not None else os.environ.get(TARGET, "")
        with self._lock:
            try:
                families, counted = self._now(target)
            except (SpoolError, LedgerError, OSError, sqlite3.Error) as error:
                self._say(f"no metrics of model loads: {error}")
                return []
        return [family for family in families if family.samples and (counted or family.name in _LIVE)]

    def _now(self, target: str) -> tuple[list[Metric], bool]:
        """(the families, whether the counts are known)."""
        folder = self._folder()
        if self._turns is None:
            self._turns = Turns(folder)
        with self._turns.take() as turn:
            if turn is Turn.KEEP:
                try:
                    return _families(self._keep(folder), target), True
                except (sqlite3.Error, LedgerError) as error:
                    self._say(f"cannot write the ledger in {folder}/{FOLDER}: {error}; journals are kept until it can")
            ledger = daemon_ledger(folder) if turn is Turn.DAEMON else workers_ledger(f"{folder}/{FOLDER}")
        if ledger is None:
            self._say(
                "a daemon reads the spool and its ledger is not readable here: scrape the daemon for the counters"
            )
        with contextlib.closing(ledger or Ledger.in_memory()) as base:
            return _families(look(folder, base), target), ledger is not None

    def _folder(self) -> str:
        """The spool, made where there is none yet. Raises SpoolError."""
        if self._spool is not None:
            try:
                return open_spool(self._spool).folder
            except SpoolError:
                create_spool(self._spool)
                return self._spool
        try:
            return find_spool().folder
        except SpoolError:
            # The system's is for a daemon to make: every service of the host would write to it.
            folder = next(folder for folder in candidates() if folder != SYSTEM_SPOOL)
            create_spool(folder)
            return folder

    def _say(self, message: str) -> None:
        if message != self._said:
            self._said = message
            logger.warning("%s", message)

    def _keep(self, folder: str) -> Loads:
        if self._keeper is None:
            self._keeper = Keeper(folder, Ledger.open(f"{folder}/{FOLDER}"))
        try:
            return self._keeper.keep()
        except sqlite3.Error:
            # What was counted in this look is not in the ledger: the next one begins with what is.
            keeper, self._keeper = self._keeper, None
            keeper.close()
            keeper.ledger.close()
            raise

    def forked(self) -> None:
        """A forked child begins anew. The parent's locks are let go by closing: unlocking would free them for both."""
        for fd in self._turns.descriptors if self._turns is not None else ():
            with contextlib.suppress(OSError):
                os.close(fd)
        if self._keeper is not None:
            self._keeper.close()
            # SQLite forbids a child to touch, and even to close, its parent's connection.
            _parents.append(self._keeper.ledger)
        self._lock = threading.Lock()
        self._turns = self._keeper = None


_collectors: "weakref.WeakSet[ModelLoadCollector]" = weakref.WeakSet()
_parents: list[Ledger] = []


def _after_fork() -> None:
    for collector in list(_collectors):
        collector.forked()


os.register_at_fork(after_in_child=_after_fork)


def _families(loads: Loads, target: str) -> list[Metric]:
    """Every family of that target, each once, with the samples of all its models."""
    families: dict[str, Metric] = {}
    made = (LoadsCollector(loads), HoldersCollector(loads), InferenceCollector(loads))
    for key in loads.known():
        if key[0] != target:
            continue
        for collector in made:
            for metric in collector.collect_slice(key):
                if metric.name in families:
                    families[metric.name].samples.extend(metric.samples)
                else:
                    families[metric.name] = metric
    return list(families.values())
