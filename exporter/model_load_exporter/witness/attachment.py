"""What the witness notes of a process while it lives: who it is, its family, and where the counters stood."""

from dataclasses import dataclass, field

from model_load_exporter.witness import oomd, vmstat
from model_load_exporter.witness.cgroup import MemoryCgroup
from model_load_exporter.witness.evidence import Counters
from model_load_exporter.witness.exit_status import Process
from model_load_exporter.witness.proc_connector import Heard

_THREADS_KEPT = 4096
_MEMBERS_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Origin:
    """Who wrote a journal file, as the file itself says it. folder: the spool. owner: uid of the file.

    monotonic: the writer's CLOCK_MONOTONIC at its first line, where it told it; age: seconds since then by the wall.
    """

    folder: str
    file_id: str
    device: int
    inode: int
    owner: int
    pid: int
    namespace: int | None
    boot: str
    began: float
    age: float
    monotonic: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the counters of OOM kills stood at one time; None where one cannot be read."""

    cgroup: int | None = None
    group: int = 0
    host: int | None = None
    oomd: int | None = None


@dataclass(slots=True)
class Attachment:
    """One process. host_pid: its pid as the kernel log names it, None where unknown.

    after, since: what the kernel log says of that pid counts only beyond this sequence and this time of its clock.
    before: the counters when it was last known to live on; recent: those of the last look, which are not yet proven so.
    """

    origin: Origin
    pid: int | None = None
    host_pid: int | None = None
    process: Process | None = None
    heard: Heard | None = None
    cgroup: MemoryCgroup | None = None
    after: int = -1
    since: float = 0.0
    overruns: int = 0
    other_boot: bool = False
    before: Standing = Standing()
    recent: Standing = Standing()
    threads: set[int] = field(default_factory=set)
    children: set[int] = field(default_factory=set)
    members: set[int] | None = None
    last_pid: int | None = None
    anonymous: int | None = None
    """Its anonymous memory at the last look, in bytes."""
    outlived: int = 0
    """OOM kills that its cgroup counted while it lived on: those of others."""

    def note_threads(self, found: set[int]) -> None:
        """Threads seen now; those of earlier looks stay."""
        if len(self.threads) < _THREADS_KEPT:
            self.threads |= found

    def note_members(self, last_pid: int | None) -> None:
        """Processes of its cgroup that are seen now. last_pid: the newest of the host, read before."""
        found = self.cgroup.members() if self.cgroup is not None else None
        self.last_pid = last_pid
        if found is not None and len(found) < _MEMBERS_KEPT:
            self.members = (self.members or set()) | found

    def lives_on(self, now: Standing) -> None:
        """It was seen alive, and nobody had ended it: what was counted up to the look before was not its death."""
        if self.recent.cgroup is not None and self.before.cgroup is not None:
            self.outlived += max(0, self.recent.cgroup - self.before.cgroup)
        self.before, self.recent = self.recent, now

    def counted(self, now: Standing, *, alone: bool) -> Counters:
        """What was counted since it was last known to live on. now, alone: as they were when its end was noticed."""
        return Counters(
            cgroup=_risen(now.cgroup, self.before.cgroup),
            limited=self.cgroup.limited() if self.cgroup is not None else False,
            alone=alone,
            group=now.group > self.before.group,
            host=_risen(now.host, self.before.host),
            oomd=bool(_risen(now.oomd, self.before.oomd)),
        )

    def alone(self, last_pid: int | None) -> bool:
        """True where what its cgroup counted can have been no other process: all that were seen there live on, and
        none came since, or this one had more than half of the limit and so was the largest. last_pid: as it is now.
        """
        left = self.cgroup.members() if self.cgroup is not None else None
        if self.cgroup is None or self.members is None or left is None or not self.members - {self.pid} <= left:
            return False
        limit = self.cgroup.limit()
        largest = limit is not None and self.anonymous is not None and 2 * self.anonymous > limit
        return largest or (last_pid is not None and last_pid == self.last_pid)

    def close(self) -> None:
        """Lets the process go."""
        if self.process is not None:
            self.process.close()


def standing(cgroup: MemoryCgroup | None, procfs: str, disabled: frozenset[str]) -> Standing:
    """Where the counters stand now."""
    return Standing(
        cgroup=cgroup.oom_kills() if cgroup is not None and "cgroup" not in disabled else None,
        group=cgroup.group_kills() if cgroup is not None and "cgroup" not in disabled else 0,
        host=vmstat.oom_kills(procfs) if "vmstat" not in disabled else None,
        oomd=oomd.kills(cgroup) if cgroup is not None and "systemd_oomd" not in disabled else None,
    )


def _risen(now: int | None, before: int | None) -> int | None:
    return max(0, now - before) if now is not None and before is not None else None
