"""`run --model M`: a server of another language, from its start until it is ready, is one load."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model_load_exporter.ledger import Row
from support.daemon import COMMAND
from support.http import free_port
from support.recording import Recording, attempts, begin, drop, holdings, lines
from support.service import EXIT_STATUS_IS_TOLD
from support.supervised import Supervised, children, run, supervised
from support.wait import until

SOURCE = Path(__file__).parents[1] / "fixtures" / "servers" / "server.c"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The small server, compiled."""
    program = tmp_path_factory.mktemp("server") / "server"
    subprocess.run(["gcc", "-std=c17", "-D_GNU_SOURCE", "-Wall", "-Werror", "-o", program, SOURCE], check=True)
    return str(program)


@pytest.fixture
def port() -> str:
    return str(free_port())


def by_url(port: str) -> list[str]:
    return ["--name", "chat", "--model", "llama", "--ready-url", f"http://127.0.0.1:{port}/health"]


BY_LOG = ["--name", "chat", "--model", "llama", "--ready-log", "is listening on [0-9]+"]


def last(recording: Recording) -> Row:
    """The one load on record."""
    recording.until_recorded_but_holders()
    (row,) = recording.rows()
    return row


@pytest.mark.parametrize("how", ["url", "log"])
def test_from_start_to_ready_is_one_load(
    recording: Recording, tmp_path: Path, server: str, port: str, how: str
) -> None:
    """The model is held from then on by the server's own process; a stop that was asked for is no death."""
    flags = by_url(port) if how == "url" else BY_LOG
    with supervised(tmp_path, server, port, "0.3", flags=flags) as service:
        recording.until(lambda: recording.holders("llama", "chat") == 1, "it is ready, and holds the model")
        row = last(recording)
        assert (row.model, row.target, row.outcome) == ("llama", "chat", "loaded")
        assert row.seconds is not None
        assert 0.3 <= row.seconds < 5
        (held,) = holdings(recording.spool)
        assert held.first.pid == service.service()
        until(lambda: children(service.pid) == [service.service()], 10, "nobody asks the address any more")
        assert service.end() == -signal.SIGTERM
        assert service.output() == f"loading model\nserver is listening on {port}\n"
    recording.until_recorded()
    assert recording.tally("llama", "chat").deaths == {}


@pytest.mark.parametrize(
    ("end", "reason", "status"),
    [
        ("segv", "segfault", -signal.SIGSEGV),
        ("kill", "killed", -signal.SIGKILL),
        ("exit", "process_died", 3),
        ("missing", "file_missing", 1),
    ],
)
def test_death_before_it_is_ready(
    recording: Recording, tmp_path: Path, server: str, port: str, end: str, reason: str, status: int
) -> None:
    """Who ended it the witness says; what it wrote itself says more."""
    done = run(server, port, "0.1", end, flags=BY_LOG)
    assert done.returncode == status
    row = last(recording)
    told = EXIT_STATUS_IS_TOLD or end == "missing"
    assert (row.outcome, row.reason, row.stage) == ("failed", reason if told else "process_died", "other")
    if end == "missing":
        assert "failed to open /models/llama.gguf" in row.message


def test_the_wait_status_stands_in_the_journal(spool: Path, server: str, port: str) -> None:
    """For a daemon that cannot see it by itself; that file has no end: who ended the process is not for us to say."""
    run(server, port, "0.1", "segv", flags=by_url(port))
    (path,) = spool.glob("*.jsonl")
    assert f'"status":{int(signal.SIGSEGV)}' in path.read_text().splitlines()[-1]
    (attempt,) = attempts(spool)
    assert attempt.open


def test_not_ready_in_time(recording: Recording, tmp_path: Path, server: str, port: str) -> None:
    """The load has failed; the service goes on, and holds the model should it be ready after all."""
    flags = [*by_url(port), "--ready-timeout", "200ms"]
    with supervised(tmp_path, server, port, "1.0", flags=flags) as service:
        recording.until(
            lambda: recording.tally("llama", "chat").failures == {"timeout": 1}, "it was not ready within 200 ms"
        )
        row = last(recording)
        assert (row.reason, row.message) == ("timeout", "not ready within 0.2 s")
        recording.until(lambda: recording.holders("llama", "chat") == 1, "it is ready later")
        assert service.end() == -signal.SIGTERM


def test_a_service_that_dies_while_it_holds_the_model(
    recording: Recording, tmp_path: Path, server: str, port: str
) -> None:
    """That is a death of its own, and no failed load."""
    with supervised(tmp_path, server, port, "0.0", flags=by_url(port)) as service:
        recording.until(lambda: recording.holders("llama", "chat") == 1, "it holds the model")
        subprocess.run(["kill", "-SEGV", str(service.service())], check=True)
        assert service.process.wait(20) == -signal.SIGSEGV
    recording.until_recorded()
    tally = recording.tally("llama", "chat")
    assert (tally.deaths, tally.failures) == ({"segfault" if EXIT_STATUS_IS_TOLD else "process_died": 1}, {})


@pytest.mark.parametrize(("number", "outcome"), [(signal.SIGINT, "cancelled"), (signal.SIGTERM, "failed")])
def test_ended_before_it_is_ready(
    recording: Recording, tmp_path: Path, server: str, port: str, number: signal.Signals, outcome: str
) -> None:
    """Ctrl-C is a person's; SIGTERM in mid-load is what a liveness probe sends, and a failure."""
    with supervised(tmp_path, server, port, "60", flags=by_url(port)) as service:
        service.says("loading model")
        recording.until(lambda: bool(recording.loads.open), "the witness has seen it")
        assert service.end(number) == -number
    row = last(recording)
    assert row.outcome == outcome
    assert row.reason == {"cancelled": None, "failed": "killed" if EXIT_STATUS_IS_TOLD else "process_died"}[outcome]


def test_the_supervisor_is_killed(recording: Recording, tmp_path: Path, server: str, port: str) -> None:
    """With it the service: the load is over, and nothing is left open."""
    with supervised(tmp_path, server, port, "60", flags=by_url(port)) as service:
        service.says("loading model")
        recording.until(lambda: bool(recording.loads.open), "the load is open")
        service.end(signal.SIGKILL)
    assert last(recording).reason == ("killed" if EXIT_STATUS_IS_TOLD else "process_died")


def test_output_goes_through_unchanged(spool: Path, tmp_path: Path) -> None:
    """Every byte, in order, both streams, more than a pipe holds; what a child writes later too."""
    code = "head -c 3000000 /dev/zero | tr '\\0' x; printf 'no newline'; printf ready >&2; "
    code += "(sleep 0.3; printf late) & exit 6"
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        command = [str(COMMAND), "run", "--model", "m", "--ready-log", "ready", "--", "bash", "-c", code]
        done = subprocess.run(command, stdout=out, stderr=err, timeout=60, check=False)
    assert done.returncode == 6
    assert (tmp_path / "err").read_bytes() == b"ready"
    whole = b"x" * 3_000_000 + b"no newline"
    until(lambda: (tmp_path / "out").stat().st_size == len(whole) + 4, 10, "what a child wrote after the end came too")
    assert (tmp_path / "out").read_bytes() == whole + b"late"


def test_one_stream_keeps_its_order(spool: Path, tmp_path: Path) -> None:
    """2>&1: lines of both stay in the order in which they were written."""
    code = "i=0; while [ $i -lt 300 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done"
    with supervised(tmp_path, "bash", "-c", code, flags=["--model", "m", "--ready-log", "never"]) as service:
        assert service.process.wait(30) == 0
        assert service.output().splitlines() == [f"{s} {i}" for i in range(300) for s in ("out", "err")]


def test_without_a_spool_the_service_starts_all_the_same(
    tmp_path: Path, server: str, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says once that nobody witnesses it."""
    monkeypatch.setenv("MODEL_LOAD_EXPORTER_SPOOL", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with supervised(tmp_path, server, port, "0", flags=BY_LOG) as service:
        service.says("is listening")
        assert _end(service) == -signal.SIGTERM
        if not Path("/var/lib/model-load-exporter/spool/spool.json").exists():
            assert "the load is not witnessed" in service.output()


def _end(service: Supervised) -> int:
    return service.end()


def test_the_wait_status_of_an_instrumented_service(spool: Path, tmp_path: Path) -> None:
    """The service's own open load gets the line; another process's, and one that has ended, do not."""
    drop(spool, "other", lines(begin("other", pid=1)))
    code = """
import os, signal
from model_load_exporter import track_load
with track_load("done"):
    pass
with track_load("nllb"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run(sys.executable, "-c", code).returncode == -signal.SIGKILL
    told = {path.read_text().splitlines()[0].split('"model":"')[1].split('"')[0]: "exit_status" in path.read_text()
            for path in spool.glob("[ao]*.jsonl") if path.name != "other.jsonl"}  # fmt: skip
    assert told == {"done": False, "nllb": True}
    assert "exit_status" not in (spool / "other.jsonl").read_text()


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs Debian's prometheus")
def test_a_packaged_server(recording: Recording, tmp_path: Path, port: str) -> None:
    """Prometheus, of Debian, in Go: from its start until its own readiness page says so."""
    (tmp_path / "prometheus.yml").write_text("{}\n")
    command = ["prometheus", f"--web.listen-address=127.0.0.1:{port}", f"--storage.tsdb.path={tmp_path}/data"]
    flags = ["--model", "tsdb", "--ready-url", f"http://127.0.0.1:{port}/-/ready", "--ready-timeout", "60s"]
    with supervised(tmp_path, *command, f"--config.file={tmp_path}/prometheus.yml", flags=flags) as service:
        recording.until(lambda: recording.holders("tsdb") == 1, "it is ready", 60)
        assert service.end() == 0
    recording.until_recorded()
    (row,) = recording.rows()
    assert (row.outcome, recording.tally("tsdb").deaths) == ("loaded", {})
