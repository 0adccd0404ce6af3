"""Real servers whose load fails, hangs, is killed or goes well: what `analyze` makes of the logs that they left."""

import http.client
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from model_load_exporter.analysis.analyze import analyze
from support.cgroup import memory_cgroup
from support.wait import until

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-models" / "bin" / "python"

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-models: `make test` builds it")

ASGI = """
import contextlib, logging, warnings
logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
def load():
    logging.info("loading model nllb-200")
    warnings.warn("`torch_dtype` is deprecated! Use `dtype` instead!", FutureWarning)
    {load}
@contextlib.asynccontextmanager
async def lifespan(app):
    load()
    yield
from fastapi import FastAPI
app = FastAPI(lifespan=lifespan)
@app.get("/health")
def health():
    return {{}}
"""
WSGI_AT_IMPORT = """
import logging
logging.getLogger("app").warning("no GPU was found, using the CPU")
{load}
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
"""
WSGI_AT_FIRST_REQUEST = """
import time
def app(environ, start_response):
    if environ["PATH_INFO"] == "/load":
        {load}
    start_response("200 OK", [])
    return [b"ok"]
"""


@dataclass
class Server:
    """One server with its log; ended when the test is."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def get(self, path: str) -> str:
        """What a client meets: the answer's status, or the error as a client's log has it."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
                return str(answer.status)
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"

    def answers(self) -> bool:
        return self.get("/health") == "200"

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


@pytest.fixture
def serve(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Server]:
    """Starts a server on an application of its own."""

    def start(kind: str, source: str, load: str, *options: str, wrapper: tuple[str, ...] = (), port: int = 0) -> Server:
        (tmp_path / "service.py").write_text(source.format(load=load))
        if not port:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
        command = {
            "uvicorn": ["uvicorn", "service:app", "--port", str(port)],
            "gunicorn": ["gunicorn", "service:app", "-b", f"127.0.0.1:{port}", "--worker-tmp-dir", str(tmp_path)],
        }[kind]
        log = tmp_path / "service.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*wrapper, PYTHON, "-m", *command, *options], cwd=tmp_path, stdout=stream, stderr=stream,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1", "HOME": str(tmp_path)},
            )  # fmt: skip

        def end() -> None:
            if process.poll() is None:
                process.kill()
            process.wait()

        request.addfinalizer(end)
        return Server(process, port, log)

    return start


FAILING = {
    "safetensors_cut": (
        "from safetensors.numpy import load_file; "
        "open('m.safetensors', 'wb').write(b'\\x99\\x09\\0\\0\\0\\0\\0\\0{}'); "
        "load_file('m.safetensors')",
        "file_corrupted",
    ),
    "missing": ("import joblib; joblib.load('/models/nowhere/model.joblib')", "file_missing"),
    "package": ("import a_package_nobody_has", "dependency_missing"),
    "pointer": (
        "import pickle; pickle.loads(b'version https://git-lfs.github.com/spec/v1\\noid sha256:4d7a\\nsize 1\\n')",
        "lfs_pointer",
    ),
    "memory": ("import numpy; numpy.ones(1 << 50)", "host_memory_error"),
    "class_gone": (
        "import joblib; joblib.hash; import pickle; pickle.loads(b'cjoblib\\nOfTomorrow\\n.')",
        "version_incompatible",
    ),
    "disk": ("open('/dev/full', 'wb', buffering=0).write(b'x')", "disk_full"),
    "onnx": (
        "import onnxruntime; open('m.onnx', 'wb').write(b'<!DOCTYPE html>'); onnxruntime.InferenceSession('m.onnx')",
        "file_corrupted",
    ),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_start_that_fails_under_uvicorn(serve: Callable[..., Server], name: str) -> None:
    """The exception in the lifespan, not `Application startup failed`."""
    load, reason = FAILING[name]
    server = serve("uvicorn", ASGI, load)
    assert server.process.wait(60) == 3
    found = analyze([str(server.log)])
    assert found.reason == reason, (found.evidence, server.log.read_text())


@pytest.mark.parametrize("name", ["package", "missing", "class_gone"])
def test_a_start_that_fails_under_gunicorn(serve: Callable[..., Server], name: str) -> None:
    """The exception in the worker, not `Worker failed to boot`."""
    load, reason = FAILING[name]
    server = serve("gunicorn", WSGI_AT_IMPORT, load)
    assert server.process.wait(60) == 3
    found = analyze([str(server.log)])
    assert found.reason == reason, (found.evidence, server.log.read_text())


@pytest.mark.parametrize(("kind", "source"), [("uvicorn", ASGI), ("gunicorn", WSGI_AT_IMPORT)])
def test_a_start_that_goes_well(serve: Callable[..., Server], kind: str, source: str) -> None:
    """Warnings at the start and a SIGTERM at the end are no failure."""
    server = serve(kind, source, "pass")
    until(server.answers, 60, server.log.read_text)
    server.end()
    found = analyze([str(server.log)])
    assert found.reason == "none", (found.evidence, server.log.read_text())


def test_a_port_that_is_taken(serve: Callable[..., Server]) -> None:
    """The load went well and was for nothing."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = serve("uvicorn", ASGI, "pass", port=taken.getsockname()[1])
        assert server.process.wait(60) != 0
    found = analyze([str(server.log)])
    assert found.reason == "port_in_use", (found.evidence, server.log.read_text())


def client_log(tmp_path: Path, server: Server) -> Path:
    """A client that asks for a load, with the times of its lines."""
    path = tmp_path / "client.log"
    begun = time.strftime("%Y-%m-%d %H:%M:%S")
    said = server.get("/load")
    path.write_text(
        f"{begun},000 INFO client: GET /load\n{time.strftime('%Y-%m-%d %H:%M:%S')},900 ERROR client: {said}\n"
    )
    return path


def test_a_worker_that_is_killed_for_its_silence(serve: Callable[..., Server], tmp_path: Path) -> None:
    """gunicorn's guess at memory is wrong: it sent the signal itself, after its timeout."""
    server = serve(
        "gunicorn", WSGI_AT_FIRST_REQUEST, "import signal; signal.pthread_sigmask(0, {6}); time.sleep(30)", "-t", "1"
    )
    until(server.answers, 60, server.log.read_text)
    client = client_log(tmp_path, server)
    until(lambda: "SIGKILL" in server.log.read_text(), 30, server.log.read_text)
    server.end()
    assert "WORKER TIMEOUT" in server.log.read_text()
    found = analyze([str(client), str(server.log)])
    assert found.reason == "timeout", (found.evidence, server.log.read_text(), client.read_text())


@pytest.mark.root
def test_a_worker_that_the_oom_killer_ended(serve: Callable[..., Server], tmp_path: Path) -> None:
    """The client's reset connection and gunicorn's guess, explained by the kernel's line on that very process."""
    kernel = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(kernel, 0, os.SEEK_END)
    with memory_cgroup(150 << 20) as group:
        load = "kept = bytearray(400 << 20); kept[::4096] = bytes(len(kept) // 4096)"
        server = serve("gunicorn", WSGI_AT_FIRST_REQUEST, load, "-t", "60", wrapper=group.wrapper)
        until(server.answers, 60, server.log.read_text)
        client = client_log(tmp_path, server)
        until(lambda: "SIGKILL" in server.log.read_text(), 30, server.log.read_text)
        server.end()
    lines = []
    while True:
        try:
            head, _, text = os.read(kernel, 8192).decode().partition(";")
        except BlockingIOError:
            break
        lines.append(f"[{int(head.split(',')[2]) / 1e6:12.6f}] {text.splitlines()[0]}\n")
    os.close(kernel)
    dmesg = tmp_path / "dmesg.txt"
    dmesg.write_text("".join(lines))  # as dmesg(1) prints them
    found = analyze([str(client), str(server.log), str(dmesg)])
    assert found.reason == "cgroup_oom_killed", (found.evidence, dmesg.read_text(), server.log.read_text())
    assert "out of memory" in " ".join(row.text for row in found.evidence)
    without = analyze([str(client), str(server.log)])
    assert without.reason in ("killed", "process_died"), (without.evidence, server.log.read_text())
