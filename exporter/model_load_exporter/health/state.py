"""What the health addresses tell, whoever asked for it: the service itself or its side process."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Loading:
    """A load that is open. stage: its innermost. elapsed: seconds. attempt: (number from 1, of how many)."""

    model: str
    stage: str | None
    elapsed: float
    attempt: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A model that is loaded.

    kind: what was loaded, as far as known. memory: bytes that its load took. inferences: how often it served,
    last_inference: unix seconds. fallback: the name of what serves in its place.
    """

    model: str
    kind: str = ""
    memory: int = 0
    inferences: int = 0
    last_inference: float | None = None
    fallback: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """The last load of a model, which failed. reason: of the closed set; time: unix seconds."""

    model: str
    reason: str
    message: str
    time: float


@dataclass(frozen=True, slots=True)
class State:
    """All of it at one moment; open loads with the oldest first. witnessed: a journal takes what the service tells."""

    open: tuple[Loading, ...] = ()
    held: tuple[Held, ...] = ()
    failures: tuple[Failure, ...] = ()
    witnessed: bool = False
