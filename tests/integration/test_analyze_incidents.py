"""Logs that real servers, the real kernel and a real client write of real incidents, analysed together."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from model_load_exporter.analysis.analyze import analyze
from support.cgroup import memory_cgroup
from support.wait import until

_MODELS = Path(__file__).parents[2] / ".venv-models" / "bin"
_LIMIT = 128 << 20

SERVICE = """
import logging, socket, sys
logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
logging.info("loading file tokenizer.json")
client, _ = listener.accept()
client.recv(1)
logging.info("Loading checkpoint shards:  50%")
held = []
while True:
    held.append(b"x" * (8 << 20))
"""


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def _server(command: Sequence[str | Path], folder: Path) -> Iterator[Path]:
    """A server whose output goes to a log; ended with its workers at the end."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*map(str, command)], cwd=folder, stdout=output, stderr=output, start_new_session=True,
            env={**os.environ, "TZ": "UTC"},
        )  # fmt: skip
    try:
        yield log
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(log: Path, text: str) -> None:
    until(lambda: text in log.read_text(), 30, lambda: f"{text!r} is not in the log:\n{log.read_text()}")


def _kernel_lines(device: int, path: Path) -> None:
    """The kernel's records from where the device stands, as dmesg prints them."""
    lines = []
    while True:
        try:
            record = os.read(device, 8192).decode("utf-8", "replace")
        except BlockingIOError:
            break
        head, _, text = record.partition(";")
        fields = head.split(",")
        if int(fields[0]) >> 3 == 0:
            lines.append(f"[{int(fields[2]) / 1e6:12.6f}] {text.splitlines()[0]}")
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.root
def test_a_clients_reset_is_the_kernels_oom_kill(tmp_path: Path) -> None:
    """Service, client and dmesg of a real OOM kill in a cgroup: the kernel's line, at the load's last stage."""
    device = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(device, 0, os.SEEK_END)
    service, client, kernel = (tmp_path / name for name in ("service.log", "client.log", "kernel.log"))
    with memory_cgroup(_LIMIT) as group, service.open("wb") as errors:
        process = subprocess.Popen(
            [*group.wrapper, sys.executable, "-c", SERVICE], stdout=subprocess.PIPE, stderr=errors
        )
        assert process.stdout is not None
        with socket.create_connection(("127.0.0.1", int(process.stdout.readline()))) as connection:
            connection.sendall(b"xy")  # more than the service reads: its death resets the connection
            with pytest.raises(ConnectionResetError) as reset:
                connection.recv(1)
        client.write_text(
            f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f} ERROR client ConnectionResetError: {reset.value}\n"
        )
        assert process.wait(30) == -signal.SIGKILL
        process.stdout.close()
    _kernel_lines(device, kernel)
    os.close(device)

    analysis = analyze([str(client), str(kernel), str(service)])
    assert (analysis.reason, analysis.stage, analysis.confidence) == ("cgroup_oom_killed", "weights", "high")
    assert analysis.evidence[0].source == str(kernel)
    order = [
        entry.speaker for entry in analysis.timeline if entry.speaker in ("kernel", "client") or "50%" in entry.text
    ]
    assert order[0] == "service"
    assert order[-1] == "client"
    assert "kernel" in order


@pytest.mark.root
def test_the_same_words_by_another_writer_are_no_oom_kill(tmp_path: Path) -> None:
    """Anyone who can open /dev/kmsg can write to it: its records say so, and analyze believes them."""
    device = os.open("/dev/kmsg", os.O_RDWR | os.O_NONBLOCK)
    os.lseek(device, 0, os.SEEK_END)
    os.write(device, b"Out of memory: Killed process 1 (python3) total-vm:1kB\n")
    record = until(lambda: os.read(device, 8192), 10, "the record is not in the log")
    os.close(device)
    log = tmp_path / "kmsg.log"
    log.write_bytes(record)
    assert b"Killed process 1 (python3)" in record
    assert analyze([str(log)]).reason == "none"


def test_gunicorns_timeout_is_no_oom_kill(tmp_path: Path) -> None:
    """A worker that loads too long in a request: WORKER TIMEOUT decides, not the guess at memory that follows."""
    (tmp_path / "slow.py").write_text(
        "import time\n"
        "def app(environ, start_response):\n"
        "    print('Loading checkpoint shards:  50%', flush=True)\n"
        "    while True:\n"
        "        try:\n"
        "            time.sleep(60)\n"
        "        except SystemExit:\n"
        "            pass\n"
    )
    port = _port()
    command = [_MODELS / "gunicorn", "-t", "1", "--graceful-timeout", "1", "-b", f"127.0.0.1:{port}", "slow:app"]
    with _server(command, tmp_path) as log:
        _wait_for(log, "Booting worker with pid")
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30)
        until(lambda: log.read_text().count("Booting worker") == 2, 30, lambda: log.read_text())
    analysis = analyze([str(log)])
    assert (analysis.reason, analysis.confidence) == ("timeout", "high")
    assert "WORKER TIMEOUT" in analysis.evidence[0].text


def test_a_worker_that_failed_to_boot_is_the_module_that_is_missing(tmp_path: Path) -> None:
    """gunicorn's last words are `Worker failed to boot`; the cause stands above them."""
    (tmp_path / "broken.py").write_text("import a_module_that_is_not_installed\n")
    log = tmp_path / "boot.log"
    with log.open("wb") as output:
        subprocess.run(
            [_MODELS / "gunicorn", "-b", f"127.0.0.1:{_port()}", "broken:app"],
            cwd=tmp_path, stdout=output, stderr=output, timeout=60, check=False,
        )  # fmt: skip
    analysis = analyze([str(log)])
    assert (analysis.reason, analysis.confidence) == ("dependency_missing", "high")
    assert "a_module_that_is_not_installed" in analysis.evidence[0].text


def test_a_start_up_that_failed_is_the_file_that_is_damaged(tmp_path: Path) -> None:
    """uvicorn's last words are `Application startup failed. Exiting.`; safetensors says why."""
    (tmp_path / "model.safetensors").write_bytes(b"<html>not found</html>")
    (tmp_path / "loading.py").write_text(
        "from contextlib import asynccontextmanager\n"
        "from safetensors import safe_open\n"
        "async def app(scope, receive, send):\n"
        "    await receive()\n"
        "    safe_open('model.safetensors', 'np')\n"
    )
    log = tmp_path / "uvicorn.log"
    with log.open("wb") as output:
        done = subprocess.run(
            [_MODELS / "uvicorn", "--lifespan", "on", "--port", str(_port()), "loading:app"],
            cwd=tmp_path, stdout=output, stderr=output, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode != 0
    assert "Application startup failed" in log.read_text()
    analysis = analyze([str(log)])
    assert (analysis.reason, analysis.stage) == ("file_corrupted", "weights")


def test_a_worker_that_was_replaced_is_no_failed_load(tmp_path: Path) -> None:
    """uvicorn starts a killed worker again, and it comes up: told as an earlier failure, made good."""
    (tmp_path / "good.py").write_text(
        "async def app(scope, receive, send):\n"
        "    while scope['type'] == 'lifespan':\n"
        "        message = await receive()\n"
        "        await send({'type': message['type'] + '.complete'})\n"
        "        if message['type'] == 'lifespan.shutdown':\n"
        "            return\n"
    )
    command = [_MODELS / "uvicorn", "--workers", "2", "--port", str(_port()), "good:app"]
    with _server(command, tmp_path) as log:
        until(lambda: log.read_text().count("startup complete") == 2, 30, lambda: log.read_text())
        workers = [
            line.split("[")[1].split("]")[0] for line in log.read_text().splitlines() if "server process" in line
        ]
        os.kill(int(workers[0]), signal.SIGKILL)
        until(lambda: log.read_text().count("startup complete") == 3, 60, lambda: log.read_text())
        text = log.read_text()
    assert "died" in text
    analysis = analyze([str(log)])
    assert analysis.reason == "none"
    assert [(incident.event.reason, incident.resolved) for incident in analysis.incidents] == [("process_died", True)]


def test_a_client_alone_cannot_say_why(tmp_path: Path) -> None:
    """What a real client says of a port where nobody listens: a broken connection, not sure, and where to look."""
    log = tmp_path / "client.log"
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{_port()}/predict", timeout=5)
    except urllib.error.URLError as error:
        log.write_text(f"{time.strftime('%Y-%m-%d %H:%M:%S')} ERROR client {type(error).__name__}: {error}\n")
    analysis = analyze([str(log)])
    assert analysis.confidence in ("low", "medium")
    assert any("service's own log" in note for note in analysis.missing)
