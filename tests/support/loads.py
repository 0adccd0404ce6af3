"""Loads on a real ledger, with a clock that the test moves, and without journals or processes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_load_exporter.attempt import Begin, End, LoadAttempt
from model_load_exporter.config import Config
from model_load_exporter.holding import Hold, Holding
from model_load_exporter.ledger import Ledger
from model_load_exporter.loads import Loads
from model_load_exporter.tally import Tally


@dataclass
class Clock:
    """Wall and monotonic time as the test says."""

    wall: float = 1_000_000.0
    monotonic: float = 50.0

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


@dataclass
class World:
    """Loads on a real ledger, with a clock of the test's own."""

    folder: Path
    config: Config = field(default_factory=Config)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        self.ledger = Ledger.open(str(self.folder))
        self.loads = Loads(self.config, self.ledger, lambda: self.clock.wall, lambda: self.clock.monotonic)

    def restart(self) -> None:
        self.ledger.close()
        self.open()

    def begin(self, attempt_id: str, model: str = "nllb", **keys: Any) -> LoadAttempt:
        attempt = LoadAttempt(Begin(attempt_id, keys.pop("time", self.clock.wall), model, "service", 7, "boot", **keys))
        self.loads.begin(attempt, self.ledger.row(attempt_id))
        return attempt

    def end(self, attempt: LoadAttempt, outcome: str = "loaded", reason: str | None = None, seconds: float = 0) -> None:
        self.clock.pass_(seconds)
        attempt.apply(End(self.clock.wall, outcome, reason))
        self.loads.end(attempt)

    def load(self, attempt_id: str, model: str = "nllb", **keys: Any) -> None:
        self.end(self.begin(attempt_id, model, **keys))

    def tally(self, model: str = "nllb", target: str = "") -> Tally:
        return self.loads.tallies[target, model]


def holding(holder_id: str, model: str = "nllb", **keys: Any) -> Holding:
    return Holding(Hold(holder_id, keys.pop("time", 1_000_000.0), model, 7, "boot", **keys))
