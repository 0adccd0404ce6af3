"""A study for a person at a terminal: what loads and what does not, at what cost, and what to do."""

from collections.abc import Iterable, Iterator, Sequence

from model_load_exporter.canary import ladder
from model_load_exporter.canary.result import CanaryResult
from model_load_exporter.canary.study import Interpreter, Study
from model_load_exporter.canary.variants import Row
from model_load_exporter.units import format_duration, format_size


def render(study: Study) -> str:
    """The tables and the recommendation as text, newline at its end; nothing of the base's own waterfall."""
    return "\n".join(_lines(study)) + "\n"


def _lines(study: Study) -> Iterator[str]:
    if len(study.interpreters) > 1:
        yield "interpreters"
        yield from _table([["python", "versions", "loads", "time", "peak rss"], *map(_interpreter, study.interpreters)])
        yield ""
    for one in study.interpreters:
        under = f" under {one.python}" if len(study.interpreters) > 1 else ""
        if one.components:
            yield f"components{under}"
            yield from _components(one.components)
            yield ""
        if one.rows:
            yield f"variants{under}"
            yield from _variants(one)
            yield ""
    if study.recommendation is not None:
        yield f"recommendation: {study.recommendation.text}"


def _interpreter(one: Interpreter) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in one.base.versions) or "not known"
    return [one.python, versions, _loads(one.base), *_cost(one.base)[:2]]


def _components(components: Sequence[ladder.Component]) -> Iterator[str]:
    rows = [["component", "result", "time", "peak rss", "anonymous"]]
    for one in components:
        status = {
            "ok": "ok",
            "failed": f"failed ({one.result.reason})" if one.result else "failed",
            "skipped": "skipped (memory)",
            "not_reached": f"not reached: {one.why}",
            "does_not_apply": "does not apply",
        }[one.status]
        cost = _cost(one.result)[1:] if one.result is not None else ["", ""]
        seconds = format_duration(one.seconds) if one.seconds is not None else ""
        rows.append([one.step.title, status, seconds, *cost])
    yield from _table(rows)
    told = list(ladder.sentences(components))
    yield from (f"  {line}" for line in told)
    if not told and all(one.status in ("ok", "does_not_apply") for one in components):
        yield "  Every component loads."


def _variants(one: Interpreter) -> Iterator[str]:
    rows = [["variant", "loads", "time", "peak rss", "anonymous", "output"]]
    rows.append(["as configured", _loads(one.base), *_cost(one.base), ""])
    for row in one.rows:
        if row.result is not None:
            rows.append([row.variant.name, _loads(row.result), *_cost(row.result), _output(row)])
    yield from _table(rows)
    for name, result in [("as configured", one.base), *((row.variant.name, row.result) for row in one.rows)]:
        if result is not None and result.outcome != "loaded":
            yield f"  {name}: {result.message}"
    for row in one.rows:
        if row.result is None:
            yield f"  does not apply: {row.variant.name}: {row.why}"


def _loads(result: CanaryResult) -> str:
    if result.outcome == "loaded":
        return "yes"
    return f"no ({result.reason})" if result.outcome == "failed" else f"skipped ({result.skip_cause})"


def _cost(result: CanaryResult) -> list[str]:
    sizes = (result.peak_rss_bytes, result.peak_anonymous_bytes)
    told = [format_size(size // 1_000_000 * 1_000_000) if size else "-" for size in sizes]
    return [format_duration(result.duration_seconds), *told]


def _output(row: Row) -> str:
    if row.result is None or row.result.outcome != "loaded":
        return ""
    told = {True: "same", False: "differs", None: "not compared"}[row.same_output]
    return f"{told} ({row.similarity:.4f})" if row.similarity is not None else told


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Columns as wide as their longest cell, two blanks apart; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield ("  " + "  ".join(_padded(row, widths))).rstrip()


def _padded(row: Sequence[str], widths: Sequence[int]) -> Iterable[str]:
    return (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
