"""Health addresses of real services: they answer while a model loads, under the servers that people run."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.daemon import dispose
from support.http import Answer, free_port, request
from support.wait import until

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-models/bin/python"

COMMON = """
import asyncio, contextlib, os, time
from model_load_exporter import health_app, record_inference, serve_health, track_load

def load(fail=False):
    with track_load("nllb-200", path="/models/nllb") as attempt:
        with attempt.stage("tokenizer"):
            pass
        with attempt.stage("weights"):
            while not os.path.exists("go"):
                time.sleep(0.01)
            if os.path.exists("fail"):
                raise ValueError("Error while deserializing header: HeaderTooLarge")
        attempt.holds(load)
"""

FASTAPI = (
    COMMON
    + """
from fastapi import FastAPI

@contextlib.asynccontextmanager
async def lifespan(app):
    await asyncio.to_thread(load)
    yield

inner = FastAPI(lifespan=lifespan)
app = health_app(inner)

@inner.get("/later")
def later():
    with record_inference("nllb-200"):
        return {"late": True}
"""
)

STARLETTE_BLOCKED = (
    COMMON
    + """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

serve_health(port=int(os.environ["SIDE"]), host="127.0.0.1")

@contextlib.asynccontextmanager
async def lifespan(app):
    load()
    yield

inside = [Route("/in", lambda request: PlainTextResponse("in"))]
inner = Starlette(routes=[Mount("/", routes=inside)], lifespan=lifespan)
app = health_app(inner)
"""
)

IMPORTED = (
    COMMON
    + """
serve_health(port=int(os.environ["SIDE"]), host="127.0.0.1")
load()

async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})
"""
)

HOLDS_THE_GIL = (
    COMMON
    + """
import ctypes
serve_health(port=int(os.environ["SIDE"]), host="127.0.0.1")

def hold_the_gil():
    with track_load("nllb-200") as attempt, attempt.stage("weights"):
        # PyDLL keeps the GIL during the call, as a tokenizer's or a checkpoint's native code may.
        while not os.path.exists("go"):
            ctypes.PyDLL(None).usleep(900000)

@contextlib.asynccontextmanager
async def lifespan(app):
    await asyncio.to_thread(hold_the_gil)
    yield

from starlette.applications import Starlette
app = health_app(Starlette(lifespan=lifespan))
"""
)

FLASK = (
    COMMON
    + """
import threading
from flask import Flask

inner = Flask(__name__)
app = health_app(inner)

@inner.get("/later")
def later():
    with record_inference("nllb-200"):
        return {"late": True}

def quietly():
    with contextlib.suppress(ValueError):
        load()

threading.Thread(target=quietly, daemon=True).start()
"""
)


class Running:
    """A server in a folder of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path, port: int, side: int) -> None:
        self.process, self.folder, self.port, self.side = process, folder, port, side

    def get(self, path: str, *, side: bool = False, timeout: float = 5) -> Answer | None:
        try:
            return request(f"http://127.0.0.1:{self.side if side else self.port}{path}", timeout=timeout)
        except OSError:
            return None

    def health(self, path: str = "/health", *, side: bool = False) -> tuple[int, dict[str, Any]]:
        answer = self.get(path, side=side)
        return (answer.status, json.loads(answer.body)) if answer is not None else (0, {})

    def until(self, status: str, *, side: bool = False) -> dict[str, Any]:
        def holds() -> dict[str, Any]:
            found = self.health("/model/health", side=side)[1]
            # A start-up that has not come to its load yet is loading, too; these tests are about the load.
            return found if found.get("status") == status and found["model"] else {}

        return until(holds, 60, lambda: f"{status}; it says {self.health('/model/health', side=side)}: {self.log()}")

    def go(self) -> None:
        (self.folder / "go").touch()

    def log(self) -> str:
        return (self.folder / "log").read_text()[-3000:]


@contextlib.contextmanager
def server(code: str, spool: Path, folder: Path, *command: str) -> Iterator[Running]:
    """`command` is of the server; {port} in it is filled in."""
    (folder / "service.py").write_text(code)
    port, side = free_port(), free_port()
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", *(part.format(port=port) for part in command)], cwd=folder, stdout=log, stderr=log,
            env={**os.environ, "MODEL_LOAD_EXPORTER_SPOOL": str(spool), "SIDE": str(side)}, start_new_session=True,
        )  # fmt: skip
    try:
        yield Running(process, folder, port, side)
    finally:
        (folder / "go").touch()
        # With its workers: those of uvicorn live on without it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        dispose(process)


UVICORN = ("uvicorn", "service:app", "--host=127.0.0.1", "--port={port}")
GUNICORN = ("gunicorn", "service:app", "--bind=127.0.0.1:{port}", "--threads=4", "--no-control-socket")


@pytest.mark.parametrize("workers", [1, 2])
def test_fastapi_answers_while_its_start_up_loads(spool: Path, tmp_path: Path, workers: int) -> None:
    """From refused connections to "loading", with the stage; its routes come when they can be served."""
    with server(FASTAPI, spool, tmp_path, *UVICORN, f"--workers={workers}") as service:
        told = service.until("loading")
        assert (told["model"], told["model_loaded"], told["witnessed"]) == ("nllb-200", False, True)
        assert told["elapsed_seconds"] >= 0
        until(lambda: service.health("/model/health")[1].get("stage") == "weights", 20, "the stage is told")
        assert service.health() == (503, {"status": "loading", "model_loaded": False})
        assert service.health("/health/live") == (200, {"status": "alive"})
        early = service.get("/later")
        assert early is not None
        assert (early.status, early.headers["retry-after"]) == (503, "5")
        service.go()
        told = service.until("healthy")
        assert (told["model_loaded"], told["inference_count"], told["last_inference_time"]) == (True, 0, None)
        assert service.health() == (200, {"status": "healthy", "model_loaded": True})
        until(lambda: (found := service.get("/later")) is not None and found.status == 200, 20, "all workers serve")
        until(lambda: service.health("/model/health")[1]["inference_count"] >= 1, 20, "the inference is told")


def test_a_start_up_that_fails_ends_the_service(spool: Path, tmp_path: Path) -> None:
    """As it would without the wrapper: a supervisor has to see it. The reason is in the log."""
    (tmp_path / "fail").touch()
    with server(FASTAPI, spool, tmp_path, *UVICORN) as service:
        service.until("loading")
        service.go()
        assert service.process.wait(30) != 0
        assert "the app's start-up failed" in service.log()


def test_a_blocked_event_loop_is_seen_from_beside(spool: Path, tmp_path: Path) -> None:
    """A start-up that loads without a thread: only the side process answers; a mount at / takes no address away."""
    with server(STARLETTE_BLOCKED, spool, tmp_path, *UVICORN) as service:
        told = service.until("loading", side=True)
        assert (told["model"], told["stage"]) == ("nllb-200", "weights")
        assert service.health(side=True)[0] == 503
        assert service.get("/health", timeout=1) is None
        service.go()
        service.until("healthy", side=True)
        service.until("healthy")
        answer = service.get("/in")
        assert answer is not None
        assert answer.text == "in"


def test_a_load_at_import_is_seen_from_beside(spool: Path, tmp_path: Path) -> None:
    """Nobody listens yet but the side process; it goes with the service, however that ends."""
    with server(IMPORTED, spool, tmp_path, *UVICORN) as service:
        service.until("loading", side=True)
        assert service.get("/") is None
        service.go()
        service.until("healthy", side=True)
        until(lambda: service.get("/") is not None, 20, "the service serves")
        service.process.send_signal(signal.SIGKILL)
        service.process.wait(10)
        until(lambda: service.get("/health", side=True) is None, 20, "the side process is gone")


def test_native_code_that_keeps_the_gil_is_seen_from_beside(spool: Path, tmp_path: Path) -> None:
    """The side process answers at once, each time, while no thread of the service gets to run for a second."""
    with server(HOLDS_THE_GIL, spool, tmp_path, *UVICORN) as service:
        service.until("loading", side=True)
        for _ in range(20):
            answer = service.get("/health", side=True, timeout=0.5)
            assert answer is not None
            assert answer.status == 503


@pytest.mark.parametrize("workers", [1, 2])
def test_flask_under_gunicorn(spool: Path, tmp_path: Path, workers: int) -> None:
    """The WSGI twin: the same addresses; all else goes to the app."""
    with server(FLASK, spool, tmp_path, *GUNICORN, f"--workers={workers}") as service:
        service.until("loading")
        assert service.health()[0] == 503
        service.go()
        service.until("healthy")
        answer = service.get("/later")
        assert answer is not None
        assert answer.text.strip() == '{"late":true}'
        elsewhere = service.get("/nowhere")
        assert elsewhere is not None
        assert elsewhere.status == 404
        assert request(f"http://127.0.0.1:{service.port}/health", method="POST", body=b"").status == 405


def test_a_failed_load_says_why(spool: Path, tmp_path: Path) -> None:
    """The reason of the closed set, and what was said; the process lives on."""
    (tmp_path / "fail").touch()
    with server(FLASK, spool, tmp_path, *GUNICORN) as service:
        service.until("loading")
        service.go()
        told = service.until("failed")
        assert (told["model"], told["reason"], told["model_loaded"]) == ("nllb-200", "file_corrupted", False)
        assert "HeaderTooLarge" in told["message"]
        assert service.health() == (503, {"status": "failed", "model_loaded": False})
        assert service.health("/health/live")[0] == 200
