"""Where each model stands with the canary: its counters and its last result, kept over restarts by the ledger."""

import threading
from collections.abc import Hashable
from dataclasses import asdict, dataclass, field
from typing import Any

from model_load_exporter.canary.result import Baseline, CanaryResult
from model_load_exporter.ledger import Ledger, Row

_FACT = "canary:"
_BASELINE = "canary_baseline:"


@dataclass(slots=True)
class Standing:
    """One model's canary. last: the last result that was no skip, in the shape of `probe --json`, None before it.

    skipped, failures: counts by cause and by reason. last_skip: what the last skip said, '' when a load came after it.
    """

    attempts: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    last: dict[str, Any] | None = None
    last_skip: str = ""

    @property
    def last_run(self) -> float | None:
        """When the last load that was no skip began, unix seconds."""
        return float(self.last["started"]) if self.last is not None else None


class Standings:
    """The standing of every model that a canary loads. `lock` guards it: the recorder's thread writes, others read."""

    def __init__(self, ledger: Ledger) -> None:
        self.lock = threading.Lock()
        self._ledger = ledger
        self._standings: dict[str, Standing] = {}
        self._baselines: dict[str, Baseline] = {}
        self._running: set[str] = set()
        self._version = 0

    def version(self) -> Hashable:
        """Another value with each change."""
        with self.lock:
            return self._version

    def configure(self, names: set[str]) -> None:
        """The models that have a canary now; their standing comes back from the ledger. On the recorder's thread."""
        found = {name: self._standings.get(name) or self._restore(name) for name in names}
        baselines = {name: self._baselines.get(name) or self._restore_baseline(name) for name in names}
        with self.lock:
            self._standings = found
            self._baselines = {name: baseline for name, baseline in baselines.items() if baseline is not None}
            self._version += 1

    def get(self, name: str) -> Standing | None:
        """One model's standing; None for a model without a canary."""
        with self.lock:
            return self._standings.get(name)

    def baseline(self, name: str) -> Baseline | None:
        """The output that a good run of the model recorded; None before one."""
        with self.lock:
            return self._baselines.get(name)

    def running(self, name: str) -> bool:
        """True while the model's canary load is under way."""
        with self.lock:
            return name in self._running

    def mark(self, name: str, *, running: bool) -> None:
        """A canary load of the model began or ended."""
        with self.lock:
            (self._running.add if running else self._running.discard)(name)
            self._version += 1

    def record(self, result: CanaryResult) -> None:
        """Counts a result. On the recorder's thread."""
        with self.lock:
            standing = self._standings.get(result.model)
            if standing is None:
                # The model left the configuration while it was being loaded.
                return
            if result.outcome == "skipped":
                cause = result.skip_cause or "unknown"
                standing.skipped[cause] = standing.skipped.get(cause, 0) + 1
                standing.last_skip = result.message
            else:
                standing.attempts += 1
                standing.last = result.to_json()
                standing.last_skip = ""
                if result.outcome == "failed":
                    reason = result.reason or "unknown"
                    standing.failures[reason] = standing.failures.get(reason, 0) + 1
            self._version += 1
            if result.new_baseline is not None:
                self._baselines[result.model] = result.new_baseline
        if result.new_baseline is not None:
            # Apart from the standing, which is written with each run and shown on the status page.
            self._ledger.put_fact(_BASELINE + result.model, asdict(result.new_baseline))
        self._ledger.put_fact(_FACT + result.model, asdict(standing))
        if result.outcome != "skipped":
            self._ledger.put_row(_row(result))

    def _restore(self, name: str) -> Standing:
        fact = self._ledger.fact(_FACT + name)
        known = {key: fact[key] for key in Standing.__slots__ if key in fact} if isinstance(fact, dict) else {}
        return Standing(**known)

    def _restore_baseline(self, name: str) -> Baseline | None:
        fact = self._ledger.fact(_BASELINE + name)
        try:
            return Baseline(str(fact["key"]), tuple(map(float, fact["vector"])), float(fact["recorded"]))
        except (TypeError, KeyError, ValueError):
            return None


def _row(result: CanaryResult) -> Row:
    detail = {
        "path": result.path,
        "stages": [
            {"name": stage.name, "seconds": stage.seconds, "rss": stage.peak_rss_bytes} for stage in result.stages
        ],
        "evidence": list(result.evidence),
        "notes": list(result.notes),
        "log_tail": result.log_tail,
        "output_match": result.output_match,
        "checks": [asdict(check) for check in result.checks],
    }
    return Row(
        id=result.attempt_id, load_id=result.attempt_id, kind="canary", target="", model=result.model,
        began=result.started, ended=result.started + result.duration_seconds, outcome=result.outcome,
        reason=result.reason, stage=result.stage, seconds=result.duration_seconds, message=result.message,
        peak_rss=result.peak_rss_bytes, peak_anonymous=result.peak_anonymous_bytes,
        detail={name: value for name, value in detail.items() if value not in (None, "", [])},
    )  # fmt: skip
