"""health_app: one name for both kinds of app."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import Any

from model_load_exporter.health.asgi import HealthApp
from model_load_exporter.health.wsgi import HealthWsgiApp


def health_app(app: Any, models: Collection[str] = (), *, early: bool = True) -> Any:
    """The ASGI or WSGI app, with /health, /health/live, /health/ready and /model/health answered for it.

        app = health_app(app)                                   # routes added to the app later are served, too

    models: names without which the service is not ready; without any, one loaded model is enough. early: answer while
    an ASGI app's own start-up runs (its other addresses then say 503); a start-up that fails ends the process.
    """
    if not callable(app):
        raise TypeError(f"health_app wraps an ASGI or WSGI app, not {type(app).__name__}")
    call = app if inspect.isfunction(app) or inspect.ismethod(app) else type(app).__call__
    if inspect.iscoroutinefunction(call):
        return HealthApp(app, models, early=early)
    return HealthWsgiApp(app, models)
