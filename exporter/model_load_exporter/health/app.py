"""health_app: one name for both kinds of app, and what tells the kinds apart."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, MutableMapping
from typing import Any

from model_load_exporter.health.asgi import HealthApp
from model_load_exporter.health.wrapper import Wrapper
from model_load_exporter.health.wsgi import HealthWsgiApp


def health_app(app: Any, models: Collection[str] = (), *, early: bool = True) -> Any:
    """The ASGI or WSGI app, with /health, /health/live, /health/ready and /model/health answered for it.

        app = health_app(app)                                   # routes added to the app later are served, too
        app.add_middleware(health_app)                          # Starlette, FastAPI: the app stays what it is
        app.wsgi_app = health_app(app.wsgi_app)                 # Flask, likewise

    models: names without which the service is not ready; without any, one loaded model is enough. early: answer while
    an ASGI app's own start-up runs under a server (its other addresses then say 503); a start-up that fails ends the
    process. Raises TypeError for what cannot be called.
    """
    if not callable(app):
        raise TypeError(f"health_app wraps an ASGI or WSGI app, not {type(app).__name__}")
    asgi = _is_asgi(app)
    if asgi is None:
        return HealthAnyApp(app, models, early=early)
    return HealthApp(app, models, early=early) if asgi else HealthWsgiApp(app, models)


class HealthAnyApp(Wrapper):
    """An app that does not tell its kind before its first call."""

    def __init__(self, app: Any, models: Collection[str] = (), *, early: bool = True) -> None:
        """models, early: see health_app."""
        super().__init__(app, models)
        self._health_asgi = HealthApp(app, models, early=early)
        self._health_wsgi = HealthWsgiApp(app, models)
        # ASGI servers look at the instance's __call__, WSGI servers at nothing; Python calls the one of the class.
        self.__dict__["__call__"] = self._health_asgi.__call__

    def __call__(self, *args: Any) -> Any:
        """One request, connection, start or stop, of whichever kind the server is."""
        if len(args) == 3 and isinstance(args[0], MutableMapping) and "type" in args[0]:
            return self._health_asgi(*args)
        return self._health_wsgi(*args)


def _is_asgi(app: Any) -> bool | None:
    """None where neither the way it was written (as uvicorn looks at it) nor its parameters tell."""
    if inspect.isclass(app):
        return True if hasattr(app, "__await__") else _by_parameters(app)
    bare = app
    while isinstance(bare, functools.partial):
        bare = bare.func
    # Of an instance: some middleware (Sentry's) binds its __call__ when it is made.
    plain = inspect.isroutine(bare) or inspect.isclass(bare)
    if inspect.iscoroutinefunction(bare if plain else bare.__call__):
        return True
    return _by_parameters(app if plain or bare is not app else app.__call__)


def _by_parameters(call: Callable[..., Any]) -> bool | None:
    """ASGI: scope, receive, send. WSGI: environ, start_response."""
    try:
        # Not of what it wraps: a bridge from one kind to the other takes the wrapped app's name, not its parameters.
        signature = inspect.signature(call, follow_wrapped=False)
    except (TypeError, ValueError):
        return None
    two, three = _takes(signature, 2), _takes(signature, 3)
    return None if two is three else three


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True
