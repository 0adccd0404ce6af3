"""The witness at work: attaches to a process while it loads, and says of each death who ended it.

A verdict may need some milliseconds: the parent has to reap, the kernel log to be written. `examine` answers None
until it is certain, or until waiting longer would not make it so.
"""

import contextlib
import os
import time
from collections.abc import Collection
from dataclasses import dataclass

from model_load_exporter.journal.process import boot_id, pid_namespace
from model_load_exporter.witness import exit_status
from model_load_exporter.witness.attribution import attribute
from model_load_exporter.witness.cgroup import MemoryCgroup, memory_cgroup
from model_load_exporter.witness.evidence import Evidence, ExitStatus, Verdict
from model_load_exporter.witness.exit_status import Process, age_of
from model_load_exporter.witness.kernel_log import Cursor, KernelLog
from model_load_exporter.witness.locks import lock_owner

_HOST_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO: kernel log lines name pids of this one

_GRACE = 0.02
"""The OOM killer sends the signal before it writes its line: a SIGKILL is `killed` only after this wait."""
_REAP = 0.5
"""How long the parent of a dead process may take to reap it before the verdict does without its exit status."""
_TEARDOWN = 5.0
"""A process frees its lock some milliseconds before it is gone; one that lives on has lost its journal."""
_AGE_SLACK = 5.0
"""Wall clock and boot clock may differ by this much over a load before a process is taken for a later one."""
_CLOCK_SLACK = 120.0
"""The kernel log's clock and CLOCK_MONOTONIC drift apart over days; matters only for deaths while no daemon ran."""


@dataclass(slots=True)
class Attachment:
    """What the witness noted of a process when it was first seen.

    host_pid: its pid as the kernel log names it, None where unknown. after, since: what the kernel log says of that pid
    counts only beyond this sequence and this time of the log's clock.
    """

    pid: int | None
    host_pid: int | None
    process: Process | None
    cgroup: MemoryCgroup | None
    oom_kills_before: int | None
    after: int
    since: float
    other_boot: bool

    def close(self) -> None:
        """Lets the process go."""
        if self.process is not None:
            self.process.close()


@dataclass(slots=True)
class Death:
    """A death that waits for its verdict; `noticed` on the monotonic clock."""

    attachment: Attachment
    noticed: float


LOST = Verdict("", "the journal was closed while its process went on", "high", ())
"""What `examine` answers where nobody died."""


class Witness:
    """Gathers evidence from every source that this host allows and nobody switched off."""

    def __init__(self, procfs: str, sysfs: str, disabled: Collection[str] = (), cursor: Cursor | None = None) -> None:
        self._procfs, self._sysfs = procfs, sysfs
        self._disabled = frozenset(disabled)
        self.kernel_log: KernelLog | None = None
        if "kernel_log" not in self._disabled:
            with contextlib.suppress(OSError):
                self.kernel_log = KernelLog("/dev/kmsg", boot_id(), cursor)

    def available(self) -> dict[str, bool]:
        """Which sources of evidence there are here."""
        return {
            "exit_status": "exit_status" not in self._disabled and (exit_status.supported() or os.geteuid() == 0),
            "kernel_log": self.kernel_log is not None and pid_namespace() == _HOST_PID_NAMESPACE,
            "cgroup": "cgroup" not in self._disabled and memory_cgroup("self", self._procfs, self._sysfs) is not None,
            "locks": "locks" not in self._disabled and os.access(f"{self._procfs}/locks", os.R_OK),
        }

    def attach(self, *, device: int, inode: int, pid: int, namespace: int | None, boot: str, age: float) -> Attachment:
        """Notes a process that has a journal file locked. Never raises.

        device, inode: of the journal file. pid, namespace, boot: as the journal says. age: seconds since its begin.
        """
        if boot and boot != boot_id():
            return Attachment(None, None, None, None, None, -1, 0.0, other_boot=True)
        owner = self._owner(device, inode)
        # The journal's pid means something here only if it was written in this very pid namespace.
        told = pid if namespace is not None and namespace == pid_namespace() else None
        process = self._hold(owner)
        if process is not None and self._owner(device, inode) != owner:
            process.close()
            process = None
        if process is None:
            # The one that locked may be gone by design: flock(1) locks for the shell that began it.
            process = self._hold(told, not_younger_than=age)
            owner = told if process is not None or owner is None else owner
        live = process is not None
        number = owner
        in_host = pid_namespace() == _HOST_PID_NAMESPACE
        group = None
        if live and number is not None and "cgroup" not in self._disabled:
            group = memory_cgroup(number, self._procfs, self._sysfs)
        return Attachment(
            pid=number,
            host_pid=number if in_host else (pid if namespace == _HOST_PID_NAMESPACE else None),
            process=process,
            cgroup=group,
            oom_kills_before=group.oom_kills() if group is not None else None,
            after=self.kernel_log.sequence if live and self.kernel_log is not None else -1,
            since=0.0 if live else time.monotonic() - age - _CLOCK_SLACK,
            other_boot=False,
        )

    def examine(self, death: Death, now: float) -> Verdict | None:
        """The verdict, LOST where the process lives on, or None: ask again. now: monotonic."""
        attachment = death.attachment
        waited = now - death.noticed
        process = attachment.process
        if process is not None and process.alive():
            return LOST if waited > _TEARDOWN else None
        status = None
        if process is not None and "exit_status" not in self._disabled:
            status = process.exit_status(self._procfs)
            if status is None and waited < _REAP:
                return None
        evidence = self._evidence(attachment, status)
        killed = status is None or status.signal == 9
        if killed and evidence.oom_kill is None and not attachment.other_boot and waited < _GRACE:
            return None
        return attribute(evidence)

    def close(self) -> None:
        """Lets the kernel log go."""
        if self.kernel_log is not None:
            self.kernel_log.close()

    def _evidence(self, attachment: Attachment, status: ExitStatus | None) -> Evidence:
        kill = fault = None
        if self.kernel_log is not None and attachment.host_pid is not None:
            kill = self.kernel_log.oom_kill(attachment.host_pid, attachment.after, attachment.since)
            fault = self.kernel_log.fault(attachment.host_pid, attachment.after, attachment.since)
        counted = None
        if attachment.cgroup is not None and attachment.oom_kills_before is not None:
            now = attachment.cgroup.oom_kills()
            counted = now - attachment.oom_kills_before if now is not None else None
        return Evidence(
            pid=attachment.host_pid,
            other_boot=attachment.other_boot,
            exit=status,
            oom_kill=kill,
            fault=fault,
            kernel_log=self.kernel_log is not None and attachment.host_pid is not None,
            oom_kills_of_cgroup=counted,
            cgroup_limited=attachment.cgroup.limited() if attachment.cgroup is not None else False,
        )

    def _owner(self, device: int, inode: int) -> int | None:
        if "locks" in self._disabled:
            return None
        with contextlib.suppress(OSError, ValueError):
            return lock_owner(device, inode, self._procfs)
        return None

    def _hold(self, pid: int | None, not_younger_than: float = 0.0) -> Process | None:
        """The process of that pid; None where it is gone, or began after what it is said to have done: a later one."""
        if pid is None:
            return None
        with contextlib.suppress(OSError):
            process = Process(pid)
            age = age_of(pid, self._procfs)
            if age is None or age + _AGE_SLACK >= not_younger_than:
                return process
            process.close()
        return None
