"""The answer for a person at a terminal: the cause first, then the lines, then what to do."""

from collections.abc import Iterator, Sequence

from model_load_exporter.analysis.report import Analysis
from model_load_exporter.analysis.timeline import Entry

_BOLD, _RED, _GREEN, _DIM, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[2m", "\x1b[0m"
_WIDTH = 160
_ROWS = 24


def render(analysis: Analysis, *, terminal: bool = False) -> str:
    """The whole report, newline at its end. terminal: with colours."""
    return "\n".join(_lines(analysis, terminal)) + "\n"


def _lines(analysis: Analysis, terminal: bool) -> Iterator[str]:
    def paint(text: str, colour: str) -> str:
        return f"{colour}{text}{_PLAIN}" if terminal else text

    head = paint(analysis.reason, _BOLD + (_RED if analysis.failed else _GREEN))
    where = f" at stage {analysis.stage}" if analysis.stage else ""
    when = f", {analysis.time}" if analysis.time else ""
    yield f"{head}{where} (confidence {analysis.confidence}{when})"
    yield analysis.summary
    if analysis.evidence:
        yield ""
        yield "evidence"
        for row in analysis.evidence:
            yield f"  {plain(row.text)}"
            yield paint(f"      {row.source}:{row.line}" + (f"  {row.why}" if row.why else ""), _DIM)
    if len(analysis.timeline) > 1:
        yield ""
        yield "timeline"
        yield from (paint(text, _BOLD) if marked else text for text, marked in _timeline(analysis.timeline))
    if analysis.advice:
        yield ""
        yield "what now"
        yield from (f"  {step}" for step in analysis.advice)
    others = [incident for incident in analysis.incidents if incident.event.text != _cause_text(analysis)]
    if others:
        yield ""
        yield "other failures in these logs"
        for incident in others:
            made = "made good later: " if incident.resolved else ""
            yield f"  {incident.event.source}:{incident.event.number}  {made}{incident.event.reason}: " + plain(
                incident.event.text, 100
            )
    if analysis.missing:
        yield ""
        yield from (paint(f"note: {note}", _DIM) for note in analysis.missing)


def _cause_text(analysis: Analysis) -> str:
    return analysis.evidence[0].text if analysis.failed and analysis.evidence else ""


def _timeline(entries: Sequence[Entry]) -> Iterator[tuple[str, bool]]:
    """(line, whether it is the cause)."""
    first = next((at for at, entry in enumerate(entries) if entry.what.startswith("cause:")), len(entries) - 1)
    start = max(0, min(first - _ROWS * 2 // 3, len(entries) - _ROWS))
    shown = entries[start : start + _ROWS]
    if start:
        yield f"  ... {start} earlier", False
    for entry in shown:
        time = entry.time or entry.clock or "time unknown"
        many = f" (x{entry.count}{f' until {entry.until}' if entry.until else ''})" if entry.count > 1 else ""
        line = f"  {time:<24}  {entry.speaker:<7}  {entry.what}{many}: {plain(entry.text, 90)}"
        yield line, entry.what.startswith("cause:")
    if start + len(shown) < len(entries):
        yield f"  ... {len(entries) - start - len(shown)} later", False


def plain(text: str, limit: int = _WIDTH) -> str:
    """A foreign line as a terminal may show it: no control characters, bounded."""
    clean = "".join(character if character.isprintable() else " " for character in text).strip()
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."
