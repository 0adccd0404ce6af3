"""What is answered: status code and JSON for each address, from one State."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection
from typing import Any

from model_load_exporter.health.state import Failure, Held, Loading, State

PATHS = ("/health", "/health/live", "/health/ready", "/model/health")

RETRY_SECONDS = 5
"""What a client is told to wait while a model loads."""


Answer = tuple[int, dict[str, Any]]
"""(HTTP status, JSON object)."""


def answer(
    path: str, state: State, required: Collection[str] = (), *, starting: bool = False, awaited: bool = False
) -> Answer:
    """What one of PATHS answers.

    required: models without which the service is not ready; without any, one that is loaded is enough. starting: the
    service's own start-up is not over. awaited: a model is to come, though nobody may have begun to load one.
    """
    if path == "/health/live":
        return 200, {"status": "alive"}
    status = _status(state, required, starting=starting, awaited=awaited)
    code = 200 if status in ("healthy", "idle") else 503
    held = {one.model for one in state.held}
    loaded = held.issuperset(required) if required else bool(held)
    if path == "/model/health":
        return code, _model_health(state, status, loaded=loaded)
    return code, {"status": status, "model_loaded": loaded}


def _status(state: State, required: Collection[str], *, starting: bool, awaited: bool) -> str:
    """healthy, loading, failed, or idle: nothing is loaded, and nobody tried or has to."""
    held = {one.model for one in state.held}
    missing = [model for model in required if model not in held]
    failed = {one.model for one in state.failures}
    # Without names any model will do: one that failed matters as long as there is none.
    fatal = failed.intersection(missing) if required else failed if not held else set()
    # While the start-up goes on the app serves nobody, whatever is loaded: a second model, a warm-up may follow.
    if held and not missing and not starting:
        return "healthy"
    if state.open or (starting and not fatal):
        return "loading"
    if fatal:
        return "failed"
    return "loading" if missing or awaited else "idle"


def _model_health(state: State, status: str, *, loaded: bool) -> dict[str, Any]:
    """Of several models the first is told at the top, and all in `models`."""
    rows = [_held(one) for one in state.held]
    rows += [_loading(one) for one in state.open]
    rows += [_failed(one) for one in state.failures]
    blank: dict[str, Any] = {
        "model": None, "model_type": None, "memory_usage_mb": None, "last_inference_time": None, "inference_count": 0,
    }  # fmt: skip
    wanted = {"healthy": "loaded"}.get(status, status)
    first = next((row for row in rows if row["state"] == wanted), rows[0] if rows else {})
    told = {key: value for key, value in first.items() if key != "state"}
    top = {"status": status, "model_loaded": loaded, **blank, **told, "witnessed": state.witnessed}
    return {**top, "models": rows} if len(rows) > 1 else top


def _held(one: Held) -> dict[str, Any]:
    row = {
        "state": "loaded",
        "model": one.model,
        "model_type": one.kind or None,
        "memory_usage_mb": round(one.memory / 1e6, 1) if one.memory else None,
        "last_inference_time": _iso(one.last_inference),
        "inference_count": one.inferences,
    }
    return row if one.fallback is None else {**row, "fallback": one.fallback}


def _loading(one: Loading) -> dict[str, Any]:
    row: dict[str, Any] = {
        "state": "loading",
        "model": one.model,
        "stage": one.stage,
        "elapsed_seconds": round(one.elapsed, 3),
    }
    if one.attempt is not None:
        row["attempt"], row["attempts"] = one.attempt
    return row


def _failed(one: Failure) -> dict[str, Any]:
    return {
        "state": "failed",
        "model": one.model,
        "reason": one.reason,
        "message": one.message,
        "failed_time": _iso(one.time),
    }


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")


def rendered(found: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    """(status, headers, body) of an answer."""
    code, document = found
    body = json.dumps(document).encode() + b"\n"
    headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("cache-control", "no-store")]
    if code == 503 and document.get("status") == "loading":
        headers.append(("retry-after", str(RETRY_SECONDS)))
    return code, headers, body


NOT_READY = (503, {"status": "loading", "detail": "the service is starting; ask again soon"})
"""What every other address answers until the service's own start-up is over."""
