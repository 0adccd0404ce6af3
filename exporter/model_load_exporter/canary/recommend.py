"""What to do after `probe --variants`: one recommendation, by rules that can be read here.

1. As configured it does not load, for want of memory: the variant that loads with the least anonymous memory, which
   is what an OOM killer counts; of equals the one with the lowest resident peak.
2. It does not load for another reason: the first variant of the table that loads; else another interpreter that does.
3. It loads: the variant whose output is the same and whose resident peak is the lowest, if that saves SAVES of it.
4. Otherwise nothing is better: keep it, or, where it does not load, follow the reason's remedy.

Without variants there are only interpreters: they are compared, and none is recommended over one under which it loads.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from model_load_exporter.canary.expectation import cosine
from model_load_exporter.canary.result import CanaryResult
from model_load_exporter.canary.variants import Row
from model_load_exporter.reasons import REASONS
from model_load_exporter.units import format_size

SAVES = 0.2
"""Share of the peak memory that a variant must save to be worth a change."""

SAME = 0.999
"""From this cosine on two outputs are called the same: bfloat16 keeps it, int8 often does not."""

_MEMORY = ("cgroup_oom_killed", "host_oom_killed", "host_memory_error", "resource_limit")


@dataclass(frozen=True, slots=True)
class Recommendation:
    """text: one or two sentences. variant, change: what to take and its code; None to keep things as they are."""

    text: str
    variant: str | None = None
    change: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The value of `recommendation`."""
        return asdict(self)


def compare(base: CanaryResult, result: CanaryResult) -> tuple[bool | None, float | None]:
    """(same output, cosine) of two loads; None where either did not load or has nothing to compare."""
    if base.outcome != "loaded" or result.outcome != "loaded":
        return None, None
    if base.vector is not None and result.vector is not None:
        similarity = cosine(base.vector, result.vector)
        return (similarity is not None and similarity >= SAME), similarity
    if base.output is not None and result.output is not None:
        return base.output == result.output, None
    if base.fingerprint is not None and base.dtype == result.dtype:
        return base.fingerprint == result.fingerprint, None
    return None, None


def recommend(base: CanaryResult, rows: Sequence[Row], others: Sequence[tuple[str, CanaryResult]]) -> Recommendation:
    """rows: the variants of the base. others: the same load under further interpreters, as (python, result)."""
    if base.outcome == "skipped":
        return Recommendation(f"It was not tried: {base.message}.")
    loads = [row for row in rows if row.result is not None and row.result.outcome == "loaded"]
    if base.outcome == "loaded":
        return _saving(base, loads) if rows or not others else _compared(base, others)
    if loads and base.reason in _MEMORY:
        return _take(base, min(loads, key=lambda row: (_anonymous(row), _peak(row))))
    if loads:
        return _take(base, loads[0])
    for python, result in others:
        if result.outcome == "loaded":
            has = ", ".join(f"{name} {version}" for name, version in result.versions)
            return Recommendation(f"It loads under {python} ({has}): install these versions into the service.")
    tried = "None of the variants tried loads. " if any(row.result for row in rows) else ""
    return Recommendation(f"{tried}{REASONS[base.reason or 'unknown'].remedy}")


def _take(base: CanaryResult, row: Row) -> Recommendation:
    text = (
        f"As configured it does not load ({base.reason}). With {row.variant.name} it does, at a peak of "
        f"{_told(_peak(row))} resident, {_told(_anonymous(row))} of it anonymous: {row.variant.change}"
    )
    return Recommendation(text, row.variant.name, row.variant.change)


def _saving(base: CanaryResult, loads: Sequence[Row]) -> Recommendation:
    peak = base.peak_rss_bytes
    good = [row for row in loads if row.same_output and row.result is not None and row.result.peak_rss_bytes]
    best = min(good, key=_peak, default=None)
    if peak and best is not None and _peak(best) <= (1 - SAVES) * peak:
        saved = 1 - _peak(best) / peak
        text = (
            f"It loads as configured. With {best.variant.name} it gives the same output at a peak of "
            f"{_told(_peak(best))} instead of {_told(peak)}, {saved:.0%} less: {best.variant.change}"
        )
        return Recommendation(text, best.variant.name, best.variant.change)
    text = f"Keep it as it is: no variant with the same output saves {SAVES:.0%} of the peak."
    differ = [row for row in loads if row.same_output is None and _peak(row) <= (1 - SAVES) * (peak or 0)]
    if differ:
        row = min(differ, key=_peak)
        text += f" {row.variant.name} needs {_told(_peak(row))}, but its output could not be compared here."
    return Recommendation(text)


def _compared(base: CanaryResult, others: Sequence[tuple[str, CanaryResult]]) -> Recommendation:
    """Under the first interpreter it loads, and nothing else was tried than the others."""
    told = ["It loads under the first interpreter."]
    for python, result in others:
        if result.outcome == "skipped":
            told.append(f"Under {python} it was not tried ({result.skip_cause}).")
        elif result.outcome != "loaded":
            told.append(f"Under {python} it does not load ({result.reason}).")
        else:
            same = {True: ", the same output", False: ", another output", None: ""}[compare(base, result)[0]]
            told.append(f"Under {python} it loads too{_peaks(base, result)}{same}.")
    return Recommendation(" ".join((*told, "No variants were tried: --variants does.")))


def _peaks(base: CanaryResult, result: CanaryResult) -> str:
    if not base.peak_rss_bytes or not result.peak_rss_bytes:
        return ""
    return f", at a peak of {_told(result.peak_rss_bytes)} instead of {_told(base.peak_rss_bytes)}"


def _peak(row: Row) -> int:
    return (row.result.peak_rss_bytes if row.result is not None else None) or 2**62


def _anonymous(row: Row) -> int:
    return (row.result.peak_anonymous_bytes if row.result is not None else None) or _peak(row)


def _told(size: int) -> str:
    return format_size(size // 1_000_000 * 1_000_000)
