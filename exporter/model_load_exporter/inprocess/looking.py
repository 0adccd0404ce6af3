"""One look at the spool that changes nothing: a daemon keeps it, or another worker does."""

import os
import time

from model_load_exporter.attempt import LoadAttempt
from model_load_exporter.config import Config
from model_load_exporter.holding import Holding
from model_load_exporter.inprocess.files import File, files
from model_load_exporter.journal.process import boot_id
from model_load_exporter.ledger import Ledger, LedgerError, Row, read_only
from model_load_exporter.loads import Loads, OpenLoad

STATE = "MODEL_LOAD_EXPORTER_STATE"
"""Environment variable that names the daemon's state folder; else it is looked for beside the spool."""


def daemon_ledger(spool: str) -> Ledger | None:
    """The ledger of the daemon that keeps this spool, for reading; None where it cannot be read from here."""
    state = os.environ.get(STATE) or f"{os.path.dirname(spool.rstrip('/'))}/state"
    return workers_ledger(state)


def workers_ledger(folder: str) -> Ledger | None:
    """The ledger in that folder, for reading; None where there is none, or no right to read it."""
    try:
        return read_only(folder)
    except LedgerError:
        return None


def look(spool: str, ledger: Ledger) -> Loads:
    """What ledger and spool tell now. Nothing is written, judged or deleted."""
    # The files first: what is deleted from now on is in the ledger by then.
    with files(spool) as found:
        loads = made(found, ledger)
        for file in found:
            subject = file.subject
            if isinstance(subject, Holding):
                hold(loads, subject)
            elif begin(loads, subject, ledger.row(subject.id)) is not None and not subject.open:
                loads.end(subject)
    return loads


def made(found: list[File], ledger: Ledger) -> Loads:
    """Loads as the ledger has them: anew with each look, because other processes have written to it since."""
    # The attempts of the last hour are read only if one of these files could be of the same load.
    return Loads(Config(), ledger, joinable=any(isinstance(file.subject, LoadAttempt) for file in found))


def begin(loads: Loads, attempt: LoadAttempt, row: Row | None) -> OpenLoad | None:
    """Takes an attempt of a service, with what its own events tell of its age and progress; None if it is over."""
    if attempt.begin.kind != "service":
        return None
    load = loads.begin(attempt, row)
    if load is None:
        return None
    first = attempt.begin
    if first.monotonic is not None and first.boot_id == boot_id():
        load.age_when_seen = max(0.0, time.monotonic() - first.monotonic)
    ends = [stage.began + stage.seconds for stage in attempt.stages if stage.seconds is not None]
    load.progress_time = max([first.time, *(stage.began for stage in attempt.stages), *ends])
    return load


def hold(loads: Loads, holding: Holding) -> None:
    """Takes what a process holds."""
    loads.hold(holding)
    loads.infer(holding)
    if holding.exited:
        loads.release(holding)


def over(file: File) -> bool:
    """True where a file tells all there is to tell, and only waits to be deleted."""
    subject = file.subject
    if isinstance(subject, Holding):
        return file.released and (subject.exited or not subject.held)
    return not subject.open
