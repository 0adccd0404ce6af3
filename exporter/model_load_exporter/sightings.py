"""The processes that load or hold models, seen from outside: attached to, sampled, and judged when they die.

One sighting for each journal file, from when the file is first seen until it is over.
"""

import os
import time
from dataclasses import dataclass

from model_load_exporter.attempt import Begin, LoadAttempt
from model_load_exporter.holding import Holding
from model_load_exporter.journal.tail import Tail
from model_load_exporter.witness.attachment import Attachment, Origin
from model_load_exporter.witness.evidence import Verdict
from model_load_exporter.witness.progress import Sample, sample
from model_load_exporter.witness.waiting import Waiting, waiting
from model_load_exporter.witness.witness import Death, Witness

Subject = LoadAttempt | Holding


@dataclass(slots=True)
class Case:
    """A death that waits for its verdict. late: nobody was attached to the process while it lived."""

    file_id: str
    subject: Subject
    death: Death

    @property
    def late(self) -> bool:
        """True where the time of the death is not the time at which it was noticed."""
        return self.death.attachment.process is None


class Sightings:
    """Everything that is known of living writers beyond what their journals say. One thread owns it."""

    def __init__(self, witness: Witness, procfs: str, folder: str) -> None:
        """folder: the spool."""
        self._witness = witness
        self._procfs = procfs
        self._folder = folder
        self._attachments: dict[str, Attachment] = {}
        self._samples: dict[str, Sample] = {}
        self._cases: dict[str, Case] = {}

    @property
    def undecided(self) -> bool:
        """True while a death waits for its verdict."""
        return bool(self._cases)

    def undecided_files(self) -> list[str]:
        """The files of those deaths, in the order in which they were noticed."""
        return list(self._cases)

    def attach(self, tail: Tail, subject: Subject) -> None:
        """Begins to watch the process that has this file locked."""
        first = subject.begin if isinstance(subject, LoadAttempt) else subject.first
        # A file that is read again from its start is attached to again.
        self.let_go(first.id)
        self._attachments[first.id] = self._witness.attach(
            Origin(
                folder=self._folder,
                file_id=first.id,
                device=tail.device,
                inode=tail.inode,
                owner=os.fstat(tail.fd).st_uid,
                pid=first.pid,
                namespace=first.pid_namespace,
                boot=first.boot_id,
                began=first.time,
                age=max(0.0, time.time() - first.time),
                monotonic=first.monotonic if isinstance(first, Begin) else None,
            )
        )

    def waiting(self, file_id: str) -> Waiting | None:
        """What a process that does not move waits for; None where that cannot be seen."""
        attachment = self._attachments.get(file_id)
        if attachment is None or attachment.process is None:
            return None
        return waiting(attachment.process.pid, self._procfs)

    def pids(self) -> dict[str, tuple[int, int | None]]:
        """(pid here, pid of the host or None) of each process that is watched, by its file; any thread may ask."""
        return {
            file_id: (attachment.process.pid, attachment.host_pid)
            for file_id, attachment in self._attachments.copy().items()
            if attachment.process is not None
        }

    def look(self, file_id: str) -> tuple[Sample, bool] | None:
        """(what the process looks like now, whether it moved since the last look); None where it cannot be seen."""
        attachment = self._attachments.get(file_id)
        if attachment is None or attachment.process is None:
            return None
        self._witness.look(attachment)
        found = sample(attachment.process.pid, self._procfs, attachment.children)
        if found is None:
            return None
        attachment.anonymous = found.anonymous
        before = self._samples.get(file_id)
        self._samples[file_id] = found
        return found, before is None or before.work != found.work

    def died(self, file_id: str, subject: Subject) -> bool:
        """The file was let go without an end: a verdict is due. False where nobody ever attached."""
        attachment = self._attachments.get(file_id)
        if attachment is None:
            return False
        self._cases.setdefault(file_id, Case(file_id, subject, Death(attachment, time.monotonic(), time.time())))
        return True

    def verdicts(self) -> list[tuple[Case, Verdict]]:
        """The deaths on which the witness is certain now; each is told again until `let_go`."""
        now = time.monotonic()
        for case in self._cases.values():
            case.death.parent_status = case.subject.parent_status
        examined = [(case, self._witness.examine(case.death, now)) for case in self._cases.values()]
        return [(case, verdict) for case, verdict in examined if verdict is not None]

    def let_go(self, file_id: str) -> None:
        """The file is over."""
        self._cases.pop(file_id, None)
        self._samples.pop(file_id, None)
        attachment = self._attachments.pop(file_id, None)
        if attachment is not None:
            self._witness.let_go(attachment)

    def close(self) -> None:
        """Lets every process go."""
        for attachment in self._attachments.values():
            attachment.close()
        self._attachments.clear()
