"""One look at the spool that counts: ends and deaths go to the ledger that the workers share, then the files go."""

import contextlib
import sqlite3
import time
from typing import Any

from model_load_exporter.attempt import Death, LoadAttempt
from model_load_exporter.holding import Holding
from model_load_exporter.inprocess.files import File, delete, files, tidy
from model_load_exporter.inprocess.looking import begin, hold, made, over
from model_load_exporter.ledger import Ledger
from model_load_exporter.loads import Loads
from model_load_exporter.sightings import Sightings
from model_load_exporter.witness.evidence import Verdict
from model_load_exporter.witness.witness import LOST, Witness

_VERDICT_SECONDS = 0.06
"""How long a look waits for verdicts; what is not certain by then is decided in the next one."""
_SEEN_SECONDS = 120.0
"""Where nobody looked for longer, a death is dated by the last look, not by this one."""
_PRUNE_SECONDS = 3600.0
_FACT = "in_process"


class Keeper:
    """What one process knows beyond the ledger: the processes that it is attached to. It outlives a look."""

    def __init__(self, spool: str, ledger: Ledger, procfs: str = "/proc", sysfs: str = "/sys") -> None:
        self.ledger = ledger
        self._spool = spool
        # The connector tells of all processes of the host: too much to be had for a scrape now and then.
        self._witness = Witness(procfs, sysfs, ("proc_connector",))
        self._sightings = Sightings(self._witness, procfs, spool)
        self._attached: set[str] = set()
        self._next_prune = 0.0

    def keep(self) -> Loads:
        """Counts what ended since the last look of any worker, and deletes it. Only for the holder of both locks.

        Raises sqlite3.Error where the ledger cannot be written; every file stays then, and is counted later.
        """
        if self._witness.kernel_log is not None:
            self._witness.kernel_log.read()
        with files(self._spool) as found:
            loads = made(found, self.ledger)
            known = self.ledger.fact(_FACT) or {}
            kept = self._take(loads, found, known.get("loads", {}))
            last_look = float(known.get("time", 0.0))
            done = {file.id for file in found if over(file)}
            done |= self._judge(loads, [file for file in found if file.released and not over(file)], last_look)
            self._forget({file.id for file in found} - done)
            loads.keep_inferences()
            self.ledger.put_fact(_FACT, {"time": time.time(), "loads": kept})
            self.ledger.flush()
            for file in found:
                if file.id in done:
                    delete(self._spool, file)
        self._tidy()
        return loads

    def close(self) -> None:
        """Lets every process go."""
        self._sightings.close()
        self._witness.close()

    def _take(self, loads: Loads, found: list[File], before: dict[str, Any]) -> dict[str, Any]:
        """Hands the files to the loads; answers what the next look is to know of those that are open."""
        kept: dict[str, Any] = {}
        for file in found:
            subject = file.subject
            if not file.released and file.id not in self._attached:
                self._attached.add(file.id)
                self._sightings.attach(file.tail, subject)
            if isinstance(subject, Holding):
                hold(loads, subject)
                continue
            load = begin(loads, subject, self.ledger.row(subject.id))
            if load is None:
                continue
            work, moved, rss, anonymous = before.get(file.id, (None, 0.0, None, None))
            subject.observe_memory(rss, anonymous)
            if not subject.open:
                loads.end(subject)
                continue
            seen = self._sightings.look(file.id)
            if seen is not None:
                subject.observe_memory(seen[0].rss, seen[0].anonymous)
                if work != list(seen[0].work):
                    work, moved = list(seen[0].work), time.time()
            load.progress_time = max(load.progress_time, moved)
            kept[file.id] = (work, moved, subject.peak_rss, subject.peak_anonymous)
        return kept

    def _judge(self, loads: Loads, dead: list[File], last_look: float) -> set[str]:
        """Who ended the processes that did not tell their end; the ids of those that it is certain of."""
        waiting = {}
        for file in dead:
            if isinstance(file.subject, LoadAttempt) and file.subject.begin.kind != "service":
                continue
            waiting[file.id] = file
            if file.id not in self._attached:
                self._attached.add(file.id)
                self._attach_late(file)
            self._sightings.died(file.id, file.subject)
        decided: set[str] = set()
        deadline = 0.0
        while waiting:
            for case, verdict in self._sightings.verdicts():
                if case.file_id in waiting:
                    self._decide(loads, waiting.pop(case.file_id), verdict, last_look)
                    decided.add(case.file_id)
            # From the end of the first round on: of many deaths it takes long, and those at its end came too early.
            deadline = deadline or time.monotonic() + _VERDICT_SECONDS
            if not waiting or time.monotonic() > deadline:
                break
            time.sleep(0.002)
            if self._witness.kernel_log is not None:
                self._witness.kernel_log.read()
        return decided

    def _attach_late(self, file: File) -> None:
        with contextlib.suppress(OSError):
            # The witness asks the open file for its owner; this one was closed when it was found to be left.
            tail = type(file.tail)(self._spool, file.tail.name)
            try:
                self._sightings.attach(tail, file.subject)
            finally:
                tail.close()

    def _decide(self, loads: Loads, file: File, verdict: Verdict, last_look: float) -> None:
        subject = file.subject
        now = time.time()
        when = now if now - last_look < _SEEN_SECONDS else min(now, max(last_look, file.time))
        death = Death(when, verdict.reason, verdict.message, verdict.confidence, verdict.evidence)
        if isinstance(subject, LoadAttempt):
            if verdict is LOST:
                loads.lose(subject)
            else:
                loads.die(subject, death)
        elif verdict is LOST:
            loads.release(subject)
        else:
            loads.holder_died(subject, death, known=self.ledger.death_known(file.id))

    def _forget(self, alive: set[str]) -> None:
        """Lets go what is over, or was counted and deleted by another worker."""
        for file_id in self._attached - alive:
            self._sightings.let_go(file_id)
        self._attached &= alive

    def _tidy(self) -> None:
        now = time.monotonic()
        if now >= self._next_prune:
            self._next_prune = now + _PRUNE_SECONDS
            with contextlib.suppress(sqlite3.Error, OSError):
                self.ledger.prune()
                tidy(self._spool)
