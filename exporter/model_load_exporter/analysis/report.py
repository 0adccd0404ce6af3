"""The answer of `analyze`: what the JSON, the text and the Markdown tell."""

from dataclasses import dataclass

from model_load_exporter.analysis.cause import Incident
from model_load_exporter.analysis.timeline import Entry
from model_load_exporter.reasons import REASONS

NONE = "none"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A deciding line. why: what it shows, where it does not say so itself."""

    source: str
    line: int
    text: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """What was read. problem: why it could not be, else ""."""

    name: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What the logs mean together.

    reason: of the closed set, or `none`. stage: of attempt.STAGES, or None where nothing tells it. confidence: high
    (exact words, undisputed), medium (plain words, or others compete) or low (only an end or a vague line is there).
    time: of the deciding line. advice: what to do, most urgent first. missing: what would have told more.
    """

    reason: str
    stage: str | None
    confidence: str
    summary: str
    evidence: tuple[Evidence, ...]
    timeline: tuple[Entry, ...]
    advice: tuple[str, ...]
    missing: tuple[str, ...]
    incidents: tuple[Incident, ...]
    sources: tuple[Source, ...]
    time: str | None = None

    @property
    def failed(self) -> bool:
        """Whether a cause was found."""
        return self.reason != NONE

    @property
    def runbook(self) -> str:
        """The reason's section, below the runbooks' address; "" where nothing failed."""
        return REASONS[self.reason].anchor if self.failed else ""

    def to_json(self) -> dict[str, object]:
        """The shape of `analyze --json`."""
        return {
            "schema": 1,
            "reason": self.reason,
            "stage": self.stage,
            "confidence": self.confidence,
            "summary": self.summary,
            "time": self.time,
            "evidence": [
                {"source": row.source, "line": row.line, "text": row.text, "why": row.why} for row in self.evidence
            ],
            "timeline": [entry.to_json() for entry in self.timeline],
            "advice": list(self.advice),
            "runbook": self.runbook,
            "missing": list(self.missing),
            "incidents": [
                {
                    "reason": incident.event.reason,
                    "stage": incident.event.stage,
                    "resolved": incident.resolved,
                    "source": incident.event.source,
                    "line": incident.event.number,
                    "text": incident.event.text,
                }
                for incident in self.incidents
            ],
            "sources": [{"name": source.name, "problem": source.problem} for source in self.sources],
        }
