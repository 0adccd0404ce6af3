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


@dataclass(frozen=True, slots=True)
class Fault:
    """The kernel log says that a thread faulted. kind: segfault, illegal_instruction or other; `tid` of the thread."""

    kind: str
    tid: int
    sequence: int
    seconds: float
    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of the end of one process.

    pid: in the host's pid namespace, or None where that is not known; only then do kernel log lines speak of it.
    kernel_log: True where the log was read to its end. oom_kills_of_cgroup: by how much the counter of the process's
    own cgroup rose since it was first seen, None where it cannot be read; cgroup_limited: that cgroup has a limit.
    """

    pid: int | None = None
    other_boot: bool = False
    exit: ExitStatus | None = None
    oom_kill: OomKill | None = None
    fault: Fault | None = None
    kernel_log: bool = False
    oom_kills_of_cgroup: int | None = None
    cgroup_limited: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who ended the process. confidence: high, medium or low; evidence: what it rests on, a line each."""

    reason: str
    message: str
    confidence: str
    evidence: tuple[str, ...]
