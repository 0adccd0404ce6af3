"""health_app for ASGI: answers the health addresses itself, and hands everything else on to the app.

A server accepts nobody before the app's start-up is over, so a model that loads there means refused connections. The
wrapper tells the server at once that it is started and runs the app's start-up beside it: the health addresses answer
"loading" meanwhile, all others 503. Code of the start-up that blocks the event loop blocks the answers, too; load in a
thread (`await asyncio.to_thread(load)`), or let `serve_health` answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from model_load_exporter.health.answers import NOT_READY, PATHS, Answer, answer, rendered
from model_load_exporter.health.own import snapshot
from model_load_exporter.health.startup import Receive, Send, Startup, served
from model_load_exporter.health.wrapper import Wrapper

App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_TRY_AGAIN_LATER = 1013


class HealthApp(Wrapper):
    """The app with its health addresses. Attributes of the app (`state`, `routes`) are its own, as before."""

    _health_inner: App

    def __init__(self, app: App, models: Collection[str] = (), *, early: bool = True) -> None:
        """models: without which the service is not ready. early: answer while the app's start-up runs."""
        super().__init__(app, models)
        self._health_early = early
        self._health_starting = False

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One connection, or the server's start and stop."""
        kind = scope["type"]
        if kind == "lifespan" and self._health_early and served():
            await self._health_lifespan(scope, receive, send)
        elif kind == "http" and _path(scope) in PATHS:
            await self._health_answer(scope, send)
        elif kind == "http" and self._health_starting:
            await _respond(send, NOT_READY)
        elif kind == "websocket" and self._health_starting:
            await send({"type": "websocket.close", "code": _TRY_AGAIN_LATER})
        else:
            await self._health_inner(scope, receive, send)

    async def _health_answer(self, scope: MutableMapping[str, Any], send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _respond(send, (405, {"detail": "GET or HEAD"}), allow=True)
            return
        found = answer(_path(scope), snapshot(), self._health_models, starting=self._health_starting)
        await _respond(send, found, body=scope["method"] == "GET")

    async def _health_lifespan(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        def started() -> None:
            self._health_starting = False

        async def run(receive: Receive, send: Send) -> None:
            await self._health_inner(scope, receive, send)

        self._health_starting = True
        await Startup(run, send, started).serve(receive)


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
