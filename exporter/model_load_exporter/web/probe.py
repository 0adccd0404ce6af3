"""/probe?model=NAME: a canary load on request, for Prometheus's scrape of a probe; and /sd, which lists them.

A request starts at most one run per canary interval, shares one that is under way, and waits no longer than the
scrape may take: then it gives the last result and how old it is, while the run goes on.
"""

import asyncio
import json
import time
from typing import Any

from aiohttp import web
from prometheus_client import Metric
from prometheus_client.exposition import generate_latest

from model_load_exporter.collectors.base import gauge
from model_load_exporter.web.context import CONTEXT, Context
from model_load_exporter.web.metrics import TEXT

_DEFAULT_TIMEOUT = 9.5
_MARGIN = 0.5


async def probe(request: web.Request) -> web.Response:
    """The result of the model's canary load as model_probe_* series."""
    context = request.app[CONTEXT]
    names = context.schedule.names()
    name = request.query.get("model", "")
    if name not in names:
        known = ", ".join(names) or "none: give a model a `canary:` in the config file"
        asked = f"no canary for model {name!r}" if name else "say which model: /probe?model=NAME"
        return web.Response(status=404 if name else 400, text=f"{asked}; models with a canary: {known}\n")
    note = await _wait_for_run(context, name, _timeout(request))
    standing = context.schedule.standing(name)
    last = standing.last if standing is not None else None
    if request.query.get("debug") == "true":
        return web.Response(text=_debug(context, name, last, note))
    if last is None:
        return web.Response(status=503, text=f"no result for {name} yet: {note}\n")
    return web.Response(body=_exposition(last), headers={"Content-Type": TEXT})


async def discovery(request: web.Request) -> web.Response:
    """HTTP service discovery: one target a model that has a canary."""
    groups = [
        {"targets": [request.host], "labels": {"__metrics_path__": "/probe", "__param_model": name, "model": name}}
        for name in request.app[CONTEXT].schedule.names()
    ]
    return web.json_response(groups)


async def _wait_for_run(context: Context, name: str, timeout: float) -> str:
    """Starts or joins a run where one is due; a note on why there may be no new result."""
    if not context.standings.running(name) and not context.schedule.due(name):
        return "the last run is younger than the canary's interval"
    try:
        # Shielded: the run belongs to all who wait for it, and outlives this request.
        result = await asyncio.wait_for(asyncio.shield(context.schedule.run(name)), timeout)
    except TimeoutError:
        return "a run is under way"
    return result.message if result.outcome == "skipped" else "a run has just ended"


def _timeout(request: web.Request) -> float:
    try:
        asked = float(request.headers["X-Prometheus-Scrape-Timeout-Seconds"]) - _MARGIN
    except (KeyError, ValueError):
        return _DEFAULT_TIMEOUT
    return min(max(asked, 0.1), 3600.0)


def _exposition(last: dict[str, Any]) -> bytes:
    ended = last["started"] + last["duration_seconds"]
    failure = gauge("model_probe_failure", "1 for the reason for which the load failed; no series when it succeeded.")
    if last["outcome"] != "loaded":
        failure.add_sample(failure.name, {"reason": last["reason"] or "unknown"}, 1)
    families = [
        _plain("model_probe_success", "1 if the canary load succeeded.", int(last["outcome"] == "loaded")),
        _plain("model_probe_duration_seconds", "Duration of the canary load.", last["duration_seconds"]),
        failure,
        _plain("model_probe_age_seconds", "Time since this load ended.", max(0.0, time.time() - ended)),
    ]  # fmt: skip
    return generate_latest(_Families(families))


class _Families:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _plain(name: str, text: str, value: float) -> Metric:
    metric = gauge(name, text)
    metric.add_sample(name, {}, value)
    return metric


def _debug(context: Context, name: str, last: dict[str, Any] | None, note: str) -> str:
    """The log, then the series, then the settings: what one wants to see of a probe that fails."""
    model = context.schedule.model(name)
    parts = [f"# {note}", "", "# output of the load, its last part"]
    parts.append((last or {}).get("log_tail", "").rstrip() or "(none)")
    parts += ["", "# series", _exposition(last).decode() if last is not None else "(no result yet)"]
    parts += ["# result", json.dumps({k: v for k, v in (last or {}).items() if k != "log_tail"}, indent=2)]
    return "\n".join([*parts, "", "# configuration", str(model), ""])
