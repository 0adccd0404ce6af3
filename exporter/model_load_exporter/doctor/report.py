"""What the doctor found, for a person: at a terminal, and to be pasted into an issue."""

from collections.abc import Iterator

from model_load_exporter.doctor.examination import Examination
from model_load_exporter.doctor.finding import Finding

_MARKS = {"problem": "PROBLEM", "warning": "warning", "fine": "ok"}
_COLOURS = {"problem": "\x1b[31m", "warning": "\x1b[33m", "fine": "\x1b[32m"}
_PLAIN = "\x1b[0m"
_SHOWN = ("torch", "transformers", "tokenizers", "safetensors", "accelerate", "numpy")


def text(examination: Examination, *, terminal: bool = False) -> str:
    """The worst first; newline at the end."""
    lines: list[str] = []
    for finding in examination.findings:
        mark = f"{_MARKS[finding.severity]:<8}"
        mark = f"{_COLOURS[finding.severity]}{mark}{_PLAIN}" if terminal else mark
        lines.append(f"{mark} {finding.area:<11} {finding.what}")
        if finding.why:
            lines.append(f"{'':<21}why:  {finding.why}")
        if finding.fix:
            lines.append(f"{'':<21}do:   {finding.fix}")
    lines.append("")
    lines.append(_summary(examination))
    return "\n".join(lines) + "\n"


def markdown(examination: Examination) -> str:
    """A report to paste."""
    return "\n".join(_markdown(examination)) + "\n"


def _markdown(examination: Examination) -> Iterator[str]:
    yield "## Environment of model loads"
    yield ""
    yield _summary(examination)
    for one in examination.interpreters:
        known = ", ".join(f"{name} {one.version(name)}" for name in _SHOWN if one.version(name))
        cuda = f", CUDA {one.cuda}" if one.cuda else ""
        yield f"- `{one.path}`: Python {one.python}, {known or 'no model library'}{cuda}"
    yield ""
    yield "| | area | finding | why | what to do |"
    yield "| --- | --- | --- | --- | --- |"
    for finding in examination.findings:
        cells = (_MARKS[finding.severity], finding.area, finding.what, finding.why, _code(finding))
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _code(finding: Finding) -> str:
    return f"`{finding.fix}`" if finding.fix else ""


def _summary(examination: Examination) -> str:
    counts = {severity: sum(one.severity == severity for one in examination.findings) for severity in _MARKS}
    if examination.healthy:
        return f"Nothing to do: {counts['fine']} things looked at."
    return f"{counts['problem']} problems, {counts['warning']} warnings, {counts['fine']} fine."
