"""Evidence: what the sources saw of the end of one process. Plain data; `attribution` makes a verdict of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended: by `signal`, or with `code`; one of the two is None. source: who says so."""

    code: int | None
    signal: int | None
    source: str

    @classmethod
    def from_wait(cls, status: int, source: str) -> "ExitStatus":
        """From a wait status as wait(2) gives it."""
        if status & 0x7F:
            return cls(None, status & 0x7F, source)
        return cls((status >> 8) & 0xFF, None, source)


@dataclass(frozen=True, slots=True)
class OomKill:
    """The kernel log says that the OOM killer ended a process. scope: `host` or `cgroup`. seconds: the log's clock."""

    scope: str
    pid: int
    sequence: int
    seconds: float
    text: str
    cgroup: str = ""
    """The victim's own cgroup, where the kernel's line before told it (it is rate-limited)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The kernel log says that a thread faulted. kind: segfault, illegal_instruction or other; `tid` of the thread."""

    kind: str
    tid: int
    sequence: int
    seconds: float
    text: str


@dataclass(frozen=True, slots=True)
class Dump:
    """What faulthandler wrote as the process faulted: kind as a reason (segfault, bus_error, ...), and where it was."""

    kind: str
    where: str


@dataclass(frozen=True, slots=True)
class Note:
    """Whoever ended the process said so first: the kill note of the journal. cause: `timeout`, or the killer's word."""

    cause: str


@dataclass(frozen=True, slots=True)
class Counters:
    """OOM kills that were counted between the last time the process was seen alive and its death; None: unknown.

    cgroup: of the process's own cgroup. limited: that cgroup has a limit. alone: no other process of it ended too.
    group: its cgroup, or one above, was ended as a whole (memory.oom.group). host: anywhere on the host (vmstat).
    oomd: systemd-oomd ended its cgroup, or one above.
    """

    cgroup: int | None = None
    limited: bool = False
    alone: bool = False
    group: bool = False
    host: int | None = None
    oomd: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of the end of one process.

    pid: in the host's pid namespace, or None where that is not known; only then do kernel log lines speak of it.
    kernel_log: True where the log was read to its end, with no gap. collateral: what befell others just before, a
    line each: children of the process, siblings of its cgroup. It explains, and decides nothing.
    """

    pid: int | None = None
    other_boot: bool = False
    exit: ExitStatus | None = None
    oom_kill: OomKill | None = None
    fault: Fault | None = None
    dump: Dump | None = None
    note: Note | None = None
    kernel_log: bool = False
    counted: Counters = Counters()
    collateral: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who ended the process. confidence: high, medium or low; evidence: what it rests on, a line each."""

    reason: str
    message: str
    confidence: str
    evidence: tuple[str, ...]
