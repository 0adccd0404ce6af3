"""Start-ups that fail, wrapped by health_app: the server's own result, and no harm to a process that tests the app."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.daemon import dispose
from support.http import answers, free_port, request
from support.wait import until

PYTHON = Path(__file__).resolve().parents[2] / ".venv-models/bin/python"

STARLETTE = """
import asyncio, contextlib, os, time
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from model_load_exporter import health_app

print("worker", os.getpid(), flush=True)

def load():
    if os.environ.get("FAILS"):
        while not os.path.exists("go"):
            time.sleep(0.01)
        raise RuntimeError("the shard is gone")

@contextlib.asynccontextmanager
async def lifespan(app):
    await asyncio.to_thread(load)
    yield
    print("stopped well", flush=True)

app = health_app(Starlette(routes=[Route("/in", lambda request: PlainTextResponse("in"))], lifespan=lifespan))
"""

BARE = """
from model_load_exporter import health_app

@health_app
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        raise RuntimeError("the shard is gone")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})
"""

TESTED = """
import asyncio, os
from starlette.testclient import TestClient
from service import app

async def in_a_loop_of_its_own():
    sent, messages = [], asyncio.Queue()
    messages.put_nowait({"type": "lifespan.startup"})
    async def send(message):
        sent.append(message["type"])
    try:
        await app({"type": "lifespan", "state": {}}, messages.get, send)
    except RuntimeError:
        print("told:", *sent)

os.environ["FAILS"] = "1"
try:
    with TestClient(app):
        print("not reached")
except RuntimeError as error:
    print("raised:", error)
asyncio.run(in_a_loop_of_its_own())

del os.environ["FAILS"]
with TestClient(app) as client:
    print("at once:", client.get("/in").status_code, client.get("/health").json()["status"])
"""


@contextlib.contextmanager
def running(code: str, folder: Path, *command: str, fails: bool = True) -> Iterator["subprocess.Popen[bytes]"]:
    """A process in `folder`; its log is there, too."""
    (folder / "service.py").write_text(code)
    environment = {**os.environ, **({"FAILS": "1"} if fails else {})}
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [PYTHON, *command], cwd=folder, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    try:
        yield process
    finally:
        dispose(process)


def uvicorn(port: int, *options: str) -> tuple[str, ...]:
    return ("-m", "uvicorn", "service:app", "--host=127.0.0.1", f"--port={port}", *options)


def gunicorn(port: int, kind: str) -> tuple[str, ...]:
    return ("-m", "gunicorn", "service:app", f"--bind=127.0.0.1:{port}", "--no-control-socket", "--worker-class", kind)


def fail_while_serving(folder: Path, port: int) -> None:
    """Lets the start-up fail once the server answers for it."""

    def loading() -> bool:
        try:
            return request(f"http://127.0.0.1:{port}/health", timeout=5).status == 503
        except OSError:
            return False

    until(loading, 30, lambda: (folder / "log").read_text())
    (folder / "go").touch()


@pytest.mark.parametrize(
    ("server", "option"),
    [(uvicorn, "--lifespan=auto"), (uvicorn, "--lifespan=on"), (gunicorn, "asgi"),
     (gunicorn, "uvicorn.workers.UvicornWorker")],
)  # fmt: skip
def test_a_failed_start_up_ends_with_the_servers_own_status(
    spool: Path, tmp_path: Path, server: Callable[[int, str], tuple[str, ...]], option: str
) -> None:
    """3 of uvicorn and of gunicorn: no success to a supervisor, and no reason to start the worker again."""
    port = free_port()
    with running(STARLETTE, tmp_path, *server(port, option)) as process:
        fail_while_serving(tmp_path, port)
        assert process.wait(30) == 3, (tmp_path / "log").read_text()
    log = (tmp_path / "log").read_text()
    assert "the app's start-up failed" in log
    assert "RuntimeError: the shard is gone" in log
    assert "never retrieved" not in log
    assert "appears unsupported" not in log


def test_the_workers_of_a_failed_start_up_are_not_started_again(spool: Path, tmp_path: Path) -> None:
    port = free_port()
    with running(STARLETTE, tmp_path, *uvicorn(port, "--workers=2")) as process:
        fail_while_serving(tmp_path, port)
        process.wait(30)
    log = (tmp_path / "log").read_text()
    assert "failed to start, stopping the parent process" in log
    assert log.count("worker ") == 2, log


def test_a_bare_app_that_raises_ends_where_the_lifespan_is_required(spool: Path, tmp_path: Path) -> None:
    """And the server logs it in its own words."""
    with running(BARE, tmp_path, *uvicorn(free_port(), "--lifespan=on")) as process:
        assert process.wait(30) == 3
    log = (tmp_path / "log").read_text()
    assert "Exception in 'lifespan' protocol" in log
    assert "RuntimeError: the shard is gone" in log


def test_a_bare_app_that_raises_is_served_elsewhere(spool: Path, tmp_path: Path) -> None:
    """As without the wrapper: it may only not know the lifespan."""
    port = free_port()
    with running(BARE, tmp_path, *uvicorn(port)) as process:
        until(lambda: answers(f"http://127.0.0.1:{port}/in"), 30, lambda: (tmp_path / "log").read_text())
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert "ASGI 'lifespan' protocol appears unsupported" in (tmp_path / "log").read_text()


def test_a_good_start_up_is_stopped_as_before(spool: Path, tmp_path: Path) -> None:
    port = free_port()
    with running(STARLETTE, tmp_path, *uvicorn(port), fails=False) as process:
        until(lambda: answers(f"http://127.0.0.1:{port}/in"), 30, lambda: (tmp_path / "log").read_text())
        assert request(f"http://127.0.0.1:{port}/health").status == 200
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    log = (tmp_path / "log").read_text()
    assert "stopped well" in log
    assert "Application shutdown complete" in log


def test_a_test_of_the_app_sees_its_failure_and_lives(spool: Path, tmp_path: Path) -> None:
    """No server, so nothing is answered early and nobody is ended: in a TestClient's thread, in a loop of one's own."""
    (tmp_path / "go").touch()
    with running(STARLETTE, tmp_path, "-c", TESTED, fails=False) as process:
        assert process.wait(60) == 0, (tmp_path / "log").read_text()
    log = (tmp_path / "log").read_text()
    assert "raised: the shard is gone" in log
    assert "told: lifespan.startup.failed" in log
    assert "at once: 200 idle" in log
