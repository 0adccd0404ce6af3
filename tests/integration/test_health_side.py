"""The side process of serve_health: whose models it tells, whom it shares its port with, when it ends."""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model_load_exporter import serve_health, track_load
from model_load_exporter.health import watching
from model_load_exporter.health.watching import Watcher
from support.daemon import dispose
from support.http import free_port, request
from support.service import Service, serving
from support.wait import until

PYTHON = Path(__file__).resolve().parents[2] / ".venv-models/bin/python"
NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")

SERVICE = """
import logging, os, sys, threading
from model_load_exporter import serve_health, track_load
logging.basicConfig(stream=sys.stdout, format="%(message)s")
side = serve_health(port=int(os.environ["SIDE"]), host=os.environ.get("HOST", "127.0.0.1"))
print("port", side.port)

def load(model):
    with track_load(model) as attempt, attempt.stage("weights"):
        print("loading")
        if sys.stdin.readline().strip() == "fail":
            raise FileNotFoundError(model)
        attempt.holds(load)
    print("loaded")

def fork(loads):
    if os.fork() == 0:
        if loads:
            with track_load("nllb") as attempt:
                attempt.holds(load)
        print(os.getpid())
        threading.Event().wait()

for line in sys.stdin:
    command = line.strip()
    try:
        fork(command == "fork and load") if command.startswith("fork") else load(command)
    except FileNotFoundError:
        print("failed")
"""


def health(port: int, path: str = "/health/ready") -> tuple[int, dict[str, Any]]:
    """(status, JSON), of a connection of its own; (0, {}) where nobody answers."""
    try:
        answer = request(f"http://127.0.0.1:{port}{path}", timeout=5)
    except OSError:
        return 0, {}
    return answer.status, json.loads(answer.body)


def loads(service: Service, model: str = "nllb", how: str = "go") -> None:
    """One load, to its end."""
    service.tell(model)
    service.says("loading")
    service.tell(how)
    service.says("failed" if how == "fail" else "loaded")


def side(port: int, **environment: str) -> dict[str, str]:
    return {"SIDE": str(port), **environment}


@contextlib.contextmanager
def child(service: Service, how: str) -> Iterator[None]:
    """A fork of the service, which outlives it and goes at the end."""
    service.tell(how)
    pid = int(service.read())
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.root
@pytest.mark.parametrize("target", ["", "translation"])
def test_another_pods_model_is_none_of_ours(spool: Path, target: str) -> None:
    """Two pods of a node share the spool; both services have pid 1, and replicas have the same target."""
    here, there = free_port(), free_port()
    more = {"MODEL_LOAD_EXPORTER_TARGET": target}
    with (
        serving(SERVICE, spool, wrapper=NAMESPACE, environment=side(there, **more)) as first,
        serving(SERVICE, spool, wrapper=NAMESPACE, environment=side(here, **more)) as second,
    ):
        first.says(f"port {there}")
        second.says(f"port {here}")
        loads(first)
        until(lambda: health(there)[0] == 200, 20, "the first is ready")
        second.tell("nllb")
        second.says("loading")
        assert health(here) == (503, {"status": "loading", "model_loaded": False})
        second.tell("go")
        second.says("loaded")
        assert health(here) == (200, {"status": "healthy", "model_loaded": True})


def test_another_service_with_the_same_target_is_none_of_ours(spool: Path) -> None:
    """Two processes of one parent, which is no server of theirs."""
    here, there = free_port(), free_port()
    with (
        serving(SERVICE, spool, environment=side(there, MODEL_LOAD_EXPORTER_TARGET="translation")) as first,
        serving(SERVICE, spool, environment=side(here, MODEL_LOAD_EXPORTER_TARGET="translation")) as second,
    ):
        first.says(f"port {there}")
        second.says(f"port {here}")
        loads(first)
        until(lambda: health(there)[0] == 200, 20, "the first is ready")
        assert health(here) == (503, {"status": "loading", "model_loaded": False})


WORKERS = """
import os
from model_load_exporter import serve_health, track_load

side = serve_health(port=int(os.environ["SIDE"]), host="127.0.0.1", target="translation")
with open("ports", "a") as file:
    file.write(f"{side.port}\\n")
try:
    os.close(os.open("first", os.O_CREAT | os.O_EXCL))
except FileExistsError:
    pass
else:
    with track_load("nllb", target="translation") as attempt:
        attempt.holds(attempt)

async def asgi(scope, receive, send):
    pass

def wsgi(environ, start_response):
    start_response("200 OK", [])
    return []
"""


@pytest.mark.parametrize(
    "command",
    [
        ("uvicorn", "service:asgi", "--port={port}", "--workers=2", "--lifespan=off"),
        ("gunicorn", "service:wsgi", "--bind=127.0.0.1:{port}", "--workers=2", "--no-control-socket"),
    ],
    ids=["uvicorn", "gunicorn"],
)
def test_the_workers_of_one_server_share_the_port_and_the_target(
    spool: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Started by exec or by fork: whichever worker's side process answers, it knows the one that holds the model."""
    (tmp_path / "service.py").write_text(WORKERS)
    port, own = free_port(), free_port()
    process = subprocess.Popen(
        [PYTHON, "-m", *(part.format(port=port) for part in command)], cwd=tmp_path, stderr=subprocess.DEVNULL,
        env={**os.environ, "MODEL_LOAD_EXPORTER_SPOOL": str(spool), "SIDE": str(own)}, start_new_session=True,
    )  # fmt: skip
    try:
        ports = tmp_path / "ports"
        until(lambda: ports.exists() and ports.read_text().count("\n") == 2, 30, "both workers have started")
        assert ports.read_text().split() == [str(own)] * 2
        until(lambda: health(own)[0] == 200, 20, "ready")
        assert {health(own)[0] for _ in range(30)} == {200}
    finally:
        # With its workers: those of uvicorn live on without it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        dispose(process)


@pytest.mark.parametrize("hosts", [("127.0.0.1", "127.0.0.1"), ("", ""), ("", "127.0.0.1"), ("127.0.0.1", "")])
def test_a_strangers_port_is_refused(spool: Path, hosts: tuple[str, str]) -> None:
    """SO_REUSEPORT would let both have it, and each answer for the other."""
    port = free_port()
    with serving(SERVICE, spool, environment=side(port, HOST=hosts[0])) as first:
        first.says(f"port {port}")
        with serving(SERVICE, spool, environment=side(port, HOST=hosts[1])) as second:
            assert "another service answers there" in second.read()
            second.says("port None")
            loads(second)
            assert {health(port)[0] for _ in range(30)} == {503}


def test_not_ready_before_a_load_begins(spool: Path) -> None:
    """Who calls serve_health wants a model; liveness is another matter."""
    port = free_port()
    with serving(SERVICE, spool, environment=side(port)) as service:
        service.says(f"port {port}")
        assert health(port) == (503, {"status": "loading", "model_loaded": False})
        assert health(port, "/health/live")[0] == 200


def test_not_ready_without_a_spool(spool: Path) -> None:
    """The side process sees nothing then, and the service's log says so."""
    (spool / "spool.json").unlink()
    port = free_port()
    with serving(SERVICE, spool, environment=side(port, XDG_STATE_HOME=str(spool))) as service:
        assert "say 503 until there is a spool" in service.read()
        service.says(f"port {port}")
        assert health(port) == (503, {"status": "loading", "model_loaded": False})


def test_a_failure_is_told_as_long_as_its_process_lives(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long ago it was; one whose process ended is forgotten in the end."""
    monkeypatch.setattr(watching, "_KEEP_FAILURES", 0.0)
    with serving(SERVICE, spool, environment=side(0)) as service:
        assert service.read().startswith("port ")
        watcher = Watcher(str(spool), service.pid)
        loads(service, how="fail")
        watcher.update()
        assert [(one.model, one.reason) for one in watcher.state().failures] == [("nllb", "file_missing")]
        service.kill(signal.SIGKILL)
        service.reap()
        watcher.update()
        assert watcher.state().failures == ()


def test_a_child_left_behind_keeps_no_side_process(spool: Path) -> None:
    """It has the pipe's end and the holder file's lock of the service, but neither its model nor its port."""
    port = free_port()
    with serving(SERVICE, spool, environment=side(port)) as service:
        service.says(f"port {port}")
        loads(service)
        with child(service, "fork"):
            assert health(port)[0] == 200
            service.kill(signal.SIGKILL)
            until(lambda: health(port)[0] != 200, 5, "not ready")
            until(lambda: health(port)[0] == 0, 20, "the side process has ended")


def test_a_child_left_behind_that_holds_the_model_is_told(spool: Path) -> None:
    """The side process stays with it."""
    port = free_port()
    with serving(SERVICE, spool, environment=side(port)) as service:
        service.says(f"port {port}")
        with child(service, "fork and load"):
            assert health(port)[0] == 200
            service.kill(signal.SIGKILL)
            service.reap()
            assert health(port)[0] == 200
        until(lambda: health(port)[0] == 0, 20, "the side process has ended")


def test_arguments_that_do_not_fit_never_raise(spool: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A number in text is a number; nonsense is a line in the log; one name is one model."""
    port = free_port()
    started = serve_health(port=str(port), host="127.0.0.1", models="nllb")
    try:
        assert started.port == port
        told = until(lambda: health(port, "/model/health")[1], 20, "it answers")
        assert told["status"] == "loading"
        with track_load("nllb") as attempt:
            attempt.holds(attempt)
        assert health(port) == (200, {"status": "healthy", "model_loaded": True})
    finally:
        started.stop()
    assert serve_health(port="eighty").port is None
    assert serve_health(port=None).port is None  # type: ignore[arg-type]  # what a service may hand over
    assert "no health addresses on port eighty" in caplog.text
