"""The translation service under uvicorn. START says how it comes to its model:

thread    /health answers "ok" at once, whatever the model does; the load runs in a thread      (before)
request   the first request loads, on the event loop                                            (before)
ready     health_app and serve_health; the load runs in a thread of the start-up                (after)
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from loading import NAME, Translate, load
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from model_load_exporter import health_app, record_inference, serve_health

START = os.environ["START"]
if START == "ready":
    serve_health(port=int(os.environ["HEALTH_PORT"]), host="127.0.0.1")

loaded: "asyncio.Future[Translate] | None" = None


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Starts the load, where it is the start-up's to start."""
    global loaded
    loaded = asyncio.get_running_loop().create_future()
    if START == "ready":
        loaded.set_result(await asyncio.to_thread(load))
    task = asyncio.create_task(in_a_thread(loaded)) if START == "thread" else None
    yield
    if task is not None:
        task.cancel()


async def in_a_thread(result: "asyncio.Future[Translate]") -> None:
    """Loads beside the event loop; who asks before waits."""
    result.set_result(await asyncio.to_thread(load))


async def health(_: Request) -> JSONResponse:
    """What many services answer: that the process is there."""
    return JSONResponse({"status": "ok"})


async def translate(request: Request) -> JSONResponse:
    """Waits for the model, or loads it here and now."""
    assert loaded is not None
    if START == "request" and not loaded.done():
        loaded.set_result(load())
    model = await loaded
    with record_inference(NAME):
        return JSONResponse({"tokens": await asyncio.to_thread(model, request.query_params.get("text", "bonaca"))})


app = Starlette(routes=[Route("/health", health), Route("/translate", translate)], lifespan=lifespan)
if START == "ready":
    app = health_app(app, models=[NAME])
