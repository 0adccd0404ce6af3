"""health_app for WSGI (Flask, Django, Bottle): answers the health addresses itself, and hands everything else on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from model_load_exporter.health.answers import PATHS, answer, rendered
from model_load_exporter.health.own import snapshot
from model_load_exporter.health.wrapper import Wrapper

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


class HealthWsgiApp(Wrapper):
    """The app with its health addresses. Attributes of the app are its own, as before."""

    _health_inner: App

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """One request."""
        path = environ.get("PATH_INFO", "")
        if path not in PATHS:
            return self._health_inner(environ, start_response)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            status, headers, body = rendered((405, {"detail": "GET or HEAD"}))
            headers.append(("allow", "GET, HEAD"))
        else:
            status, headers, body = rendered(answer(path, snapshot(), self._health_models))
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [body] if environ["REQUEST_METHOD"] != "HEAD" else []
