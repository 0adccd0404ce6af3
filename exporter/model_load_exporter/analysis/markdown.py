"""The answer as Markdown, to paste into an incident: foreign text cannot break out of its place."""

from collections.abc import Iterator

from model_load_exporter.analysis.report import Analysis
from model_load_exporter.analysis.text import plain

_LINE = 300


def render(analysis: Analysis) -> str:
    """The whole report, newline at its end."""
    return "\n".join(_lines(analysis)) + "\n"


def _lines(analysis: Analysis) -> Iterator[str]:
    yield f"# Model load: `{analysis.reason}`" + (f" at stage {analysis.stage}" if analysis.stage else "")
    yield ""
    yield "## Summary"
    yield ""
    yield analysis.summary
    yield ""
    yield f"- Reason: `{analysis.reason}`"
    yield f"- Stage: {analysis.stage or 'not told'}"
    yield f"- Confidence: {analysis.confidence}"
    if analysis.time:
        yield f"- Time: {analysis.time}"
    yield "- Logs: " + ", ".join(_code(source.name) for source in analysis.sources)
    if analysis.evidence:
        yield from ("", "## Cause and evidence" if analysis.failed else "## Evidence", "")
        for number, row in enumerate(analysis.evidence, 1):
            why = f" ({row.why})" if row.why else ""
            yield f"{number}. {_code(f'{row.source}:{row.line}')}{why}: {_code(row.text)}"
    if analysis.timeline:
        yield from ("", "## Timeline", "", "| time | who | what | line |", "| --- | --- | --- | --- |")
        for entry in analysis.timeline:
            time = entry.time or entry.clock or "unknown"
            what = f"**{entry.what}**" if entry.what.startswith("cause:") else entry.what
            many = f" (x{entry.count})" if entry.count > 1 else ""
            place = _code(f"{entry.source}:{entry.line}", cell=True)
            yield f"| {time} | {entry.speaker} {place} | {what}{many} | {_code(entry.text, 160, cell=True)} |"
    others = [i for i in analysis.incidents if not analysis.evidence or i.event.text != analysis.evidence[0].text]
    if others:
        yield from ("", "## Other failures in these logs", "")
        for incident in others:
            made = " (made good later)" if incident.resolved else ""
            place = _code(f"{incident.event.source}:{incident.event.number}")
            yield f"- `{incident.event.reason}`{made}, {place}: {_code(incident.event.text, 160)}"
    if analysis.advice:
        yield from ("", "## What to do", "")
        yield from (f"{number}. {step}" for number, step in enumerate(analysis.advice, 1))
    if analysis.missing:
        yield from ("", "## What is missing", "")
        yield from (f"- {note}" for note in analysis.missing)


def _code(text: str, limit: int = _LINE, *, cell: bool = False) -> str:
    """Foreign text as inline code, fenced by more backticks than it has in a row; in a table's cell without bars."""
    clean = plain(text, limit) or " "
    if cell:
        clean = clean.replace("|", "\\|")
    runs = 0
    longest = 0
    for character in clean:
        runs = runs + 1 if character == "`" else 0
        longest = max(longest, runs)
    fence = "`" * (longest + 1)
    space = " " if longest or clean.startswith("`") else ""
    return f"{fence}{space}{clean}{space}{fence}"
