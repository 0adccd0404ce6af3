"""/api/v1: models and the history of loads as JSON. Times in unix seconds, durations in seconds, sizes in bytes."""

import asyncio
from dataclasses import asdict
from typing import Any

from aiohttp import web

from model_load_exporter.ledger import LedgerError, Row, read_only
from model_load_exporter.web.context import CONTEXT
from model_load_exporter.web.view import models_view

_MOST = 1000


async def models(request: web.Request) -> web.Response:
    """Every known model and where it stands."""
    return web.json_response({"schema": 1, "models": models_view(request.app[CONTEXT])})


async def loads(request: web.Request) -> web.Response:
    """The latest loads, newest first: ?model=, ?kind=service|canary, ?limit= (100, at most 1000)."""
    try:
        limit = int(request.query.get("limit", "100"))
    except ValueError:
        return web.json_response({"error": "limit is not a number"}, status=400)
    model, kind = request.query.get("model"), request.query.get("kind")
    rows = await history(request.app[CONTEXT].state_folder, model, kind, min(max(limit, 1), _MOST))
    return web.json_response({"schema": 1, "loads": [entry(row) for row in rows]})


async def load(request: web.Request) -> web.Response:
    """One load with its stages and the evidence."""
    attempt_id = request.match_info["id"]
    row = await asyncio.to_thread(_one, request.app[CONTEXT].state_folder, attempt_id)
    if row is None:
        return web.json_response({"error": f"no load {attempt_id} in the history"}, status=404)
    return web.json_response({"schema": 1, "load": entry(row)})


async def history(folder: str, model: str | None, kind: str | None, limit: int) -> list[Row]:
    """From the ledger, on a thread: a slow disk must not hold up a scrape."""
    return await asyncio.to_thread(_rows, folder, model, kind, limit)


def entry(row: Row) -> dict[str, Any]:
    """One load as the JSON shows it."""
    data = asdict(row)
    return {**{key: value for key, value in data.items() if key != "detail"}, **data["detail"]}


def _rows(folder: str, model: str | None, kind: str | None, limit: int) -> list[Row]:
    try:
        ledger = read_only(folder)
    except LedgerError:
        return []
    try:
        return ledger.history(model, kind, limit)
    finally:
        ledger.close()


def _one(folder: str, attempt_id: str) -> Row | None:
    try:
        ledger = read_only(folder)
    except LedgerError:
        return None
    try:
        return ledger.row(attempt_id)
    finally:
        ledger.close()
