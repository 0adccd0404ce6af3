"""The same service for gunicorn. START=request: the first request loads. START=ready: loaded at import, with --preload
in the parent, which no worker timeout watches; the health addresses answer from a side process.
"""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from loading import NAME, Translate, load

from model_load_exporter import health_app, record_inference, serve_health

START = os.environ["START"]
model: Translate | None = None
if START == "ready":
    serve_health(port=int(os.environ["HEALTH_PORT"]), host="127.0.0.1")
    model = load()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """/health, and a translation for all else."""
    global model
    answer: dict[str, Any] = {"status": "ok"}
    if environ["PATH_INFO"] != "/health":
        if model is None:
            model = load()
        with record_inference(NAME):
            answer = {"tokens": model("bonaca")}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


if START == "ready":
    app = health_app(app, models=[NAME])
