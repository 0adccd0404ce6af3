"""The recorder: one thread that reads the spool, asks the witness, and writes the ledger.

Everything that may wait for a disk happens here, never on the event loop that answers scrapes. A journal file is
deleted only when its end is in the ledger.
"""

import contextlib
import logging
import os
import select
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from model_load_exporter.attempt import Death, LoadAttempt, Wait
from model_load_exporter.holding import Holding
from model_load_exporter.journal.fault import forget_fault
from model_load_exporter.journal.leftovers import tidy
from model_load_exporter.journal.reader import SWEEP_SECONDS, SpoolReader
from model_load_exporter.journal.tail import Tail
from model_load_exporter.ledger import Ledger
from model_load_exporter.live import LiveWriter
from model_load_exporter.loads import Loads
from model_load_exporter.oom_count import OomCount
from model_load_exporter.sightings import Case, Sightings
from model_load_exporter.witness.evidence import Verdict
from model_load_exporter.witness.witness import LOST, Witness

logger = logging.getLogger(__name__)

STALLED_SECONDS = 5.0
"""A load that did not move for so long is asked what it waits for; its answer goes into the history."""

_SAMPLE_SECONDS = 1.0
_PRUNE_SECONDS = 3600.0
_CASE_SECONDS = 0.002
_RETRY_SECONDS = 1.0
_LOG_SECONDS = 60.0


class Recorder(threading.Thread):
    """Owns the reader and all writing to the ledger. `submit` hands it work from other threads."""

    def __init__(
        self, folder: str, loads: Loads, ledger: Ledger, witness: Witness, procfs: str, last_alive: float
    ) -> None:
        """last_alive: unix time at which an earlier daemon last looked; deaths since then are dated by it."""
        super().__init__(name="recorder", daemon=True)
        self.loads = loads
        self.ledger = ledger
        self.witness = witness
        self.evidence = witness.available()
        self.problems: Counter[str] = Counter()
        self.oom = OomCount(ledger)
        self.caught_up = threading.Event()
        self.ledger_writable = True
        self.adopted: set[str] = set()
        self._last_alive = last_alive
        self._reader = SpoolReader(folder, self)
        self._sightings = Sightings(witness, procfs, folder)
        self._finished: list[str] = []
        self._ended_later: list[LoadAttempt] = []
        self._calls: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._next_sweep = self._next_sample = self._next_prune = self._next_flush = 0.0
        self._logged: dict[str, float] = {}
        self._beats: int | None = None

    # -- for other threads --------------------------------------------------------------------------------------

    @property
    def events_total(self) -> int:
        """Journal events taken since the start."""
        return self._reader.events_total

    @property
    def spool_bytes(self) -> int:
        """Bytes of all files in the spool at the last sweep."""
        return self._reader.spool_bytes

    def writers(self) -> list[LiveWriter]:
        """The processes that load or hold models now."""
        pids = self._sightings.pids()
        with self.loads.lock:
            files = [(file_id, load.key) for file_id, load in self.loads.open.items()]
            files += [(file_id, held.key) for file_id, rows in self.loads.held.items() for held in rows]
        return [LiveWriter(*key, *pids[file_id]) for file_id, key in files if file_id in pids]

    def submit(self, call: Callable[[], None]) -> None:
        """Runs `call` on the recorder's thread, soon; the ledger is flushed after it."""
        self._calls.append(call)
        self._wake()

    def stop(self) -> None:
        """Ends the thread after what is at hand is written."""
        self._stopping = True
        self._wake()
        self.join(timeout=10)

    def beat_on(self, lock_fd: int) -> None:
        """Marks this file's time while running: a later daemon learns how long nobody looked."""
        self._beats = lock_fd

    def forget_file(self, file_id: str) -> None:
        """For work handed to `submit`: the journal file goes once the ledger is written."""
        self._finished.append(file_id)

    # -- the thread ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Reads and records until `stop`. An error of one round is logged and the next one goes on."""
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        if self._reader.watching:
            poll.register(self._reader.fileno(), select.POLLIN)
        if self.witness.kernel_log is not None:
            poll.register(self.witness.kernel_log.fileno(), select.POLLIN)
        while not self._stopping:
            try:
                self._round()
            except Exception:  # one bad round must not end the witness
                self._log_seldom("round", "an error in the recorder; it goes on")
                logger.debug("recorder", exc_info=True)
            poll.poll(self._timeout() * 1000)
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
        self._round()
        self._reader.close()
        self._sightings.close()
        self.witness.close()
        self.ledger.close()

    def _round(self) -> None:
        now = time.monotonic()
        while self._calls:
            self._calls.popleft()()
        self._reader.process()
        if now >= self._next_sweep:
            self._sweep(now)
        self.oom.read(self.witness.kernel_log)
        self._decide()
        if self.loads.open and now >= self._next_sample:
            self._next_sample = now + _SAMPLE_SECONDS
            for attempt_id in list(self.loads.open):
                self._look_at(attempt_id)
        self._flush(now)
        if not self._sightings.undecided:
            self.caught_up.set()

    def _sweep(self, now: float) -> None:
        first = self._next_sweep == 0.0
        self._next_sweep = now + (SWEEP_SECONDS if self._reader.watching else 1.0)
        self._reader.sweep()
        if first:
            self._close_orphans()
        if self._beats is not None:
            with contextlib.suppress(OSError):
                os.utime(self._beats)
        with self.loads.lock:
            self.loads.tidy()
        if now >= self._next_prune:
            self._next_prune = now + _PRUNE_SECONDS
            tidy(self._reader.folder)
            with contextlib.suppress(sqlite3.Error):
                self.ledger.prune()

    def _close_orphans(self) -> None:
        """Attempts that the ledger has as open and whose journal is gone: nobody will ever tell their end."""
        for row in self.ledger.unfinished():
            if row.outcome is None and row.id not in self.loads.open:
                row.outcome = "lost"
                self.ledger.put_row(row)
                self.problem("lost", f"the journal of the open attempt {row.id} of {row.model} is gone")

    def _timeout(self) -> float:
        now = time.monotonic()
        times = [self._next_sweep]
        if self.loads.open:
            times.append(self._next_sample)
        if (again := self._reader.next_recheck()) is not None:
            times.append(again)
        if self._sightings.undecided:
            times.append(now + _CASE_SECONDS)
        if self.ledger.dirty:
            times.append(self._next_flush)
        return max(0.0, min(times) - now) if not self._calls else 0.0

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"w")

    # -- what the reader tells ----------------------------------------------------------------------------------

    def begun(self, attempt: LoadAttempt, tail: Tail) -> None:
        """An attempt was seen for the first time."""
        begin = attempt.begin
        if begin.kind != "service":
            return
        row = self.ledger.row(begin.id)
        if attempt.open and (row is None or row.outcome is None):
            self._sightings.attach(tail, attempt)
        with self.loads.lock:
            known = self.loads.begin(attempt, row) is None
        if known:
            self._finished.append(begin.id)
        elif attempt.open:
            self._look_at(begin.id)

    def progressed(self, attempt: LoadAttempt) -> None:
        """A stage began or ended."""
        with self.loads.lock:
            self.loads.progress(attempt)

    def ended(self, attempt: LoadAttempt) -> None:
        """The process told the end of its load."""
        if attempt.begin.kind != "service":
            self._canary_over(attempt)
            return
        if self._death_before(attempt.id):
            # Another rank or worker of the same load died first: its reason is the load's, once it is known.
            self._ended_later.append(attempt)
        else:
            self._end(attempt)

    def abandoned(self, attempt: LoadAttempt) -> None:
        """The journal was let go without an end: the witness is asked."""
        if attempt.begin.kind != "service":
            self._canary_over(attempt)
        elif attempt.id not in self.loads.open or not self._sightings.died(attempt.id, attempt):
            self._finished.append(attempt.id)

    def held(self, holding: Holding, tail: Tail) -> None:
        """A process was first seen to hold models."""
        self._sightings.attach(tail, holding)

    def holding_changed(self, holding: Holding) -> None:
        """A process took or let go a model."""
        with self.loads.lock:
            if not holding.exited:
                self.loads.hold(holding)
            self.loads.infer(holding)
            if holding.exited:
                self.loads.release(holding)

    def holding_over(self, holding: Holding) -> None:
        """A holder file was closed."""
        if holding.exited or not holding.held:
            with self.loads.lock:
                self.loads.release(holding)
            self._let_go(holding.first.id)
        else:
            self._sightings.died(holding.first.id, holding)

    def problem(self, cause: str, message: str) -> None:
        """A line or a file could not be taken."""
        self.problems[cause] += 1
        self._log_seldom(cause, "journal: %s", message)

    # -- below --------------------------------------------------------------------------------------------------

    def _let_go(self, file_id: str) -> None:
        self._finished.append(file_id)
        self._sightings.let_go(file_id)

    def _canary_over(self, attempt: LoadAttempt) -> None:
        """A canary's parent records it; one whose parent is gone counts as nothing."""
        if attempt.id not in self.adopted:
            self._finished.append(attempt.id)

    def _end(self, attempt: LoadAttempt) -> None:
        with self.loads.lock:
            self.loads.end(attempt)
        self._let_go(attempt.id)

    def _death_before(self, attempt_id: str) -> bool:
        """True while an earlier death of the same load waits for its verdict."""
        load = self.loads.open.get(attempt_id)
        if load is None:
            return False
        for case_id in self._sightings.undecided_files():
            if case_id == attempt_id:
                return False
            other = self.loads.open.get(case_id)
            if other is not None and other.load_id == load.load_id:
                return True
        return False

    def _decide(self) -> None:
        for case, verdict in self._sightings.verdicts():
            if self._death_before(case.file_id):
                continue
            if verdict is LOST:
                self._lost(case)
            elif isinstance(case.subject, LoadAttempt):
                self._load_died(case, case.subject, verdict)
            else:
                self._holder_died(case, case.subject, verdict)
            self._let_go(case.file_id)
        waiting, self._ended_later = self._ended_later, []
        for attempt in waiting:
            self.ended(attempt)

    def _lost(self, case: Case) -> None:
        self.problem("lost", f"{case.file_id}: {LOST.message}")
        with self.loads.lock:
            if isinstance(case.subject, LoadAttempt):
                self.loads.lose(case.subject)
            else:
                self.loads.release(case.subject)

    def _load_died(self, case: Case, attempt: LoadAttempt, verdict: Verdict) -> None:
        death = self._death(case, attempt.begin.time, verdict)
        with self.loads.lock:
            self.loads.die(attempt, death)
        logger.warning(
            "a load of %s died at stage %s: %s (%s)",
            attempt.begin.model, attempt.stage, verdict.reason, verdict.message,
        )  # fmt: skip

    def _holder_died(self, case: Case, holding: Holding, verdict: Verdict) -> None:
        death = self._death(case, holding.first.time, verdict)
        known = self.ledger.death_known(case.file_id)
        with self.loads.lock:
            self.loads.holder_died(holding, death, known=known)
        logger.warning(
            "a process that held %s ended: %s (%s)", ", ".join(holding.held), verdict.reason, verdict.message
        )

    def _death(self, case: Case, last_sign: float, verdict: Verdict) -> Death:
        """A death that happened while no daemon ran is dated by when one last looked, not by now."""
        unseen = case.late and not self.caught_up.is_set()
        when = max(self._last_alive, last_sign) if unseen else time.time()
        return Death(when, verdict.reason, verdict.message, verdict.confidence, verdict.evidence)

    def _look_at(self, attempt_id: str) -> None:
        """One look at a loading process from outside: its memory, and whether it moved since the last look."""
        load, seen = self.loads.open.get(attempt_id), self._sightings.look(attempt_id)
        if load is None or seen is None:
            return
        found, moved = seen
        with self.loads.lock:
            load.attempt.observe_memory(found.rss, found.anonymous)
            if moved:
                load.progress_time = time.time()
            stalled = time.time() - load.progress_time
        if stalled > STALLED_SECONDS and (waiting := self._sightings.waiting(attempt_id)) is not None:
            wait = Wait(load.progress_time, time.time(), load.attempt.stage, waiting.kind, waiting.text())
            with self.loads.lock:
                self.loads.waits(load.attempt, wait)

    def _flush(self, now: float) -> None:
        if now < self._next_flush:
            return
        try:
            self.ledger.flush()
        except sqlite3.Error as error:
            self.ledger_writable = False
            self._next_flush = now + _RETRY_SECONDS
            self._log_seldom("ledger", "cannot write %s: %s; journals are kept until it can", self.ledger.path, error)
            return
        self.ledger_writable = True
        finished, self._finished = self._finished, []
        for file_id in finished:
            self._reader.delete(file_id)
            forget_fault(self._reader.folder, file_id)
            self.adopted.discard(file_id)

    def _log_seldom(self, topic: str, message: str, *values: object) -> None:
        now = time.monotonic()
        if now - self._logged.get(topic, -_LOG_SECONDS) >= _LOG_SECONDS:
            self._logged[topic] = now
            logger.warning(message, *values)
