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

from model_load_exporter.attempt import Death, LoadAttempt
from model_load_exporter.holding import Holding
from model_load_exporter.journal.reader import SWEEP_SECONDS, SpoolReader
from model_load_exporter.journal.tail import Tail
from model_load_exporter.ledger import Ledger
from model_load_exporter.loads import Loads
from model_load_exporter.witness.evidence import Verdict
from model_load_exporter.witness.kernel_log import Cursor
from model_load_exporter.witness.progress import Sample, sample
from model_load_exporter.witness.witness import LOST, Attachment, Witness
from model_load_exporter.witness.witness import Death as Case

logger = logging.getLogger(__name__)

OOM_FACT = "oom_kills"

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
        self.oom_kills = {
            "host": 0,
            "cgroup": 0,
            **{k: v for k, v in _oom_fact(ledger).items() if k in ("host", "cgroup")},
        }
        self.caught_up = threading.Event()
        self.ledger_writable = True
        self.adopted: set[str] = set()
        self._last_alive = last_alive
        self._procfs = procfs
        self._reader = SpoolReader(folder, self)
        self._attachments: dict[str, Attachment] = {}
        self._samples: dict[str, Sample] = {}
        self._cases: dict[str, tuple[LoadAttempt | Holding, Case]] = {}
        self._finished: list[str] = []
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
        for attachment in self._attachments.values():
            attachment.close()
        self.witness.close()
        self.ledger.close()

    def _round(self) -> None:
        now = time.monotonic()
        while self._calls:
            self._calls.popleft()()
        self._reader.process()
        if now >= self._next_sweep:
            self._sweep(now)
        self._read_kernel_log()
        self._decide()
        if self.loads.open and now >= self._next_sample:
            self._next_sample = now + _SAMPLE_SECONDS
            self._sample()
        self._flush(now)
        if not self._cases:
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
        if self._cases:
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
            self._attach(begin.id, tail, begin.pid, begin.pid_namespace, begin.boot_id, begin.time)
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
        with self.loads.lock:
            self.loads.end(attempt)
        self._let_go(attempt.id)

    def abandoned(self, attempt: LoadAttempt) -> None:
        """The journal was let go without an end: the witness is asked."""
        if attempt.begin.kind != "service":
            self._canary_over(attempt)
        elif attempt.id in self.loads.open:
            self._open_case(attempt.id, attempt)
        else:
            self._finished.append(attempt.id)

    def held(self, holding: Holding, tail: Tail) -> None:
        """A process was first seen to hold models."""
        first = holding.first
        self._attach(first.id, tail, first.pid, first.pid_namespace, first.boot_id, first.time)

    def holding_changed(self, holding: Holding) -> None:
        """A process took or let go a model."""
        with self.loads.lock:
            if holding.exited:
                self.loads.release(holding)
            else:
                self.loads.hold(holding)

    def holding_over(self, holding: Holding) -> None:
        """A holder file was closed."""
        if holding.exited or not holding.held:
            with self.loads.lock:
                self.loads.release(holding)
            self._let_go(holding.first.id)
        else:
            self._open_case(holding.first.id, holding)

    def problem(self, cause: str, message: str) -> None:
        """A line or a file could not be taken."""
        self.problems[cause] += 1
        self._log_seldom(cause, "journal: %s", message)

    # -- below --------------------------------------------------------------------------------------------------

    def _attach(self, file_id: str, tail: Tail, pid: int, namespace: int | None, boot: str, began: float) -> None:
        self._attachments[file_id] = self.witness.attach(
            device=tail.device, inode=tail.inode, pid=pid, namespace=namespace, boot=boot,
            age=max(0.0, time.time() - began),
        )  # fmt: skip

    def _let_go(self, file_id: str) -> None:
        self._finished.append(file_id)
        self._samples.pop(file_id, None)
        attachment = self._attachments.pop(file_id, None)
        if attachment is not None:
            attachment.close()

    def _canary_over(self, attempt: LoadAttempt) -> None:
        """A canary's parent records it; one whose parent is gone counts as nothing."""
        if attempt.id not in self.adopted:
            self._finished.append(attempt.id)

    def _open_case(self, file_id: str, subject: LoadAttempt | Holding) -> None:
        attachment = self._attachments.get(file_id)
        if attachment is not None:
            self._cases[file_id] = (subject, Case(attachment, time.monotonic()))

    def _decide(self) -> None:
        for file_id, (subject, case) in list(self._cases.items()):
            verdict = self.witness.examine(case, time.monotonic())
            if verdict is None:
                continue
            del self._cases[file_id]
            if verdict is LOST:
                self._lost(file_id, subject)
            else:
                self._died(file_id, subject, case, verdict)
            self._let_go(file_id)

    def _lost(self, file_id: str, subject: LoadAttempt | Holding) -> None:
        self.problem("lost", f"{file_id}: {LOST.message}")
        with self.loads.lock:
            if isinstance(subject, LoadAttempt):
                self.loads.lose(subject)
            else:
                self.loads.release(subject)

    def _died(self, file_id: str, subject: LoadAttempt | Holding, case: Case, verdict: Verdict) -> None:
        # A death that happened while no daemon ran is dated by when one last looked, not by now.
        late = case.attachment.process is None
        last_sign = subject.begin.time if isinstance(subject, LoadAttempt) else subject.first.time
        when = max(self._last_alive, last_sign) if late and not self.caught_up.is_set() else time.time()
        death = Death(when, verdict.reason, verdict.message, verdict.confidence, verdict.evidence)
        if isinstance(subject, LoadAttempt):
            with self.loads.lock:
                self.loads.die(subject, death)
            logger.warning(
                "a load of %s died at stage %s: %s (%s)",
                subject.begin.model,
                subject.stage,
                verdict.reason,
                verdict.message,
            )
        else:
            known = self.ledger.death_known(file_id)
            with self.loads.lock:
                self.loads.holder_died(subject, death, known=known)
            logger.warning(
                "a process that held %s ended: %s (%s)", ", ".join(subject.held), verdict.reason, verdict.message
            )

    def _sample(self) -> None:
        for attempt_id in list(self.loads.open):
            self._look_at(attempt_id)

    def _look_at(self, attempt_id: str) -> None:
        """One look at a loading process from outside: its memory, and whether it moved since the last look."""
        load, attachment = self.loads.open.get(attempt_id), self._attachments.get(attempt_id)
        if load is None or attachment is None or attachment.process is None:
            return
        found = sample(attachment.process.pid, self._procfs)
        if found is None:
            return
        before = self._samples.get(attempt_id)
        with self.loads.lock:
            load.attempt.observe_memory(found.rss, found.anonymous)
            if before is None or before.work != found.work:
                load.progress_time = time.time()
        self._samples[attempt_id] = found

    def _read_kernel_log(self) -> None:
        log = self.witness.kernel_log
        if log is None:
            return
        counts = log.read()
        if not any(counts.values()):
            return
        for scope, count in counts.items():
            self.oom_kills[scope] += count
        cursor = log.cursor
        self.ledger.put_fact(OOM_FACT, {**self.oom_kills, "boot_id": cursor.boot_id, "sequence": cursor.sequence})

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
            self.adopted.discard(file_id)

    def _log_seldom(self, topic: str, message: str, *values: object) -> None:
        now = time.monotonic()
        if now - self._logged.get(topic, -_LOG_SECONDS) >= _LOG_SECONDS:
            self._logged[topic] = now
            logger.warning(message, *values)


def kernel_log_cursor(ledger: Ledger) -> Cursor | None:
    """Up to where the kernel log's OOM kills are counted in the ledger."""
    fact = _oom_fact(ledger)
    return Cursor(str(fact["boot_id"]), int(fact["sequence"])) if "sequence" in fact else None


def _oom_fact(ledger: Ledger) -> dict[str, int]:
    fact = ledger.fact(OOM_FACT)
    return fact if isinstance(fact, dict) else {}
