"""/: the status page. What a tired person wants to know first: which model is in trouble, and what to do."""

import time

from aiohttp import web

from model_load_exporter.web.api import entry, history
from model_load_exporter.web.context import CONTEXT
from model_load_exporter.web.pages import render
from model_load_exporter.web.services import services_view
from model_load_exporter.web.view import models_view, words
from model_load_exporter.witness.sources import HOW

_HISTORY = 15


async def page(request: web.Request) -> web.Response:
    """Models, the last loads, and the exporter's own state."""
    context = request.app[CONTEXT]
    rows = await history(context.state_folder, None, None, _HISTORY)
    text = render(
        "status.html",
        models=models_view(context),
        services=services_view(context),
        loads=[{**entry(row), "words": words(row.reason) if row.reason else None} for row in rows],
        evidence=context.recorder.evidence,
        how=HOW,
        collectors=context.scraper.messages(),
        config=context.config,
        config_file=context.config_file,
        ledger_writable=context.recorder.ledger_writable,
        version=context.version,
        now=time.time(),
    )
    return web.Response(text=text, content_type="text/html")
