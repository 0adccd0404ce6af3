"""What the logs tell, one event a line."""

from dataclasses import dataclass, field

from model_load_exporter.analysis.timestamps import Stamp

TEXT = 500
"""Characters kept of a line."""

SERVICE, KERNEL, CLIENT_SIDE, CLUSTER = "service", "kernel", "client", "cluster"
"""Who speaks: the service and its supervisor, the kernel, whoever asked the service, Kubernetes."""


@dataclass(slots=True)
class Event:
    """One line that matters, and the lines like it.

    source, number: where (number from 1); `order` is the source's place among those given; stream: which of several
    containers or pods that write into that source, "" where it is one; at: the line's place in its source, from the
    oldest on. role: see sign.py. reason, rank: what it says of the load's end, by itself ("" where
    nothing). stage: where the load was then; stage_told: the line itself says so, else a line above.
    attempt: which try of its source (a restart begins the next). excused: its speaker says that it goes on.
    loading: it was raised while a model was being loaded, by its traceback. carried: the stamp is that of a line above.
    count, last: how many lines like it were folded into it, and the last one's number. seconds: its time since the
    epoch, once clock.py knows it.
    """

    source: str
    order: int
    number: int
    text: str
    role: str
    speaker: str
    reason: str = ""
    rank: float = 0.0
    stage: str | None = None
    stage_told: bool = False
    says: str = ""
    stamp: Stamp | None = None
    carried: bool = False
    attempt: int = 0
    excused: bool = False
    pids: tuple[int, ...] = ()
    loading: bool = False
    count: int = 1
    last: int = 0
    at: int = 0
    last_stamp: Stamp | None = None
    seconds: float | None = None
    last_seconds: float | None = None
    notes: list[str] = field(default_factory=list)
    stream: str = ""

    @property
    def life(self) -> tuple[int, str]:
        """Whose line it is: events of one life are a process's and its restarts'."""
        return self.order, self.stream

    @property
    def fails(self) -> bool:
        """Whether it tells of a failure."""
        return bool(self.reason)
