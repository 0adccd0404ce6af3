"""The kernel log as evidence: who the OOM killer ended, which thread faulted.

Records come one a read from /dev/kmsg: `prio,sequence,microseconds,flags;text`. Only those with facility 0 are the
kernel's own: anyone who can open the device can write the others. A cursor of (boot, sequence) keeps a restart from
counting a kill twice.
"""

import contextlib
import errno
import os
import re
from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass

from model_load_exporter.witness.evidence import Fault, OomKill

KEPT = 1000
"""OOM kills and faults kept in memory: a death asks for those of its own last seconds."""

_KILLED = re.compile(r"(Memory cgroup out of memory|Out of memory[^:]*): Killed process (\d+) \(")
_VICTIM = re.compile(r"oom-kill:.*task_memcg=([^,]*),task=.*,pid=(\d+)(?:,|$)")
_SEGFAULT = re.compile(r"\[(\d+)\]: segfault at ")
_TRAP = re.compile(r"traps: .*\[(\d+)\] trap (invalid opcode|[a-z ]+) ")
_XID = re.compile(r"NVRM: Xid \(PCI:([0-9a-fA-F:.]+)[^)]*\): (\d+)")
_RECORD_LIMIT = 8192


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where reading the log goes on: the record after `sequence` of that boot."""

    boot_id: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Span:
    """The records that may speak of a process: after this sequence and not before this time of the log's clock, when
    it was first seen; up to the sequence `until`, when it was dead. Before and after it, its pid is another's.
    """

    after: int = -1
    since: float = 0.0
    until: int | None = None

    def has(self, record: OomKill | Fault) -> bool:
        """True for a record within it."""
        early = record.sequence <= self.after or record.seconds < self.since
        return not early and (self.until is None or record.sequence <= self.until)


class KernelLog:
    """The kernel's own records, read as they come; counts OOM kills by scope from the cursor on."""

    def __init__(self, path: str, boot_id: str, cursor: Cursor | None) -> None:
        """Raises OSError where the log cannot be read (CAP_SYSLOG, or no such device)."""
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._boot_id = boot_id
        self._counted = cursor.sequence if cursor is not None and cursor.boot_id == boot_id else -1
        self.sequence = -1
        self._oom_kills: deque[OomKill] = deque(maxlen=KEPT)
        self._faults: deque[Fault] = deque(maxlen=KEPT)
        self._victim = ("", -1)
        self.overruns = 0
        self.xids: Counter[tuple[str, int]] = Counter()
        """NVIDIA Xid errors since the cursor, by (PCI address, number); the GPU collector reads it."""

    def fileno(self) -> int:
        """Descriptor to poll. `sequence` is that of the last record read, -1 before the first."""
        return self._fd

    @property
    def cursor(self) -> Cursor:
        """Up to where OOM kills are counted."""
        return Cursor(self._boot_id, self._counted)

    def read(self) -> dict[str, int]:
        """Reads to the end of the log. Answers the OOM kills since the last read, by scope; none is told twice."""
        counts = {"host": 0, "cgroup": 0}
        while True:
            try:
                record = os.read(self._fd, _RECORD_LIMIT)
            except BlockingIOError:
                return counts
            except OSError as error:
                if error.errno == errno.EPIPE:
                    # The ring went round before it was read: the next read is at its oldest record.
                    self.overruns += 1
                    continue
                if error.errno == errno.EINVAL:
                    continue
                return counts
            if not record:
                return counts
            with contextlib.suppress(ValueError, IndexError):
                self._take(record, counts)

    def oom_kill(self, pid: int, span: Span) -> OomKill | None:
        """The last OOM kill of that pid within the span."""
        return next((kill for kill in reversed(self._oom_kills) if kill.pid == pid and span.has(kill)), None)

    def oom_kills(self, span: Span) -> list[OomKill]:
        """Every OOM kill within the span, oldest first."""
        return [kill for kill in self._oom_kills if span.has(kill)]

    def fault(self, tids: Collection[int], span: Span) -> Fault | None:
        """The last fault of one of these threads within the span."""
        return next((fault for fault in reversed(self._faults) if fault.tid in tids and span.has(fault)), None)

    def close(self) -> None:
        """Gives the descriptor back."""
        os.close(self._fd)

    def _take(self, record: bytes, counts: dict[str, int]) -> None:
        head, _, text = record.decode("utf-8", "replace").partition(";")
        fields = head.split(",")
        priority, sequence, seconds = int(fields[0]), int(fields[1]), int(fields[2]) / 1e6
        if priority >> 3 != 0:
            return
        text = text.split("\n", 1)[0][:500]
        if killed := _KILLED.search(text):
            scope, pid = "cgroup" if killed[1].startswith("Memory cgroup") else "host", int(killed[2])
            cgroup = self._victim[0] if self._victim[1] == pid else ""
            self._oom_kills.append(OomKill(scope, pid, sequence, seconds, text, cgroup))
            if sequence > self._counted:
                counts[scope] += 1
        elif victim := _VICTIM.search(text):
            self._victim = victim[1], int(victim[2])
        elif fault := _SEGFAULT.search(text):
            self._faults.append(Fault("segfault", int(fault[1]), sequence, seconds, text))
        elif xid := _XID.search(text):
            self.xids[xid[1], int(xid[2])] += sequence > self._counted
        elif trap := _TRAP.search(text):
            kind = "illegal_instruction" if trap[2] == "invalid opcode" else "other"
            self._faults.append(Fault(kind, int(trap[1]), sequence, seconds, text))
        self._counted = max(self._counted, sequence)
        self.sequence = max(self.sequence, sequence)
