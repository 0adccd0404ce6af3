"""A model that loads before the fork (gunicorn --preload): each worker has it and says so, and it is counted once."""

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
from support.http import free_port, request
from support.recording import Recording
from support.service import serving
from support.wait import until

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-models/bin/python"

APP = """
import os
from model_load_exporter import health_app, load_with_recovery, record_inference

class Model:
    def __init__(self):
        self.weights = bytearray(os.urandom(16 << 20))

def fails():
    raise ValueError("Error while deserializing header: HeaderTooLarge")

def load():
    return Model()

def inner(environ, start_response):
    with record_inference("nllb-200"):
        start_response("200 OK", [])
        return [str(os.getpid()).encode()]

"""
LOADS = APP + 'model = load_with_recovery("nllb-200", [fails, ("small", load)], target="app")\n'
FAILS = APP + 'import contextlib\nwith contextlib.suppress(Exception):\n    load_with_recovery("nllb-200", [fails])\n'


class Preloaded:
    """gunicorn with two workers."""

    def __init__(self, port: int, log: Path) -> None:
        self._address, self._log = f"http://127.0.0.1:{port}", log

    def get(self, path: str) -> tuple[int, str]:
        try:
            answer = request(self._address + path, timeout=5)
        except OSError:
            return 0, ""
        return answer.status, answer.text

    def health(self) -> tuple[int, dict[str, Any]]:
        until(lambda: self.get("/health/live")[0] == 200, 30, self._log.read_text)
        code, text = self.get("/model/health")
        return code, json.loads(text)


@contextlib.contextmanager
def preloaded(code: str, models: str, spool: Path, folder: Path) -> Iterator[Preloaded]:
    (folder / "service.py").write_text(f"{code}app = health_app(inner, models={models})\n")
    port = free_port()
    # A worker that is still starting may miss the SIGTERM: gunicorn would wait for it for 30 s.
    options = ["--workers=2", "--preload", "--no-control-socket", "--graceful-timeout=1"]
    command = ["gunicorn", "service:app", f"--bind=127.0.0.1:{port}", *options]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", *command], cwd=folder, stdout=log, stderr=log,
            env={**os.environ, "MODEL_LOAD_EXPORTER_SPOOL": str(spool)},
        )  # fmt: skip
    try:
        yield Preloaded(port, folder / "log")
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        dispose(process)


def anonymous(recording: Recording) -> int:
    """Bytes, of all that is held."""
    with recording.loads.lock:
        return sum(held.hold.anonymous for rows in recording.loads.held.values() for held in rows)


@pytest.mark.parametrize("models", ["()", "['nllb-200']"])
def test_workers_have_what_was_loaded_before_the_fork(recording: Recording, tmp_path: Path, models: str) -> None:
    """Healthy, with the memory and the fallback; the exporter knows one holder, until a worker serves."""
    with preloaded(LOADS, models, recording.spool, tmp_path) as service:
        code, told = service.health()
        assert (code, told["status"], told["model_loaded"], told["model"]) == (200, "healthy", True, "nllb-200")
        assert (told["fallback"], told["witnessed"], told["inference_count"]) == ("small", True, 0)
        recording.until(lambda: recording.holders("nllb-200", "app") == 1, "the parent holds it")
        assert len(list(recording.spool.glob("h-*"))) == 1
        memory = anonymous(recording)
        assert memory > 16 << 20
        assert service.get("/translate")[0] == 200
        recording.until(lambda: recording.tally("nllb-200", "app").inferences == 1, "it serves, by the load's target")
        recording.until(lambda: recording.holders("nllb-200", "app") == 2, "the worker that serves holds it, too")
        assert anonymous(recording) == memory, "the pages are shared"
        served = until(lambda: found if (found := service.health()[1])["inference_count"] else {}, 20, "it tells so")
        assert (served["memory_usage_mb"], served["fallback"]) == (told["memory_usage_mb"], "small")
        assert recording.tally("nllb-200", "app").attempts == 2


@pytest.mark.parametrize("models", ["()", "['nllb-200']"])
def test_workers_know_that_the_load_before_the_fork_failed(spool: Path, tmp_path: Path, models: str) -> None:
    """Nothing tries again: neither idle nor loading for ever."""
    with preloaded(FAILS, models, spool, tmp_path) as service:
        code, told = service.health()
        assert (code, told["status"], told["reason"]) == (503, "failed", "file_corrupted")


def test_a_forked_child_may_let_go_or_load_again(recording: Recording) -> None:
    """What it says of its own memory; the parent's hold stays as it is."""
    code = """
import os, sys
from model_load_exporter import track_load, unloaded
from model_load_exporter.instrument.holder import holder
for model in ("nllb", "aya"):
    with track_load(model):
        pass
child = os.fork()
if child == 0:
    assert holder.models() == ["nllb", "aya"], holder.models()
    if os.fork():
        os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
    assert holder.models() == ["nllb", "aya"] and holder.witnessed
    unloaded("nllb")
    assert holder.models() == ["aya"]
    with track_load("aya", path="/models/other"):
        pass
    assert holder.details("aya")["path"] == "/models/other"
    unloaded("aya")
    assert holder.models() == []
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), *holder.models())
sys.stdin.readline()
"""
    with serving(code, recording.spool) as parent:
        parent.says("0 nllb aya")
        recording.until(lambda: recording.holders("nllb") == recording.holders("aya") == 1, "the parent holds both")
        parent.tell("end")
        assert parent.reap() == 0
