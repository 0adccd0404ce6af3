"""health_app in the app's place: attributes, copies, the kinds of app that it tells apart, and its models."""

import asyncio
import copy
import functools
import inspect
import pickle
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from model_load_exporter import health_app


class Holding:
    """An ASGI app that people set attributes of."""

    def __init__(self) -> None:
        self.state = {"count": 0}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await served(scope, receive, send)


class BoundWhenMade:
    """As Sentry's middleware: the class's __call__ is no coroutine function, that of the instance is."""

    def __init__(self) -> None:
        self.__call__ = self._run  # type: ignore[method-assign]

    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return self._run(scope, receive, send)

    async def _run(self, scope: Any, receive: Any, send: Any) -> None:
        await served(scope, receive, send)


class BoundInASlot:
    """As Sentry's middleware since its version 1: what the class has is the slot."""

    __slots__ = ("__call__",)

    def __init__(self) -> None:
        self.__call__: Any = served


async def served(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"asgi"})


def sync_middleware(scope: Any, receive: Any, send: Any) -> Any:
    return served(scope, receive, send)


def tells_nothing(*args: Any) -> Any:
    return served(*args) if len(args) == 3 else page(*args)


def with_settings(settings: Any, scope: Any, receive: Any, send: Any) -> Any:
    return served(scope, receive, send)


def page(environ: Any, start_response: Any, charset: str = "ascii") -> Iterable[bytes]:
    start_response("200 OK", [])
    return ["wsgi".encode(charset)]


class Page:
    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        return page(environ, start_response)


def asgi_get(app: Any, path: str) -> bytes:
    """What an ASGI server gets from it."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def call() -> None:
        await app({"type": "http", "path": path, "method": "GET"}, receive, send)

    asyncio.run(call())
    return b"".join(message.get("body", b"") for message in sent)


def wsgi_get(app: Any, path: str) -> bytes:
    """What a WSGI server gets from it."""
    return b"".join(app({"PATH_INFO": path, "REQUEST_METHOD": "GET"}, lambda status, headers: None))


@pytest.mark.parametrize(
    "app",
    [
        served, Holding(), BoundWhenMade(), BoundInASlot(), sync_middleware, tells_nothing,
        functools.partial(with_settings, {}), functools.partial(Holding()), Holding().__call__,
    ],
)  # fmt: skip
def test_asgi_apps_are_told_by_their_call(app: Callable[..., Any], spool: object) -> None:
    wrapped = health_app(app)
    # How uvicorn and hypercorn look at what they are given.
    assert inspect.iscoroutinefunction(wrapped.__call__)
    assert asgi_get(wrapped, "/in") == b"asgi"
    assert b'"status"' in asgi_get(wrapped, "/health")


@pytest.mark.parametrize(
    "app", [page, Page(), tells_nothing, functools.partial(page, charset="utf-8"), Page().__call__]
)
def test_wsgi_apps_are_told_by_their_call(app: Callable[..., Any], spool: object) -> None:
    wrapped = health_app(app)
    assert wsgi_get(wrapped, "/in") == b"wsgi"
    assert b'"status"' in wsgi_get(wrapped, "/health")


def test_attributes_are_set_on_the_app() -> None:
    app = Holding()
    wrapped = health_app(app)
    wrapped.secret_key = "x"
    wrapped.state = {"count": 1}
    assert (vars(app), wrapped.secret_key) == ({"state": {"count": 1}, "secret_key": "x"}, "x")
    del wrapped.secret_key
    assert not hasattr(app, "secret_key")
    with pytest.raises(AttributeError, match="'Holding' object has no attribute 'nothing'"):
        _ = wrapped.nothing


def test_wrapped_twice_it_is_still_the_apps_attribute() -> None:
    app = Holding()
    health_app(health_app(app)).secret_key = "x"
    assert vars(app)["secret_key"] == "x"


@pytest.mark.parametrize("app", [Holding(), Page(), functools.partial(tells_nothing)])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda wrapped: pickle.loads(pickle.dumps(wrapped))])
def test_a_copy_is_wrapped_too(app: Any, copied: Callable[[Any], Any], spool: object) -> None:
    twin = copied(health_app(app, models="nllb"))
    get = wsgi_get if isinstance(app, Page) else asgi_get
    assert get(twin, "/in") in (b"asgi", b"wsgi")
    assert b'"loading"' in get(twin, "/health")


def test_a_deep_copy_has_an_app_of_its_own() -> None:
    app = Holding()
    twin = copy.deepcopy(health_app(app))
    twin.state["count"] = 5
    assert app.state == {"count": 0}


@pytest.mark.parametrize("models", ["nllb", ["nllb"]])
@pytest.mark.parametrize("app", [Page(), Holding()])
def test_one_model_may_come_as_a_text(app: Any, models: Any, recording: Any) -> None:
    from model_load_exporter import track_load

    get = wsgi_get if isinstance(app, Page) else asgi_get
    wrapped = health_app(app, models=models)
    held = Holding()
    with track_load("nllb") as attempt:
        attempt.holds(held)
    assert b'"healthy"' in get(wrapped, "/health")
