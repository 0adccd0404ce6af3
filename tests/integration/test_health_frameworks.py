"""health_app inside an app that stays what it is: for tools that look for a Flask or a FastAPI object."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.daemon import dispose
from support.http import Answer, free_port, request
from support.wait import until

PYTHON = Path(__file__).resolve().parents[2] / ".venv-models/bin/python"

FLASK = """
from flask import Flask
from model_load_exporter import health_app

app = Flask(__name__)
app.wsgi_app = health_app(app.wsgi_app)

@app.get("/in")
def inside():
    return "in"
"""

FASTAPI = """
import asyncio, contextlib, os
from fastapi import FastAPI
from model_load_exporter import health_app

@contextlib.asynccontextmanager
async def lifespan(app):
    while not os.path.exists("go"):
        await asyncio.sleep(0.01)
    yield
    print("stopped well", flush=True)

app = FastAPI(lifespan=lifespan)
app.add_middleware(health_app, models=[])

@app.get("/in")
def inside():
    return "in"
"""


class Running:
    """A server in a folder of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path, port: int) -> None:
        self.process, self.folder, self.port = process, folder, port

    def get(self, path: str) -> Answer | None:
        try:
            return request(f"http://127.0.0.1:{self.port}{path}", timeout=5)
        except OSError:
            return None

    def until(self, path: str, status: int) -> Answer:
        def told() -> Answer | None:
            answer = self.get(path)
            return answer if answer is not None and answer.status == status else None

        found = until(told, 30, self.log)
        assert found is not None
        return found

    def log(self) -> str:
        return (self.folder / "log").read_text()


@contextlib.contextmanager
def running(code: str, folder: Path, *command: str) -> Iterator[Running]:
    (folder / "service.py").write_text(code)
    port = free_port()
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", *command, f"--port={port}"], cwd=folder, stdout=log, stderr=log, env=os.environ,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield Running(process, folder, port)
    finally:
        dispose(process)


def test_flask_run_finds_the_app(spool: Path, tmp_path: Path) -> None:
    with running(FLASK, tmp_path, "flask", "--app=service:app", "run") as service:
        assert service.until("/in", 200).text == "in"
        assert '"idle"' in service.until("/health", 200).text


def test_as_middleware_it_answers_during_the_start_up(spool: Path, tmp_path: Path) -> None:
    with running(FASTAPI, tmp_path, "uvicorn", "service:app") as service:
        assert '"loading"' in service.until("/health", 503).text
        service.until("/in", 503)
        (tmp_path / "go").touch()
        assert service.until("/in", 200).text == '"in"'
        service.until("/health", 200)
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(30)
        assert "stopped well" in service.log()


def test_a_stop_during_the_start_up_is_no_failure(spool: Path, tmp_path: Path) -> None:
    """The app is cancelled, which Starlette tells as a failed start-up."""
    with running(FASTAPI, tmp_path, "uvicorn", "service:app") as service:
        service.until("/health", 503)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) in (0, -signal.SIGTERM)
        assert "Application shutdown complete" in service.log()
        assert "start-up failed" not in service.log()
