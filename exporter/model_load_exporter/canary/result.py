"""What one canary load came to: the outcome, its stages, its memory, and why it failed."""

from dataclasses import asdict, dataclass
from typing import Any

SCHEMA = 1

OUTCOMES = ("loaded", "failed", "skipped")
SKIP_CAUSES = ("memory", "oom_group")
"""Why a load was not tried: it would not fit beside what runs; its OOM kill would take the daemon along."""


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage: its name (a stage of the contract), its seconds, and its own peak of resident memory in bytes."""

    name: str
    seconds: float
    peak_rss_bytes: int | None


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation of `canary.expect`: its key, whether it holds, and both sides of it as text.

    ok is None where there is nothing to compare with yet (no baseline), and False where the load did not tell.
    """

    name: str
    ok: bool | None
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """The numbers of an output that was accepted. key: of what; another key means another output is to be expected."""

    key: str
    vector: tuple[float, ...]
    recorded: float


@dataclass(frozen=True, slots=True)
class CanaryResult:
    """One canary load.

    outcome: one of OUTCOMES. reason: of the closed set, only when failed. stage: where it failed. started: unix
    seconds. path: what was loaded, after a repo id was looked up in the hub's cache. skip_cause: one of SKIP_CAUSES,
    only when skipped. output_match: whether all `checks` hold; None without any, and where one cannot be told yet.
    vector, vector_of_text: the first output's numbers, and those of the text that it is compared with. new_baseline:
    what later outputs are to be compared with. kind: how the model was asked: generate, embed, classify or forward.
    call: the library's function that failed or was under way, '' for a good load; file: the model's file that it was
    reading, where known. quantization: `none`, or how the weights are quantised. fingerprint: a checksum of them, where
    one was asked for. predicted_bytes: from the files' headers, before the load. evidence: what the verdict rests on.
    notes: what
    containment or load could not do (`network not isolated`). log_tail: the last 8 KiB of the child's output.
    """

    model: str
    path: str | None
    attempt_id: str
    outcome: str
    started: float
    duration_seconds: float = 0.0
    reason: str | None = None
    stage: str | None = None
    stages: tuple[StageResult, ...] = ()
    peak_rss_bytes: int | None = None
    peak_anonymous_bytes: int | None = None
    message: str = ""
    log_tail: str = ""
    skip_cause: str | None = None
    output: str | None = None
    output_match: bool | None = None
    checks: tuple[Check, ...] = ()
    vector: tuple[float, ...] | None = None
    vector_of_text: tuple[float, ...] | None = None
    new_baseline: Baseline | None = None
    kind: str | None = None
    call: str = ""
    file: str | None = None
    predicted_bytes: int | None = None
    evidence: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    parameters: int | None = None
    dtype: str | None = None
    quantization: str | None = None
    fingerprint: str | None = None
    versions: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The shape of `probe --json`: seconds and bytes; absent facts are null."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "path": self.path,
            "attempt_id": self.attempt_id,
            "outcome": self.outcome,
            "reason": self.reason,
            "stage": self.stage,
            "call": self.call or None,
            "file": self.file,
            "skip_cause": self.skip_cause,
            "started": self.started,
            "duration_seconds": round(self.duration_seconds, 6),
            "stages": [
                {"name": stage.name, "seconds": round(stage.seconds, 6), "peak_rss_bytes": stage.peak_rss_bytes}
                for stage in self.stages
            ],
            "peak_memory": {"rss_bytes": self.peak_rss_bytes, "anonymous_bytes": self.peak_anonymous_bytes},
            "predicted_bytes": self.predicted_bytes,
            "output": self.output,
            "output_match": self.output_match,
            "checks": [asdict(check) for check in self.checks],
            "parameters": self.parameters,
            "dtype": self.dtype,
            "quantization": self.quantization,
            "versions": dict(self.versions),
            "message": self.message,
            "evidence": list(self.evidence),
            "notes": list(self.notes),
            "log_tail": self.log_tail,
        }
