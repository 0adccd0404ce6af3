"""The witness at work: attaches to a process while it loads, and says of each death who ended it.

A verdict may need some milliseconds: the parent has to reap, the kernel log to be written. `examine` answers None
until it is certain, or until waiting longer would not make it so.
"""

import contextlib
import os
import time
from collections.abc import Collection
from dataclasses import dataclass

from model_load_exporter.journal import fault, kill
from model_load_exporter.journal.process import boot_id, pid_namespace
from model_load_exporter.witness import collateral, exit_status, family, faulthandler_dump, oomd, vmstat
from model_load_exporter.witness.attachment import Attachment, Origin, Standing, standing
from model_load_exporter.witness.attribution import attribute
from model_load_exporter.witness.cgroup import memory_cgroup
from model_load_exporter.witness.evidence import Dump, Evidence, ExitStatus, Note, Verdict
from model_load_exporter.witness.exit_status import Process, age_of
from model_load_exporter.witness.kernel_log import Cursor, KernelLog, Span
from model_load_exporter.witness.locks import lock_owner
from model_load_exporter.witness.proc_connector import ProcConnector

_HOST_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO: kernel log lines name pids of this one

_GRACE = 0.02
"""The OOM killer sends the signal before it writes its line: a SIGKILL is `killed` only after this wait."""
_REAP = 0.5
"""How long the parent of a dead process may take to reap it before the verdict does without its exit status."""
_TEARDOWN = 5.0
"""A process frees its lock some milliseconds before it is gone; one that lives on has lost its journal."""
_AGE_SLACK = 5.0
"""Wall clock and boot clock may differ by this much over a load before a process is taken for a later one."""
_TICK_SLACK = 0.05
"""The same where the journal tells the monotonic clock, which nobody sets: a start is known to 10 ms."""
_CLOCK_SLACK = 120.0
"""The kernel log's clock and CLOCK_MONOTONIC drift apart over days; matters only for deaths while no daemon ran."""


@dataclass(slots=True)
class Death:
    """A death that waits for its verdict; `noticed` on the monotonic clock, `when` on the wall clock.

    standing, alone: as they were when it was first examined. last_fault, last_kill: sequences of the kernel log beyond
    which nothing can be about this process any more: a fault is told before the death, an OOM kill soon after it.
    parent_status: the wait status that its parent wrote into the journal, if it did.
    """

    attachment: Attachment
    noticed: float
    when: float
    standing: Standing | None = None
    alone: bool = False
    last_fault: int | None = None
    last_kill: int | None = None
    parent_status: int | None = None


LOST = Verdict("", "the journal was closed while its process went on", "high", ())
"""What `examine` answers where nobody died."""


class Witness:
    """Gathers evidence from every source that this host allows and nobody switched off."""

    def __init__(self, procfs: str, sysfs: str, disabled: Collection[str] = (), cursor: Cursor | None = None) -> None:
        self._procfs, self._sysfs = procfs, sysfs
        self._disabled = frozenset(disabled)
        self._in_host = pid_namespace() == _HOST_PID_NAMESPACE
        self.kernel_log: KernelLog | None = None
        if "kernel_log" not in self._disabled:
            with contextlib.suppress(OSError):
                self.kernel_log = KernelLog("/dev/kmsg", boot_id(), cursor)
        self._connector: ProcConnector | None = None
        if "proc_connector" not in self._disabled and self._in_host:
            with contextlib.suppress(OSError):
                self._connector = ProcConnector()

    def available(self) -> dict[str, bool]:
        """Which sources of evidence there are here."""
        group = memory_cgroup("self", self._procfs, self._sysfs)
        found = {
            "exit_status": exit_status.supported(),
            "proc_connector": self._connector is not None,
            "zombie": os.geteuid() == 0,
            "kernel_log": self.kernel_log is not None and self._in_host,
            "cgroup": group is not None,
            "vmstat": vmstat.oom_kills(self._procfs) is not None,
            "systemd_oomd": group is not None and oomd.kills(group) is not None,
            "locks": os.access(f"{self._procfs}/locks", os.R_OK),
            "faulthandler": True,
            "kill_note": True,
            "parent_status": True,
        }
        return {source: there and source not in self._disabled for source, there in found.items()}

    def attach(self, origin: Origin) -> Attachment:
        """Notes a process that has a journal file locked. Never raises."""
        if origin.boot and origin.boot != boot_id():
            return Attachment(origin, other_boot=True)
        owner = self._owner(origin)
        # The journal's pid means something here only if it was written in this very pid namespace.
        told = origin.pid if origin.namespace is not None and origin.namespace == pid_namespace() else None
        process = self._hold(owner)
        if process is not None and self._owner(origin) != owner:
            process.close()
            process = None
        if process is None:
            # The one that locked may be gone by design: flock(1) locks for the shell that began it.
            process = self._hold(told, origin)
            owner = told if process is not None or owner is None else owner
        live = process is not None
        attachment = Attachment(
            origin,
            pid=owner,
            host_pid=owner if self._in_host else (origin.pid if origin.namespace == _HOST_PID_NAMESPACE else None),
            process=process,
            after=self.kernel_log.sequence if live and self.kernel_log is not None else -1,
            since=0.0 if live else time.monotonic() - origin.age - _CLOCK_SLACK,
            overruns=self.kernel_log.overruns if self.kernel_log is not None else 0,
        )
        if live and owner is not None:
            if self._connector is not None:
                attachment.heard = self._connector.watch(owner)
            attachment.cgroup = memory_cgroup(owner, self._procfs, self._sysfs)
            attachment.before = attachment.recent = self._standing(attachment)
            self.look(attachment, first=True)
        return attachment

    def look(self, attachment: Attachment, *, first: bool = False) -> None:
        """Notes what only a living process shows: its threads, its children, and that it lives on."""
        pid = attachment.pid
        if pid is None or attachment.process is None:
            return
        if self._connector is not None:
            self._connector.read()
        attachment.note_threads(family.threads(pid, self._procfs))
        attachment.children |= set(family.descendants(pid, self._procfs))
        attachment.note_members(family.last_pid(self._procfs))
        if not first:
            now = self._standing(attachment)
            if attachment.process.alive() and not family.doomed(pid, self._procfs):
                attachment.lives_on(now)

    def let_go(self, attachment: Attachment) -> None:
        """The process is of no more interest."""
        if self._connector is not None and attachment.heard is not None:
            self._connector.let_go(attachment.heard)
        attachment.close()

    def examine(self, death: Death, now: float) -> Verdict | None:
        """The verdict, LOST where the process lives on, or None: ask again. now: monotonic."""
        attachment = death.attachment
        waited = now - death.noticed
        process = attachment.process
        if process is not None and process.alive():
            return LOST if waited > _TEARDOWN else None
        if death.standing is None:
            # At once: others of the cgroup may follow it, and systemd removes the cgroup with its last process.
            death.standing = self._standing(attachment)
            death.alone = attachment.alone(family.last_pid(self._procfs))
            death.last_fault = self.kernel_log.sequence if self.kernel_log is not None else None
        if death.last_kill is None and waited >= _GRACE and self.kernel_log is not None:
            death.last_kill = self.kernel_log.sequence
        status = self._status(attachment) or self._told(death)
        if status is None and process is not None and self._status_may_come() and waited < _REAP:
            return None
        evidence = self._evidence(death, status)
        killed = status is None or status.signal == 9
        if killed and evidence.oom_kill is None and not attachment.other_boot and waited < _GRACE:
            return None
        return attribute(evidence)

    def close(self) -> None:
        """Lets the kernel log go."""
        if self.kernel_log is not None:
            self.kernel_log.close()
        if self._connector is not None:
            self._connector.close()

    def _status(self, attachment: Attachment) -> ExitStatus | None:
        status: ExitStatus | None = None
        if attachment.process is None:
            return None
        if self._connector is not None:
            self._connector.read()
        if "exit_status" not in self._disabled:
            status = attachment.process.exit_status()
        if status is None and attachment.heard is not None:
            status = attachment.heard.status
        if status is None and "zombie" not in self._disabled:
            status = attachment.process.zombie_status(self._procfs)
        return status

    def _told(self, death: Death) -> ExitStatus | None:
        """What the parent says: it may stand where this process may not look."""
        if death.parent_status is None or "parent_status" in self._disabled:
            return None
        return ExitStatus.from_wait(death.parent_status, "parent")

    def _status_may_come(self) -> bool:
        return not {"exit_status", "zombie"} <= self._disabled or self._connector is not None

    def _evidence(self, death: Death, status: ExitStatus | None) -> Evidence:
        attachment = death.attachment
        log = self.kernel_log if attachment.host_pid is not None else None
        killed = faulted = None
        others: list[str] = []
        if log is not None and attachment.host_pid is not None:
            kills = Span(attachment.after, attachment.since, death.last_kill)
            faults = Span(attachment.after, attachment.since, death.last_fault)
            killed = log.oom_kill(attachment.host_pid, kills)
            threads = {attachment.host_pid} | (attachment.threads if self._in_host else set())
            if attachment.heard is not None:
                threads |= attachment.heard.threads
            faulted = log.fault(threads, faults)
            others = collateral.in_kernel_log(log, attachment, faults, in_host=self._in_host)
        if attachment.heard is not None:
            others += collateral.ended_first(attachment.heard)
        if attachment.outlived:
            others.append(f"its cgroup counted {attachment.outlived} OOM kills of others while it lived on")
        counted = attachment.counted(death.standing or Standing(), alone=death.alone)
        return Evidence(
            pid=attachment.host_pid,
            other_boot=attachment.other_boot,
            exit=status,
            oom_kill=killed,
            fault=faulted,
            dump=self._dump(attachment),
            note=self._note(death),
            kernel_log=log is not None and log.overruns == attachment.overruns,
            counted=counted,
            collateral=tuple(others),
        )

    def _dump(self, attachment: Attachment) -> Dump | None:
        origin = attachment.origin
        if "faulthandler" in self._disabled:
            return None
        return faulthandler_dump.parse(fault.read_fault(origin.folder, origin.file_id, origin.owner))

    def _note(self, death: Death) -> Note | None:
        origin = death.attachment.origin
        if "kill_note" in self._disabled:
            return None
        note = kill.read_kill(origin.folder, origin.pid, origin.namespace, origin.owner)
        # A later process may have got the pid of one that was ended long ago; nobody who is killed dies a minute later.
        late = death.attachment.process is None
        if note is None or note.time < origin.began or (note.time + kill.BELIEVED_SECONDS < death.when and not late):
            return None
        return Note(note.cause)

    def _standing(self, attachment: Attachment) -> Standing:
        return standing(attachment.cgroup, self._procfs, self._disabled)

    def _owner(self, origin: Origin) -> int | None:
        if "locks" in self._disabled:
            return None
        with contextlib.suppress(OSError, ValueError):
            return lock_owner(origin.device, origin.inode, self._procfs)
        return None

    def _hold(self, pid: int | None, origin: Origin | None = None) -> Process | None:
        """The process of that pid; None where it is gone, or began after the writer wrote its first line: a later one.

        origin: given where the pid is but told; the owner of a lock needs no such proof.
        """
        if pid is None:
            return None
        with contextlib.suppress(OSError):
            process = Process(pid)
            age = age_of(pid, self._procfs)
            if origin is None or age is None or _old_enough(age, origin):
                return process
            process.close()
        return None


def _old_enough(age: float, origin: Origin) -> bool:
    if origin.monotonic is not None and (since := time.monotonic() - origin.monotonic) >= 0:
        return age + _TICK_SLACK >= since
    return age + _AGE_SLACK >= origin.age
