"""A translation service whose model loads are witnessed: `uvicorn --app-dir compose/demo app:app`.

GET  /health, /health/live, /health/ready, /model/health     from health_app
GET  /models                                                 what it serves
POST /model/inference  {"model": "nllb", "text": "Hello."}   an answer

DEMO_MODELS        which models: nllb,aya,minilm (all); DEMO_MODELS_DIR or DEMO_PATH_NLLB...: where they lie
DEMO_HEALTH_PORT   a side process answers the health addresses on this port, too, whatever the service is busy with
DEMO_FALLBACK=0    no fallback: a model that cannot be loaded is not served
DEMO_FAIL          a fault to demonstrate: faults.py
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

from model_load_exporter import (
    LoadFailedError,
    health_app,
    instrument,
    load_with_recovery,
    record_inference,
    serve_health,
)

# First, before anything that may take long or keep the GIL.
if os.environ.get("DEMO_HEALTH_PORT"):
    serve_health(port=int(os.environ["DEMO_HEALTH_PORT"]), host=os.environ.get("DEMO_HEALTH_HOST", ""))
instrument()

import faults  # noqa: E402 - after serve_health
from starlette.applications import Starlette  # type: ignore[import-not-found]  # noqa: E402 - of the service's environment
from starlette.requests import Request  # type: ignore[import-not-found]  # noqa: E402 - as above
from starlette.responses import JSONResponse  # type: ignore[import-not-found]  # noqa: E402 - as above
from starlette.routing import Route  # type: ignore[import-not-found]  # noqa: E402 - as above
from translation import Model, wanted  # noqa: E402 - as above

logger = logging.getLogger("uvicorn.error")

LONGEST_TEXT = 2000
LONGEST_BODY = 16_384
LOAD_SECONDS = 3600.0
"""Beyond this a load has failed: Aya's threshold, the longest."""


class Service:
    """The models that this process serves."""

    def __init__(self) -> None:
        """Raises ValueError where a setting is wrong."""
        self.models = {model.name: model for model in wanted(os.environ.get("DEMO_MODELS") or "nllb,aya,minilm")}
        self.faults = faults.from_environment(os.environ, list(self.models))
        self.fallback = os.environ.get("DEMO_FALLBACK", "1") != "0"
        self.loaded: dict[str, Any] = {}

    def load(self) -> None:
        """Loads all, one after another: while it loads, transformers sets torch's default dtype for the process."""
        import torch  # type: ignore[import-not-found]  # noqa: F401 - seconds that are no model's load
        import transformers  # type: ignore[import-not-found]  # noqa: F401 - as above

        for name, model in self.models.items():
            try:
                self.loaded[name] = self._load(model)
            except LoadFailedError as error:
                # The other models serve; /health says 503, /model/health says why.
                logger.error("%s is not served: %s", name, error)
            else:
                logger.info("%s is served", name)

    def _load(self, model: Model) -> Any:
        whole, fault = model.path(os.environ), self.faults.get(model.name)
        path = fault.path(whole) if fault else whole
        strike = fault.strike if fault else None
        loaders: list[Any] = [("as published", functools.partial(model.load, path, before_weights=strike), path)]
        if self.fallback:
            loaders.append(("bfloat16", functools.partial(model.load, whole, reduced=True), whole))
        return load_with_recovery(model.name, loaders, attempts=2, timeout=LOAD_SECONDS, backoff=0.5)

    def infer(self, name: str, text: str) -> dict[str, Any]:
        """The model's answer to a text."""
        model, tokenizer = self.loaded[name]
        with record_inference(name):
            return self.models[name].answers(model, tokenizer, text)

    def unload(self) -> None:
        """Lets go of all: the process then ends holding nothing."""
        self.loaded.clear()


async def models(_: Request) -> JSONResponse:
    """Which models there are, and which can be asked now."""
    rows = [{"model": name, "loaded": name in service.loaded} for name in service.models]
    return JSONResponse({"models": rows})


async def inference(request: Request) -> JSONResponse:
    """One text for one model."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_BODY:
            return _refused(413, f"at most {LONGEST_BODY} bytes")
    try:
        asked = json.loads(body)
        name, text = asked["model"], asked["text"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return _refused(400, 'send JSON: {"model": "nllb", "text": "Hello, world."}')
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST_TEXT or not _is_unicode(text):
        return _refused(400, f"text: a string of 1 to {LONGEST_TEXT} characters")
    if not isinstance(name, str) or name not in service.models:
        return _refused(404, f"no such model; there are: {', '.join(service.models)}")
    if name not in service.loaded:
        return _refused(503, f"{name} is not loaded; /model/health says why")
    answer = await asyncio.to_thread(service.infer, name, text)
    return JSONResponse({"model": name, "text": text, **answer})


def _is_unicode(text: str) -> bool:
    """False for half of a surrogate pair, which JSON can carry and no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status)


async def in_daemon_thread(call: Callable[[], None]) -> None:
    """asyncio.to_thread, whose thread the process would wait for at its end: a load nobody needs may take long."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    raised: list[BaseException] = []

    def work() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001, RUF100 - handed on to who waits
            raised.append(error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=work, name="load", daemon=True).start()
    await done.wait()
    if raised:
        raise raised[0]


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Loads at the start, in a thread: /health answers meanwhile."""
    await in_daemon_thread(service.load)
    yield
    service.unload()


try:
    service = Service()
except ValueError as error:
    sys.exit(f"demo: {error}")

routes = [Route("/models", models), Route("/model/inference", inference, methods=["POST"])]
app = health_app(Starlette(routes=routes, lifespan=lifespan), models=list(service.models))
