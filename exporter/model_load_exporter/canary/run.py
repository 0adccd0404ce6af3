"""One canary load from prediction to result: skip it or run it contained, and say what came of it.

The daemon's loop is never blocked, and no model library is ever imported here: whatever a model does, it does in the
child.
"""

import asyncio
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from model_load_exporter.artifacts.predict import LIBRARIES
from model_load_exporter.canary import expectation, headroom, sandbox
from model_load_exporter.canary.child import SUPPORTED_LOADERS
from model_load_exporter.canary.culprit import with_culprit
from model_load_exporter.canary.launch import Ending, follow
from model_load_exporter.canary.observed import numbers_of, text_of
from model_load_exporter.canary.result import Baseline, CanaryResult
from model_load_exporter.canary.verdict import Verdict, judge
from model_load_exporter.classify.exceptions import without_advice
from model_load_exporter.config.schema import Canary, Model
from model_load_exporter.looks import Look
from model_load_exporter.looks.answers import look_here
from model_load_exporter.units import format_size

_STAT_SECONDS, _READ_SECONDS = 10.0, 30.0
"""For a look at the files, and for reading their headers: a slow disk has to find them first."""


async def run_canary(
    model: Model,
    *,
    spool_dir: str | None = None,
    attempt_id: str | None = None,
    available_memory: Callable[[], int | None] | None = None,
    stages: Sequence[str] | None = None,
    options: Mapping[str, object] | None = None,
    fingerprint: bool = False,
    weights_share: float = 1.0,
    baseline: Baseline | None = None,
    look: Look = look_here,
    culprit: bool = True,
    procfs: str = "/proc",
    sysfs: str = "/sys",
) -> CanaryResult:
    """Loads the model once, in a sandbox, and returns what came of it; never raises for anything that a model does.

    spool_dir: where the child writes its journal; without it there is none. available_memory: bytes that may be taken
    now (default: what host and cgroup have left). stages: only these. options: what to do otherwise than a service does
    by default, of child.OPTIONS; weights_share: what then remains of the weights' predicted size. fingerprint: tell a
    checksum of the weights. baseline: the output that earlier runs recorded. look: how to look at files, where that may
    hang: Looker.ask. culprit: scan a pickle that was refused for what it imports; that may take seconds, so it is for a
    person who waits, and the daemon has its verification. A cancelled run leaves no process behind.
    Runs of several models at once are safe, but one at a time is kinder to the host: that is the schedule's work.
    """
    canary = model.canary or Canary()
    attempt_id = attempt_id or uuid.uuid4().hex
    blank = CanaryResult(model.name, model.path, attempt_id, "failed", time.time())

    refusal = _refusal(model)
    if refusal is not None:
        return replace(blank, reason=refusal.reason, message=refusal.message)
    path = model.path or ""
    try:
        location = await asyncio.to_thread(look, "located", path, seconds=_STAT_SECONDS)
        if location is None:
            return replace(blank, reason="file_missing", message=await asyncio.to_thread(_missing, path, look))
        prediction = await asyncio.to_thread(look, "predicted", path, model.loader, seconds=_READ_SECONDS)
    except TimeoutError as error:
        return replace(blank, reason="timeout", message=f"not tried: {error.strerror}")
    except OSError as error:
        return replace(blank, reason="unknown", message=f"{path}: {error.strerror}")
    found, repo = location
    blank = replace(blank, path=found)

    share = weights_share if not stages or "weights" in stages else 0.0
    predicted = None
    how = ""
    if prediction is not None:
        most, how = prediction
        libraries = min(LIBRARIES.get(model.loader, 0), most)
        predicted = libraries + int((most - libraries) * share)
    blank = replace(blank, predicted_bytes=predicted)
    available = available_memory() if available_memory is not None else headroom.available_memory(procfs, sysfs)
    # A limit below the prediction is no reason to skip: it contains the load, and is there to be tested.
    needed = min(predicted, canary.memory_limit or predicted) if predicted is not None else None
    if needed is not None and available is not None and needed + headroom.RESERVE > available:
        message = (
            f"not tried: it needs about {format_size(needed)} ({how}), "
            f"{format_size(available)} is available, of which {format_size(headroom.RESERVE)} stays free"
        )
        return replace(blank, outcome="skipped", skip_cause="memory", message=message)
    try:
        box = sandbox.build(attempt_id, canary.memory_limit, available, procfs, sysfs)
    except sandbox.WouldHarmError as error:
        return replace(blank, outcome="skipped", skip_cause=error.cause, message=str(error))

    spec = {
        "spool": spool_dir, "id": attempt_id, "model": model.name, "path": found, "repo": repo,
        "loader": model.loader, "task": model.task, "input": canary.input, "stages": list(stages) if stages else None,
        "options": dict(options or {}), "fingerprint": fingerprint, "text": _text_to_compare(canary),
    }  # fmt: skip
    python = canary.python or sys.executable
    try:
        ending = await follow(python, spec, box, canary.timeout)
    except OSError as error:
        message = f"canary.python {python} cannot be run: {error.strerror}"
        return replace(blank, reason="dependency_missing", message=message, notes=box.notes)
    verdict = await asyncio.to_thread(judge, ending, box, canary.timeout, found)
    if culprit:
        verdict = await asyncio.to_thread(with_culprit, verdict, found)
    result = _result(blank, ending, box, verdict, canary)
    return _held_to_expectation(model, result, baseline) if result.outcome == "loaded" and not stages else result


def _text_to_compare(canary: Canary) -> str | None:
    similarity = canary.expect.similarity if canary.expect is not None else None
    return similarity.text if similarity is not None else None


def _held_to_expectation(model: Model, result: CanaryResult, baseline: Baseline | None) -> CanaryResult:
    checks = expectation.checks(model, result, baseline)
    result = replace(result, checks=checks, output_match=expectation.match(checks))
    return replace(result, new_baseline=expectation.new_baseline(model, result, baseline))


def _refusal(model: Model) -> Verdict | None:
    """What can be said without a child."""
    if not model.path:
        return Verdict("config_invalid", f"the model {model.name} has no path: set models[].path")
    if model.loader not in SUPPORTED_LOADERS and not model.loader.startswith("python:"):
        known = ", ".join(SUPPORTED_LOADERS)
        return Verdict(
            "config_invalid",
            f"loader {model.loader} is not supported by this version's canary: use {known} or python:module:callable",
        )
    return None


def _missing(path: str, look: Look) -> str:
    if path.startswith("/"):
        detail = look("wrong", path, seconds=_STAT_SECONDS)
        return f"{path}: {detail}" if detail is not None else f"{path} does not exist"
    return f"{path} is not in the local hub cache (HF_HUB_CACHE, HF_HOME or ~/.cache/huggingface/hub)"


def _result(
    blank: CanaryResult, ending: Ending, box: sandbox.Sandbox, verdict: Verdict, canary: Canary
) -> CanaryResult:
    seen = ending.observed
    if seen.refused is not None:
        message = f"not tried: the child could not join its cgroup ({seen.refused})"
        return replace(blank, outcome="skipped", skip_cause="oom_group", message=message)
    report = seen.report or {}
    python = canary.python or sys.executable
    message = verdict.message
    if verdict.reason == "dependency_missing":
        message += f" (in {python})"
    parameters = report.get("parameters")
    return replace(
        blank,
        outcome="loaded" if verdict.reason is None else "failed",
        reason=verdict.reason,
        message=message,
        stage=verdict.stage,
        evidence=verdict.evidence,
        duration_seconds=ending.seconds,
        stages=seen.stages_until(ending.ended),
        peak_rss_bytes=seen.peak_rss,
        peak_anonymous_bytes=seen.peak_anonymous,
        log_tail="\n".join(map(without_advice, seen.log_tail.split("\n"))),
        output=text_of(report.get("output"), 4000),
        vector=numbers_of(report.get("vector")),
        vector_of_text=numbers_of(report.get("vector_of_text")),
        kind=text_of(report.get("kind"), 40),
        call=seen.call if verdict.reason is not None else "",
        file=text_of(report.get("file"), 4096),
        notes=(*box.notes, *dict.fromkeys(seen.notes)),
        parameters=parameters if isinstance(parameters, int) else None,
        dtype=text_of(report.get("dtype"), 40),
        quantization=text_of(report.get("quantization"), 40),
        fingerprint=text_of(report.get("fingerprint"), 40),
        versions=tuple(sorted(seen.versions.items())),
    )
