"""Real servers under `run`: uvicorn with workers and reload, gunicorn with preload and worker timeout."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from support.http import answers, free_port, request
from support.recording import Recording
from support.supervised import descendants, state, supervised
from support.wait import until

BIN = Path(__file__).parents[2] / ".venv-models" / "bin"

ASGI = """
from model_load_exporter import track_load
with track_load("nllb"):
    pass
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"VERSION"})
"""

# sum() of a range looks at no signal: a load in C code that holds the GIL.
STUCK = "sum(range(10**12))"

WSGI = """
import os, time
from model_load_exporter import track_load
def load():
    with track_load("nllb"):
        LOAD
BOOT
def app(environ, start_response):
    if environ["PATH_INFO"] == "/load":
        load()
    start_response("200 OK", [])
    return [b"ok"]
"""


@pytest.fixture
def port() -> int:
    return free_port()


def write_wsgi(folder: Path, load: str = "pass", boot: str = "") -> None:
    (folder / "app.py").write_text(WSGI.replace("LOAD", load).replace("BOOT", boot))


def gunicorn(port: int, *flags: str) -> list[str]:
    return [str(BIN / "gunicorn"), "app:app", "--bind", f"127.0.0.1:{port}", *flags]


def uvicorn(port: int, *flags: str) -> list[str]:
    return [str(BIN / "uvicorn"), "app:app", "--port", str(port), *flags]


def test_uvicorn_with_workers(recording: Recording, tmp_path: Path, port: int) -> None:
    """Each worker's load is recorded; SIGTERM ends all of it in good order."""
    (tmp_path / "app.py").write_text(ASGI)
    with supervised(tmp_path, *uvicorn(port, "--workers", "2"), flags=["--name", "web"], cwd=tmp_path) as service:
        until(lambda: answers(f"http://127.0.0.1:{port}/"), 30, lambda: service.output())
        recording.until(lambda: recording.holders("nllb", "web") == 2, "both workers hold the model")
        family = descendants(service.pid)
        assert service.end() in (0, -signal.SIGTERM)
        until(lambda: not any(state(pid) for pid in family), 10, "all are gone")
    recording.until_recorded()
    tally = recording.tally("nllb", "web")
    assert (tally.attempts, tally.failures, tally.deaths) == (2, {}, {})


def test_uvicorn_with_reload(recording: Recording, tmp_path: Path, port: int) -> None:
    """A change of the code starts a worker anew; Ctrl-C's signal, handed on once, ends it."""
    app = tmp_path / "app.py"
    app.write_text(ASGI)
    with supervised(tmp_path, *uvicorn(port, "--reload"), flags=["--name", "web"], cwd=tmp_path) as service:
        until(lambda: answers(f"http://127.0.0.1:{port}/"), 30, lambda: service.output())
        app.write_text(ASGI.replace("VERSION", "second"))

        def reloads() -> bool:
            # It looks at the times of files now and then, and what changed before its first look is not new to it.
            os.utime(app)
            return "Reloading" in service.output()

        until(reloads, 30, lambda: service.output())

        def second() -> bool:
            # The old worker may take the connection and end before it answers.
            with contextlib.suppress(OSError):
                return request(f"http://127.0.0.1:{port}/").text == "second"
            return False

        until(second, 30, lambda: service.output())
        assert service.end(signal.SIGINT) in (0, -signal.SIGINT)
        assert "Stopping reloader process" in service.output()
    recording.until_recorded()
    assert recording.tally("nllb", "web").attempts == 2
    assert recording.tally("nllb", "web").failures == {}


def test_gunicorn_with_preload(recording: Recording, tmp_path: Path, port: int) -> None:
    """The load is the master's; SIGHUP and SIGTERM, handed on, do what they do without a supervisor."""
    write_wsgi(tmp_path, boot="load()")
    command = gunicorn(port, "--preload", "--workers", "2")
    with supervised(tmp_path, *command, flags=["--name", "web"], cwd=tmp_path) as service:
        until(lambda: answers(f"http://127.0.0.1:{port}/"), 30, lambda: service.output())
        recording.until(lambda: recording.holders("nllb", "web") == 1, "the master holds the model")
        assert service.end() == 0
        assert "Handling signal: term" in service.output()
    recording.until_recorded()
    tally = recording.tally("nllb", "web")
    assert (tally.attempts, tally.failures, tally.deaths) == (1, {}, {})


@pytest.mark.parametrize("load", [STUCK, "time.sleep(600)"], ids=["killed", "exits by SIGABRT"])
def test_gunicorn_ends_a_worker_in_mid_load(recording: Recording, tmp_path: Path, port: int, load: str) -> None:
    """Named timeout on evidence: the note before the kill, or gunicorn's own handler in the exit."""
    write_wsgi(tmp_path, load=load)
    command = gunicorn(port, "--timeout", "1")
    with supervised(tmp_path, *command, flags=["--name", "web"], cwd=tmp_path) as service:
        until(lambda: answers(f"http://127.0.0.1:{port}/"), 30, lambda: service.output())
        with contextlib.suppress(OSError):  # reset, no answer or an error, as it comes
            request(f"http://127.0.0.1:{port}/load", timeout=30)
        recording.until(lambda: bool(recording.tally("nllb", "web").failures), "the load has failed", 20)
        assert service.end() == 0
    assert recording.tally("nllb", "web").failures == {"timeout": 1}


def test_uvicorn_ends_a_worker_in_mid_load(recording: Recording, tmp_path: Path, port: int) -> None:
    """Its health check kills a worker that holds the GIL; that kill leaves SIGKILL alone, and the note says why."""
    code = f"import sys\nfrom model_load_exporter import track_load\nwith track_load('nllb'):\n    {STUCK}\n"
    (tmp_path / "app.py").write_text(code)
    command = uvicorn(port, "--workers", "2", "--timeout-worker-healthcheck", "1")
    with supervised(tmp_path, *command, flags=["--name", "web"], cwd=tmp_path) as service:
        recording.until(lambda: bool(recording.tally("nllb", "web").failures), "a worker was killed", 30)
        service.end(signal.SIGKILL)
    assert set(recording.tally("nllb", "web").failures) == {"timeout"}


def test_a_load_in_a_service_that_knows_nothing_of_us(recording: Recording, tmp_path: Path, port: int) -> None:
    """A real ASGI app whose code loads by a library: one load, of each worker, with its outcome and target."""
    code = "import joblib\njoblib.load('scaler.joblib')\n" + ASGI.split("    pass\n")[1]
    (tmp_path / "app.py").write_text(code)
    dump = "import joblib; joblib.dump({'mean': list(range(1000))}, 'scaler.joblib')"
    subprocess.run([BIN / "python", "-c", dump], cwd=tmp_path, check=True)
    with supervised(tmp_path, *uvicorn(port), flags=["--name", "web"], cwd=tmp_path) as service:
        until(lambda: answers(f"http://127.0.0.1:{port}/"), 30, lambda: service.output())
        recording.until_recorded_but_holders()
        (row,) = recording.rows()
        assert (row.target, row.outcome) == ("web", "loaded")
        service.end()
