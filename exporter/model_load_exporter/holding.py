"""What one process holds loaded now, as a pure state machine over the events of its holder file.

A model is held from `hold` to `unhold`, to `exit`, or to the process's death. A later hold of the same model in the
same process replaces the earlier: the process loaded it again.
"""

from dataclasses import dataclass, field
from typing import Any

from model_load_exporter.attempt import ParentStatus

MAX_HELD = 256
"""Models that one process may hold at once; more are dropped."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The process holds a model. Every line carries the process's identity, so that a file can start with any.

    anonymous: growth of the process's anonymous memory over the load, bytes. mapped: model files mapped at the load's
    end as (file's identity on this host, bytes). gpu: bytes by GPU index. fallback: what serves in the model's place.
    """

    id: str
    time: float
    model: str
    pid: int
    boot_id: str
    target: str = ""
    path: str | None = None
    repo: str | None = None
    replaces: str | None = None
    pid_namespace: int | None = None
    anonymous: int = 0
    mapped: tuple[tuple[str, int], ...] = ()
    gpu: tuple[tuple[str, int], ...] = ()
    format: str = ""
    version: str = ""
    dtype: str = ""
    revision: str = ""
    fallback: str = ""
    runtime: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unhold:
    """The process let a model go."""

    time: float
    model: str


@dataclass(frozen=True, slots=True)
class Inference:
    """What the process counted of one model's inferences since its holder file began.

    count: all of them. failures: those that failed. seconds: their sum. buckets: how many took at most each of
    INFERENCE_BUCKETS and more than the one before, and last the rest.
    """

    time: float
    model: str
    count: int
    failures: int
    seconds: float
    buckets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Exit:
    """The process ends in good order, or its holder file goes on in the file `moved`."""

    time: float
    moved: str | None = None


HoldingEvent = Hold | Unhold | Inference | Exit | ParentStatus


@dataclass(slots=True)
class Holding:
    """The models that one process holds, by the name that the process gave."""

    first: Hold
    held: dict[str, Hold] = field(default_factory=dict)
    inferences: dict[str, Inference] = field(default_factory=dict)
    exited: bool = False
    moved: str | None = None
    parent_status: int | None = None

    def __post_init__(self) -> None:
        self.held[self.first.model] = self.first

    def apply(self, event: HoldingEvent) -> None:
        """Takes the next event of the holder file."""
        if isinstance(event, Hold):
            if len(self.held) < MAX_HELD or event.model in self.held:
                self.held[event.model] = event
        elif isinstance(event, Unhold):
            self.held.pop(event.model, None)
        elif isinstance(event, Inference):
            before = self.inferences.get(event.model)
            # A model that is not held serves nothing; and a count of one file never goes back.
            if event.model in self.held and (before is None or event.count >= before.count):
                self.inferences[event.model] = event
        elif isinstance(event, ParentStatus):
            if event.pid == self.first.pid:
                self.parent_status = event.status
        else:
            self.exited = True
            self.moved = event.moved
