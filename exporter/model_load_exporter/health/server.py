"""The side process of serve_health: started by exec, it shares no interpreter, lock or event loop with the service.

It ends with the service: every process of it has an end of a pipe open, and the last to go lets it read the pipe's end.
A child that the service leaves behind keeps that end open; where it neither loads nor holds a model, nobody is served.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from model_load_exporter.health.answers import PATHS, answer, rendered
from model_load_exporter.health.state import State
from model_load_exporter.health.watching import Watcher
from model_load_exporter.journal.inotify import Inotify
from model_load_exporter.journal.spool import SpoolError, find_spool

_SWEEP_SECONDS = 1.0


class _Handler(BaseHTTPRequestHandler):
    """One request; anything but a health address is none of ours."""

    protocol_version = "HTTP/1.1"
    timeout = 10
    server: Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in PATHS:
            status, headers, body = rendered(answer(path, self.server.state(), self.server.models, awaited=True))
        else:
            status, headers, body = rendered((404, {"detail": f"there are {', '.join(PATHS)}"}))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, *_: object) -> None:
        """Silent: a probe every few seconds would fill the service's log."""


class Server(ThreadingHTTPServer):
    """Answers from the journals of one service."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, service: int, server: int, target: str, models: list[str]) -> None:
        """service, server: pids, as `Watcher` has them."""
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.models = models
        self._service, self._server, self._target = service, server, target
        self._watcher: Watcher | None = None
        self._lock = threading.Lock()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A probe that hangs up is nobody's fault, and nothing for the service's log."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    def state(self) -> State:
        """What the journals say now; nothing where there is no spool."""
        with self._lock:
            self.update()
            return self._watcher.state() if self._watcher is not None else State()

    def update(self) -> None:
        """Reads the spool, once there is one."""
        with contextlib.suppress(OSError, SpoolError):
            if self._watcher is None or not os.path.isdir(self._watcher.folder):
                self._watcher = Watcher(find_spool().folder, self._service, self._target, self._server)
            self._watcher.update()

    def follow(self, alive: int) -> None:
        """Until the service is gone: a load that begins and fails between two requests is seen, too."""
        inotify: Inotify | None = None
        while not self._left():
            with self._lock:
                self.update()
                if inotify is None and self._watcher is not None:
                    with contextlib.suppress(OSError):
                        inotify = Inotify(self._watcher.folder)
            watched = [alive] if inotify is None else [alive, inotify.fileno()]
            ready, _, _ = select.select(watched, [], [], _SWEEP_SECONDS)
            if alive in ready:
                return
            if inotify is not None and ready:
                inotify.read()

    def _left(self) -> bool:
        """True where the service, whose child this is, has ended, and none that it forked loads or holds a model."""
        if os.getppid() == self._service:
            return False
        state = self.state()
        return not (state.open or state.held)


def main(settings: str) -> None:
    """settings: JSON of {listen, alive, service, server, target, models}; listen and alive: inherited descriptors."""
    given: dict[str, Any] = json.loads(settings)
    listening = socket.socket(fileno=given["listen"])
    server = Server(listening, given["service"], given["server"], given["target"], given["models"])
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    server.follow(given["alive"])
    # At once: a request that hangs must not keep the port from the service's next start.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
