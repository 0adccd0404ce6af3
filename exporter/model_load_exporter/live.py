"""A living process that loads or holds a model: what collectors ask the host about."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LiveWriter:
    """pid: as this process's procfs numbers it. host_pid: as the kernel log and the GPU driver do; None if unknown."""

    target: str
    model: str
    pid: int
    host_pid: int | None
