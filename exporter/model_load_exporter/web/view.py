"""What is to be seen of each model, as plain data: the status page and /api/v1/models show the same."""

import time
from dataclasses import asdict
from typing import Any

from model_load_exporter.attempt import LoadAttempt
from model_load_exporter.collectors.holders import memory_usage
from model_load_exporter.loads import Key, OpenLoad
from model_load_exporter.reasons import REASONS
from model_load_exporter.tally import Tally
from model_load_exporter.web.context import Context

_SHOWN_PROBLEMS = 20


def models_view(context: Context) -> list[dict[str, Any]]:
    """One entry a known {target, model}, worst state first. Unix seconds, seconds, bytes.

    /api/v1/models answers it as it is.
    """
    with context.loads.lock:
        rows = [_row(context, key) for key in context.loads.known()]
    for row in rows:
        row["canary"] = _canary(context, row["model"])
        row["files"] = _files(context, row["model"])
        row["state"] = _state(row)
    order = ("failed", "canary failing", "files bad", "loading", "not loaded", "loaded", "ready to load", "unknown")
    return sorted(rows, key=lambda row: (order.index(row["state"]), row["model"], row["target"]))


def _row(context: Context, key: Key) -> dict[str, Any]:
    loads = context.loads
    tally = loads.tallies[key]
    holds = [held.hold for rows in loads.held.values() for held in rows if held.key == key]
    limits = loads.thresholds(key)
    return {
        "target": key[0],
        "model": key[1],
        "loaded": len({hold.id for hold in holds}),
        "required": loads.required.get(key),
        "memory_bytes": memory_usage(holds),
        "memory_threshold_bytes": limits.memory_bytes,
        "load_threshold_seconds": limits.load_seconds,
        "open": [_open(load) for load in loads.open.values() if load.key == key],
        "attempts": tally.attempts,
        "failures": sum(tally.failures.values()),
        "last_seconds": tally.last_seconds,
        "last_outcome": tally.last_outcome or None,
        "success_time": tally.success_time or None,
        "peak_rss_bytes": tally.peak_rss,
        "last_stages": [{"name": name, "seconds": seconds, "rss": rss} for name, seconds, rss in tally.last_stages],
        "failure": _failure(tally),
    }


def _open(load: OpenLoad) -> dict[str, Any]:
    attempt = load.attempt
    return {
        "id": attempt.id,
        "stage": attempt.stage,
        "elapsed_seconds": load.elapsed(time.monotonic()),
        "progress_time": load.progress_time,
        "stages": stages_of(attempt),
        "waits": [asdict(wait) for wait in attempt.waits],
    }


def stages_of(attempt: LoadAttempt) -> list[dict[str, Any]]:
    """The stages of an attempt, in order."""
    return [{"name": stage.name, "seconds": stage.seconds, "rss": stage.rss} for stage in attempt.stages]


def _failure(tally: Tally) -> dict[str, Any] | None:
    """The last failure, in words; None where there was none."""
    if not tally.failure:
        return None
    name, (when, stage) = max(tally.failure.items(), key=lambda item: item[1][0])
    return {"time": when, "stage": stage, **words(name)}


def words(name: str | None) -> dict[str, Any]:
    """A reason with its sentence, its remedy and where its runbook is."""
    reason = REASONS.get(name or "", REASONS["unknown"])
    return {
        "reason": reason.name,
        "sentence": reason.sentence,
        "remedy": reason.remedy,
        "runbook": f"/runbooks/{reason.anchor}",
    }


def _canary(context: Context, name: str) -> dict[str, Any] | None:
    standing = context.standings.get(name)
    if standing is None:
        return None
    view = {**asdict(standing), "running": context.standings.running(name)}
    last = standing.last
    view["failure"] = words(last["reason"]) if last is not None and last["outcome"] == "failed" else None
    return view


def _files(context: Context, name: str) -> dict[str, Any] | None:
    """What verification knows of the model's files; None where they are not verified."""
    standing = context.files.get(name)
    if standing is None:
        return None
    return {
        "valid": standing.valid if standing.verified is not None else None,
        "verified": standing.verified,
        "checksummed": standing.checksummed,
        "size_bytes": standing.size,
        "count": standing.count,
        "modified": standing.modified,
        "problems": [
            {**asdict(problem), "runbook": words(problem.reason)["runbook"]}
            for problem in standing.problems[:_SHOWN_PROBLEMS]
        ],
        "problems_total": len(standing.problems),
        "changed": standing.changed,
        "changes": standing.changes,
        "events": [asdict(event) for event in reversed(standing.events)],
        "error": standing.error,
        "running": context.files.running(name),
        "stuck": context.files.stuck(name),
    }


def _state(row: dict[str, Any]) -> str:
    """One word for where a model stands."""
    failure = row["failure"]
    if row["open"]:
        return "loading"
    if failure is not None and failure["time"] > (row["success_time"] or 0):
        return "failed"
    if row["canary"] is not None and row["canary"]["failure"] is not None:
        return "canary failing"
    if row["files"] is not None and row["files"]["valid"] is False:
        return "files bad"
    if row["required"] is not None and row["loaded"] < row["required"]:
        return "not loaded"
    if row["loaded"]:
        return "loaded"
    if row["canary"] is not None and row["canary"]["last"] is not None:
        return "ready to load"
    return "not loaded" if row["attempts"] else "unknown"
