"""Where each service stands with the probe: its counters, kept over restarts by the ledger, and the last answer."""

import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from model_load_exporter.ledger import Ledger
from model_load_exporter.services.probe import CAUSES, UNANSWERED, Probed

_FACT = "service:"


@dataclass(slots=True)
class ServiceStanding:
    """One service. up, seconds, cause, model_loaded: of the last probe, None before it. unresponsive: seconds.

    failing: the last probes got no answer, without a break.
    """

    probes: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    unresponsive: float = 0.0
    up: bool | None = None
    seconds: float = 0.0
    cause: str | None = None
    model_loaded: bool | None = None
    message: str = ""
    failing: bool = False

    def take(self, result: Probed, since_last: float, *, loading: bool) -> None:
        """Counts a probe. since_last: seconds from the end of the one before; loading: a load of it was open."""
        self.probes += 1
        if result.cause is not None:
            self.failures[result.cause] = self.failures.get(result.cause, 0) + 1
        unanswered = result.cause in UNANSWERED
        if unanswered and loading:
            # Between two probes that got no answer, nobody else got one either.
            self.unresponsive += result.seconds + (since_last if self.failing else 0.0)
        self.failing = unanswered
        self.up, self.seconds, self.message = result.cause is None, result.seconds, result.message
        self.cause, self.model_loaded = result.cause, result.model_loaded

    def counts(self) -> dict[str, Any]:
        """What must not go back over a restart."""
        return {"probes": self.probes, "failures": self.failures, "unresponsive": self.unresponsive}


class ServiceStandings:
    """The standing of every service that is probed. `lock` guards it: probes write on the loop, collectors read."""

    def __init__(self, ledger: Ledger) -> None:
        self.lock = threading.Lock()
        self._ledger = ledger
        self._standings: dict[str, ServiceStanding] = {}
        self._version = 0

    def version(self) -> Hashable:
        """Another value with each change."""
        with self.lock:
            return self._version

    def configure(self, targets: set[str]) -> None:
        """The services that are probed now; their counters come back from the ledger. On the recorder's thread."""
        found = {target: self._standings.get(target) or self._restore(target) for target in targets}
        with self.lock:
            self._standings = found
            self._version += 1

    def all(self) -> dict[str, ServiceStanding]:
        """Each by its target. To be read under the lock."""
        return self._standings

    def get(self, target: str) -> ServiceStanding | None:
        """One service's; None for one that is not probed."""
        with self.lock:
            return self._standings.get(target)

    def take(self, target: str, result: Probed, since_last: float, *, loading: bool) -> dict[str, Any] | None:
        """Counts a probe; answers what the ledger is to keep, None for a service that left the configuration."""
        with self.lock:
            standing = self._standings.get(target)
            if standing is None:
                return None
            standing.take(result, since_last, loading=loading)
            self._version += 1
            return {**standing.counts(), "failures": dict(standing.failures)}

    def keep(self, target: str, counts: dict[str, Any]) -> None:
        """Hands the counters to the ledger. On the recorder's thread."""
        self._ledger.put_fact(_FACT + target, counts)

    def _restore(self, target: str) -> ServiceStanding:
        fact = self._ledger.fact(_FACT + target)
        if not isinstance(fact, dict):
            return ServiceStanding()
        failures = {cause: int(count) for cause, count in fact.get("failures", {}).items() if cause in CAUSES}
        return ServiceStanding(int(fact.get("probes", 0)), failures, float(fact.get("unresponsive", 0.0)))
