"""What is known of one GPU at one moment. Plain values: no driver, no ctypes."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU. None, or a missing key, where the driver does not tell: not every card knows every value.

    gpu: its index as NVML and nvidia-smi number it. address: see `address`. Sizes in bytes, temperature in Celsius,
    utilization of 1. ecc: errors since the card was made, by kind. throttled: whether its clocks are held down, by
    cause. processes: bytes by pid, of the pid namespace that the driver answers in: the host's.
    """

    gpu: str
    uuid: str
    name: str
    address: str
    memory_size: int | None = None
    memory_used: int | None = None
    memory_free: int | None = None
    utilization: float | None = None
    temperature: int | None = None
    ecc: dict[str, int] = field(default_factory=dict)
    throttled: dict[str, bool] = field(default_factory=dict)
    processes: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """All GPUs that answered, and the indexes of those that fell off the bus."""

    driver: str
    cards: tuple[Card, ...]
    lost: tuple[str, ...]


def address(text: str) -> str:
    """A PCI address in one form: NVML writes `00000000:65:00.0`, the kernel log `0000:65:00`; both are `0:65:0`."""
    parts = text.partition(".")[0].split(":")
    return ":".join(f"{int(part, 16):x}" for part in parts)
