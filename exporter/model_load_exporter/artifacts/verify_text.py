"""A verification for a person: what is wrong first and what to do, then a table a model."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from model_load_exporter.artifacts.check import UNKNOWN
from model_load_exporter.artifacts.report import FileReport, Report
from model_load_exporter.reasons import REASONS
from model_load_exporter.units import format_size

_GREEN, _RED, _DIM, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[2m", "\x1b[0m"
_OK, _BAD = "  ok ", "  BAD"
_SHOWN = 200
"""Rows of a table; what is bad is always told above."""


def render(report: Report, level: str, *, terminal: bool = False) -> str:
    """The whole report as text, newline at its end. terminal: with colours."""

    def paint(text: str, colour: str) -> str:
        return f"{colour}{text}{_PLAIN}" if terminal else text

    bad = [file for file in report.files if not file.ok]
    size = sum(file.size or 0 for file in report.files)
    count = f"{len(report.files)} file{'s' * (len(report.files) != 1)}, {_size(size)}, level {level}"
    head = paint(f"{len(bad)} bad", _RED) if bad else paint("all good", _GREEN)
    lines = [f"{head}: {count}"]
    for reason in dict.fromkeys(file.reason or "unknown" for file in bad):
        told = REASONS[reason]
        lines += ["", f"{paint(reason, _RED)}: {told.sentence}"]
        same = [file for file in bad if (file.reason or "unknown") == reason]
        lines += [f"  {_plain(file.path)}: {_plain(file.detail)}" for file in same]
        lines += [f"  what now: {told.remedy}"]
    models = list(_by_model(report))
    told_of = [one for one in models if any(file.format != UNKNOWN or not file.ok for file in one[1])] or models
    for model, files in told_of:
        lines += ["", f"{_plain(model)}  {paint(_size(sum(file.size or 0 for file in files)), _DIM)}"]
        lines += [paint(row, _RED) if row.startswith(_BAD) else row for row in _table(model, files)]
    if others := sum(len(files) for _, files in models) - sum(len(files) for _, files in told_of):
        lines += ["", f"and {others} of no known format elsewhere"]
    return "\n".join(lines) + "\n"


def _by_model(report: Report) -> Iterator[tuple[Path, list[FileReport]]]:
    """Each model with its files; a file is the innermost model's."""
    models = sorted(report.models, key=lambda path: -len(path.parts))
    found: dict[Path, list[FileReport]] = {}
    for file in report.files:
        model = next((path for path in models if file.path.is_relative_to(path)), file.path.parent)
        found.setdefault(model, []).append(file)
    yield from sorted(found.items())


def _table(model: Path, files: Sequence[FileReport]) -> Iterator[str]:
    known = [file for file in files if file.format != UNKNOWN or not file.ok]
    shown = known[:_SHOWN]
    sizes = ["-" if file.size is None else _size(file.size) for file in shown]
    rows = [(_name(model, file), file.format, size, _said(file)) for file, size in zip(shown, sizes, strict=True)]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for file, (name, form, size, said) in zip(shown, rows, strict=True):
        mark = _OK if file.ok else _BAD
        yield f"{mark}  {name:<{widths[0]}}  {form:<{widths[1]}}  {size:>{widths[2]}}  {said}".rstrip()
    others = [file for file in files if file not in known]
    if len(known) > len(shown):
        yield f"       and {len(known) - len(shown)} more"
    if others:
        yield f"       and {len(others)} of no known format, {_size(sum(file.size or 0 for file in others))}"


def _name(model: Path, file: FileReport) -> str:
    name = str(file.path.relative_to(model)) if file.path.is_relative_to(model) else str(file.path)
    return _plain(name if name != "." else "(folder)")


def _said(file: FileReport) -> str:
    """What the file tells of itself; of a bad one, why."""
    if not file.ok:
        return file.reason or "unknown"
    told = [file.metadata[key] for key in ("architecture", "dtype", "producer", "version") if file.metadata.get(key)]
    notes = [file.metadata["note"]] if "note" in file.metadata else []
    if "manifest" in file.metadata:
        notes.append(f"manifest: {file.metadata['manifest']}")
    return _plain("; ".join([", ".join(told), *notes] if told else notes))


def _size(size: int) -> str:
    return format_size(float(f"{size:.3g}"))


def _plain(text: object) -> str:
    """On one line, without what a terminal would obey or not print."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))
