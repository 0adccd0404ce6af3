"""An ASGI app's start-up beside a server that was told it is over, and the app's stop after it.

What comes of the start-up is the server's own result as far as can be. An app that tells `lifespan.startup.failed` ends
the process with the status that uvicorn and gunicorn use: their parents then start no worker again. An app that raises
without a word may only not know the lifespan: the server gets the exception, as it would without us, and logs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from multiprocessing import parent_process
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Receive, Send], Awaitable[None]]
"""The app, given its lifespan's scope."""

STARTUP_FAILURE = 3
"""Exit status: uvicorn's STARTUP_FAILURE and gunicorn's WORKER_BOOT_ERROR."""


def served() -> bool:
    """Whether a server runs the event loop here, so that the process may be ended for it.

    Not so under a TestClient (a thread, or no asyncio), nor where tests run the lifespan in their own loop: a server in
    the main thread has said what is to become of signals before it starts the app.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    if threading.current_thread() is not threading.main_thread():
        return False
    # Hypercorn's workers leave SIGTERM alone and ignore SIGINT, as what a shell runs in its background may do, too.
    worker = parent_process() is not None and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return worker or callable(signal.getsignal(signal.SIGTERM))


class Startup:
    """One start and stop of the app, which speaks with this in the server's place until its start-up is over."""

    def __init__(self, run: App, send: Send, started: Callable[[], None]) -> None:
        """run: the app. send: to the server. started: called when the app's start-up is over."""
        self._run, self._server_send, self._started = run, send, started
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failure: str | None = None

    async def serve(self, receive: Receive) -> None:
        """From the server's start message to the end of the app. Raises what the app raises."""
        self._messages.put_nowait(await receive())
        app = asyncio.create_task(self._guarded())
        stop = asyncio.ensure_future(receive())
        try:
            await self._server_send({"type": "lifespan.startup.complete"})
            await asyncio.wait((app, stop, self._told), return_when=asyncio.FIRST_COMPLETED)
            if stop.done() and not self._told.done():
                # Ended while it was starting: what it loads has nobody to serve any more.
                await _cancelled(app)
                await self._server_send({"type": "lifespan.shutdown.complete"})
                return
            if self._failure is not None:
                _log().error("the app's start-up failed, so the process ends: %s", self._failure)
                _end_process()
                return
            silent = not self._told.done()
            self._started()
            await asyncio.wait((app, stop), return_when=asyncio.FIRST_COMPLETED)
            if not app.done():
                self._messages.put_nowait(stop.result())
            error = await app
            if error is not None:
                if silent and _lifespan_is_on(self._server_send):
                    _end_process()
                raise error
        finally:
            app.cancel()
            stop.cancel()

    async def _guarded(self) -> BaseException | None:
        """What the app raised: SystemExit in a task ends the event loop before a word of it is logged."""
        try:
            await self._run(self._messages.get, self._send)
        except BaseException as error:
            return error
        return None

    async def _send(self, message: Message) -> None:
        if self._told.done():
            await self._server_send(message)
            return
        if message["type"] == "lifespan.startup.failed":
            self._failure = message.get("message") or "it gave no reason"
        else:
            self._started()
        self._told.set_result(None)


async def _cancelled(app: asyncio.Task[BaseException | None]) -> None:
    app.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await app


def _lifespan_is_on(send: Send) -> bool:
    """`uvicorn --lifespan on`: an app that raises without a word failed, too. Nothing but its own object tells it."""
    server = getattr(send, "__self__", None)
    return getattr(getattr(server, "config", None), "lifespan", None) == "on"


def _end_process() -> None:
    """A moment later: the server's lifespan task first logs what it got, and would catch a SystemExit."""
    asyncio.get_running_loop().call_soon(sys.exit, STARTUP_FAILURE)


def _log() -> logging.Logger:
    """Where a failed start-up is looked for."""
    return logging.getLogger("uvicorn.error" if "uvicorn" in sys.modules else "model_load_exporter")
