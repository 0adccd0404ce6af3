"""A canary load for a person at a terminal: the stages as a waterfall, the memory, and what to do about a failure."""

from collections.abc import Iterator

from model_load_exporter.canary.result import CanaryResult, Check, StageResult
from model_load_exporter.reasons import REASONS
from model_load_exporter.units import format_duration, format_size

_BAR = 32
_GREEN, _RED, _YELLOW, _DIM, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
_COLOURS = {"loaded": _GREEN, "failed": _RED, "skipped": _YELLOW}
_SHOWN_LOG_LINES = 12


def render(result: CanaryResult, *, terminal: bool = False, runbooks: str = "/runbooks/") -> str:
    """The whole report as text, newline at its end. terminal: colours and block characters; else plain ASCII.

    runbooks: the address below which the runbooks are served.
    """
    return "\n".join(_lines(result, terminal, runbooks)) + "\n"


def _lines(result: CanaryResult, terminal: bool, runbooks: str) -> Iterator[str]:
    def paint(text: str, colour: str) -> str:
        return f"{colour}{text}{_PLAIN}" if terminal else text

    place = f"  {paint(result.path, _DIM)}" if result.path and result.path != result.model else ""
    yield f"{result.model}: {paint(_verdict(result), _COLOURS[result.outcome])}{place}"
    if result.stages:
        yield ""
        yield from _waterfall(result, terminal)
    memory = _memory(result)
    if memory:
        yield ""
        yield from (f"  {name:<10} {text}" for name, text in memory)
    if result.outcome == "failed":
        yield ""
        yield from _failure(result, runbooks)
    elif result.message:
        yield f"  {result.message}"
    for note in result.notes:
        yield f"  note: {note}"


def _verdict(result: CanaryResult) -> str:
    if result.outcome == "failed":
        return f"failed ({result.reason}" + (f" at stage {result.stage})" if result.stage else ")")
    if result.outcome == "skipped":
        return f"skipped ({result.skip_cause})"
    return f"loaded in {format_duration(result.duration_seconds)}"


def _waterfall(result: CanaryResult, terminal: bool) -> Iterator[str]:
    """One line a stage: its bar stands where in the load it ran."""
    total = sum(stage.seconds for stage in result.stages) or 1.0
    begun = 0.0
    for stage in result.stages:
        peak = format_size(_rounded(stage.peak_rss_bytes)) if stage.peak_rss_bytes else ""
        yield f"  {stage.name:<10} {_bar(begun, stage, total, terminal)} {format_duration(stage.seconds):>7}  {peak:>7}"
        begun += stage.seconds
    if any(stage.name == "other" for stage in result.stages):
        yield f"  {'':<10} (other: importing the libraries)"


def _bar(begun: float, stage: StageResult, total: float, terminal: bool) -> str:
    first = min(int(begun / total * _BAR), _BAR - 1)
    length = max(1, min(round(stage.seconds / total * _BAR), _BAR - first))
    return (" " * first + ("█" if terminal else "#") * length).ljust(_BAR)


def _memory(result: CanaryResult) -> list[tuple[str, str]]:
    rows = []
    if result.peak_rss_bytes:
        text = f"peak {format_size(_rounded(result.peak_rss_bytes))} resident"
        if result.peak_anonymous_bytes:
            text += f", of which {format_size(_rounded(result.peak_anonymous_bytes))} anonymous"
        rows.append(("memory", text))
    if result.predicted_bytes:
        rows.append(("predicted", format_size(_rounded(result.predicted_bytes))))
    if result.parameters:
        kind = "".join(f", {one}" for one in (result.dtype, result.quantization) if one and one != "none")
        rows.append(("weights", f"{result.parameters:,} parameters{kind}"))
    if result.output is not None:
        judged = {None: "", True: " (as expected)", False: " (NOT as expected)"}[result.output_match]
        rows.append(("output", repr(result.output[:120]) + judged))
    rows += [("expected", _check(check)) for check in result.checks]
    return rows


def _check(check: Check) -> str:
    """`similarity: at least 0.99 to the baseline; found 0.8859 (NOT as expected)`."""
    judged = {None: "not known yet", True: "as expected", False: "NOT as expected"}[check.ok]
    return f"{check.name}: {check.expected}; found {check.found} ({judged})"


def _failure(result: CanaryResult, runbooks: str) -> Iterator[str]:
    reason = REASONS[result.reason or "unknown"]
    yield f"  {reason.sentence}"
    yield f"  why:       {result.message}"
    if result.call:
        yield f"  where:     {result.call}" + (f", reading {result.file}" if result.file else "")
    yield f"  what now:  {reason.remedy}"
    yield f"  runbook:   {runbooks.rstrip('/')}/{reason.anchor}"
    for line in result.evidence:
        yield f"  evidence:  {line}"
    # A failure that the child told itself needs no log; a death often does.
    tail = result.log_tail.strip().splitlines()[-_SHOWN_LOG_LINES:] if reason.family in ("process", "unknown") else []
    if tail:
        yield "  last output:"
        yield from (f"    {line[:200]}" for line in tail)


def _rounded(size: int) -> int:
    """A whole number of bytes is rarely told exactly by a unit; the last digits would only be noise."""
    return size // 1000 * 1000 if size > 1_000_000 else size
