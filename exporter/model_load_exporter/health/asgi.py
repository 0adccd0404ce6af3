"""health_app for ASGI: answers the health addresses itself, and hands everything else on to the app.

A server accepts nobody before the app's start-up is over, so a model that loads there means refused connections. The
wrapper tells the server at once that it is started and runs the app's start-up beside it: the health addresses answer
"loading" meanwhile, all others 503. Code of the start-up that blocks the event loop blocks the answers, too; load in a
thread (`await asyncio.to_thread(load)`), or let `serve_health` answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Collection, Coroutine, MutableMapping
from typing import Any

from model_load_exporter.health.answers import NOT_READY, PATHS, Answer, answer, rendered
from model_load_exporter.health.own import snapshot

logger = logging.getLogger("model_load_exporter")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Coroutine[Any, Any, None]]

_TRY_AGAIN_LATER = 1013


class HealthApp:
    """The app with its health addresses. Attributes of the app (`state`, `routes`) are its own, as before."""

    def __init__(self, app: App, models: Collection[str] = (), *, early: bool = True) -> None:
        """models: without which the service is not ready. early: answer while the app's start-up runs."""
        self._app = app
        self._models = tuple(models)
        self._early = early
        self._starting = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One connection, or the server's start and stop."""
        kind = scope["type"]
        if kind == "lifespan" and self._early:
            await self._lifespan(scope, receive, send)
        elif kind == "http" and _path(scope) in PATHS:
            await self._health(scope, send)
        elif kind == "http" and self._starting:
            await _respond(send, NOT_READY)
        elif kind == "websocket" and self._starting:
            await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER})
        else:
            await self._app(scope, receive, send)

    async def _health(self, scope: MutableMapping[str, Any], send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _respond(send, (405, {"detail": "GET or HEAD"}), allow=True)
            return
        found = answer(_path(scope), snapshot(), self._models, starting=self._starting)
        await _respond(send, found, body=scope["method"] == "GET")

    async def _lifespan(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        first = await receive()
        self._starting = True
        started = _Startup(first, receive)
        inner = asyncio.create_task(self._app(scope, started.receive, started.send))
        await send({"type": "lifespan.startup.complete"})
        watch = asyncio.create_task(self._watch(started, inner))
        stop = await receive()
        watch.cancel()
        if self._starting:
            # Ended while it was starting: what it loads has nobody to serve any more.
            inner.cancel()
        else:
            started.stop(stop)
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await inner
        await send(started.answer or {"type": "lifespan.shutdown.complete"})

    async def _watch(self, started: _Startup, inner: asyncio.Task[None]) -> None:
        """Until the app has started, or could not. An app that ends without a word knows no lifespan: it has."""
        inner.add_done_callback(lambda _: started.done.set())
        await started.done.wait()
        if started.failure is None:
            self._starting = False
            return
        # The server was told that all is well: it has to be ended as a supervisor would.
        logger.error("the app's start-up failed, so the process ends: %s", started.failure)
        os.kill(os.getpid(), signal.SIGTERM)


class _Startup:
    """Speaks with the app in the server's place until its start-up is over."""

    def __init__(self, first: Message, receive: Receive) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._messages.put_nowait(first)
        self.done = asyncio.Event()
        self.failure: str | None = None
        self.answer: Message | None = None

    async def receive(self) -> Message:
        return await self._messages.get()

    def stop(self, message: Message) -> None:
        self._messages.put_nowait(message)

    async def send(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            self.done.set()
        elif message["type"] == "lifespan.startup.failed":
            self.failure = message.get("message") or "it gave no reason"
            self.done.set()
        else:
            self.answer = message


def _path(scope: MutableMapping[str, Any]) -> str:
    """Without the prefix below which a proxy serves the app."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path") or "") or "/"


async def _respond(send: Send, found: Answer, *, body: bool = True, allow: bool = False) -> None:
    status, headers, content = rendered(found)
    if allow:
        headers.append(("allow", "GET, HEAD"))
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": content if body else b""})
