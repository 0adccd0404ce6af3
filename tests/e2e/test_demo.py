"""The demo as `make demo` runs it: the real service, real models and faults, the real exporter; no process left."""

import contextlib
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.daemon import Series, dispose
from support.http import Answer, free_port, request
from support.supervised import descendants, state
from support.wait import until

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-models" / "bin" / "python"
MODELS = ROOT / ".run" / "models"

THRESHOLDS = {"nllb": 300.0, "aya": 3600.0}
START_SECONDS = 150.0
"""Importing torch and transformers and loading two models, on a machine that does much else."""

pytestmark = pytest.mark.timeout(240)


@dataclass
class Demo:
    """One demo with ports and a folder of its own."""

    folder: Path
    arguments: tuple[str, ...]
    port: int = field(default_factory=free_port)
    side: int = field(default_factory=free_port)
    exporter: int = field(default_factory=free_port)
    prometheus: int = field(default_factory=free_port)
    alertmanager: int = field(default_factory=free_port)
    monitoring: bool = False
    process: "subprocess.Popen[bytes] | None" = None
    family: set[int] = field(default_factory=set)

    def start(self) -> None:
        ports = {
            "port": self.port, "health-port": self.side, "exporter-port": self.exporter,
            "prometheus-port": self.prometheus, "alertmanager-port": self.alertmanager,
        }  # fmt: skip
        command = [
            sys.executable, str(ROOT / "compose" / "demo" / "run.py"), f"--folder={self.folder}", *self.arguments,
            *(f"--{name}={port}" for name, port in ports.items()),
            *([] if self.monitoring else ["--no-prometheus"]),
        ]  # fmt: skip
        with (self.folder / "output").open("wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def output(self) -> str:
        """What a person at the terminal saw, and the service's log."""
        files = (self.folder / name for name in ("output", "service.log"))
        return "\n".join(file.read_text(errors="replace")[-4000:] for file in files if file.exists())

    def ask(self, path: str, body: object = None, port: int | None = None) -> Answer | None:
        """The service's answer; None where it does not answer."""
        data = None if body is None else json.dumps(body).encode()
        try:
            return request(
                f"http://127.0.0.1:{port or self.port}{path}", method="GET" if data is None else "POST", body=data,
                timeout=30,
            )  # fmt: skip
        except OSError:
            return None

    def told(self, path: str = "/model/health", port: int | None = None) -> dict[str, Any]:
        """Its JSON; empty where nobody answers."""
        answer = self.ask(path, port=port)
        return dict(json.loads(answer.body)) if answer is not None else {}

    def series(self) -> Series:
        """One scrape of the exporter; no samples before it is up."""
        answer = self.ask("/metrics", port=self.exporter)
        return Series.parse(answer.text if answer is not None else "")

    def until(self, condition: Callable[[], Any], what: str, seconds: float = START_SECONDS) -> Any:
        """Waits for it while all that should run runs."""

        def looked() -> Any:
            assert self.process is not None
            if self.process.poll() is not None:
                pytest.fail(f"the demo ended with status {self.process.returncode}:\n{self.output()}")
            return condition()

        return until(looked, seconds, lambda: f"{what}; it said:\n{self.output()}")

    def metric(self, expected: float, name: str, /, **labels: str) -> None:
        """Waits until the exporter says so."""
        self.until(lambda: self.series().value(name, **labels) == expected, f"{name}{labels} is {expected}", 15)

    def end(self) -> int:
        """Ctrl-C; its exit status. What it had started is then in `family`."""
        assert self.process is not None
        self.family = set(descendants(self.process.pid))
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(40)

    def left(self) -> list[int]:
        """Its processes that are still there."""
        return [pid for pid in self.family if state(pid) not in ("", "Z")]


@contextlib.contextmanager
def demo(folder: Path, *arguments: str, monitoring: bool = False) -> Iterator[Demo]:
    """A demo that has just been started; at the end Ctrl-C ends all of it, in good order."""
    for needed in (PYTHON, MODELS / "nllb-small", MODELS / "aya-small"):
        if not needed.exists():
            pytest.skip(f"no {needed.relative_to(ROOT)}: `make test` builds it")
    running = Demo(folder, arguments, monitoring=monitoring)
    running.start()
    try:
        yield running
        assert running.end() == 0, running.output()
        assert running.left() == []
        for port in (running.port, running.side, running.exporter, running.prometheus, running.alertmanager):
            assert running.ask("/", port=port) is None
    finally:
        assert running.process is not None
        if running.process.poll() is None:
            running.family |= set(descendants(running.process.pid))
        dispose(running.process)
        for pid in running.family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@dataclass
class Serving:
    """A demo that serves. seen: what its health addresses told on the way there, in order."""

    demo: Demo
    models: tuple[str, ...]
    seen: list[tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module", params=["nllb", "aya", "nllb,aya"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """NLLB, Aya, and both at once, each until it is healthy."""
    seen: list[tuple[int, dict[str, Any]]] = []
    with demo(tmp_path_factory.mktemp("demo"), f"--models={request.param}") as running:

        def healthy() -> bool:
            answer = running.ask("/model/health")
            if answer is not None:
                seen.append((answer.status, json.loads(answer.body)))
            time.sleep(0.02)  # it is asked for states of tenths of a second, not kept busy
            return answer is not None and answer.status == 200

        running.until(healthy, "the service is healthy")
        yield Serving(running, tuple(request.param.split(",")), seen)


def test_it_is_healthy_and_lists_its_models(served: Serving) -> None:
    """Basic: alive, ready, every model loaded, by the service and by the witness outside it."""
    asked = served.demo
    assert asked.told("/health") == {"status": "healthy", "model_loaded": True}
    assert asked.told("/health/live") == {"status": "alive"}
    assert asked.told("/health", asked.side) == {"status": "healthy", "model_loaded": True}
    assert asked.told("/models") == {"models": [{"model": name, "loaded": True} for name in served.models]}
    for name in served.models:
        asked.metric(1, "model_loaded", target="demo", model=name)
        assert asked.series().value("model_loaded_required", target="demo", model=name) == 1
    asked.metric(1, "model_service_up", target="demo")


def test_it_answers_while_it_loads(served: Serving) -> None:
    """Loading: 503 with model and stage from the first answer on, until all are loaded; nothing fails on the way."""
    *before, (status, last) = served.seen
    assert before
    assert {code for code, _ in before} == {503}
    assert {told["status"] for _, told in before} == {"loading"}
    rows = [row for _, told in before for row in told.get("models", [told]) if row.get("stage")]
    assert {row["model"] for row in rows} == set(served.models)
    assert {"tokenizer", "weights"} <= {row["stage"] for row in rows}
    assert status == 200
    assert last["witnessed"] is True


def test_its_loads_stay_within_their_thresholds(served: Serving) -> None:
    """Loading: one attempt a model, none failed, its duration below the limit of the config, memory told."""
    series = served.demo.series()
    for name in served.models:
        labels = {"target": "demo", "model": name}
        assert series.value("model_load_attempts_total", **labels) == 1
        assert series.sum("model_load_failures_total", **labels) == 0
        duration = series.value("model_load_last_duration_seconds", **labels)
        threshold = series.value("model_load_duration_threshold_seconds", **labels)
        assert duration is not None
        assert threshold == THRESHOLDS[name]
        assert 0 < duration <= threshold
        assert (series.value("model_memory_usage_bytes", **labels) or 0) > 1e6
        for stage in ("tokenizer", "weights", "warmup"):
            assert (series.value("model_load_stage_duration_seconds_count", **labels, stage=stage) or 0) >= 1


def test_it_answers_and_counts(served: Serving) -> None:
    """Inference: real answers; service and exporter count them, with their durations."""
    asked = served.demo
    counts = {name: asked.series().value("model_inference_total", target="demo", model=name) or 0
              for name in served.models}  # fmt: skip
    for name in served.models:
        for _ in range(2):
            answer = asked.ask("/model/inference", {"model": name, "text": "Hello, world."})
            assert answer is not None
            assert answer.status == 200, answer.text
            output = json.loads(answer.body)["output"]
            assert output == "Bonjour, le monde." if name == "nllb" else output.strip()
    for name, before in counts.items():
        asked.metric(before + 2, "model_inference_total", target="demo", model=name)
        asked.metric(before + 2, "model_inference_duration_seconds_count", target="demo", model=name)
        assert asked.series().value("model_inference_failures_total", target="demo", model=name) == 0
    told = asked.told()
    rows = {row["model"]: row for row in told.get("models", [told])}
    assert {name: row["inference_count"] for name, row in rows.items()} == {
        name: before + 2 for name, before in counts.items()
    }
    assert all(row["last_inference_time"] for row in rows.values())


WRONG: list[tuple[object, int]] = [
    ({"model": "gpt-9", "text": "Hello."}, 404),
    ({"model": ["nllb"], "text": "Hello."}, 404),
    ({"model": "nllb"}, 400),
    ({"model": "nllb", "text": ""}, 400),
    ({"model": "nllb", "text": "x" * 5000}, 400),
    ({"model": "nllb", "text": "x" * 50_000}, 413),
    ({"model": "nllb", "text": "\ud800"}, 400),
    ("nllb", 400),
    ([], 400),
]


def test_a_wrong_request_is_told_what_is_wrong(served: Serving) -> None:
    """Inference: 4xx and a sentence for each; the service stays healthy, and no failed inference is counted."""
    for body, status in WRONG:
        answer = served.demo.ask("/model/inference", body)
        assert answer is not None
        assert (answer.status, bool(json.loads(answer.body)["detail"])) == (status, True), body
    assert served.demo.told("/health")["status"] == "healthy"
    assert served.demo.series().sum("model_inference_failures_total", target="demo") == 0


def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    """Failure: without one of its shards Aya is not served, and service and exporter say why; NLLB answers."""
    with demo(tmp_path, "--models=nllb,aya", "--fail=missing_file", "--fail-model=aya", "--no-fallback") as running:
        running.until(lambda: running.told().get("status") == "failed", "the service says that it failed")
        running.metric(1, "model_load_failures_total", target="demo", model="aya", reason="shard_missing")
        assert running.series().sum("model_load_failures_total", target="demo") == 1
        assert running.series().value("model_loaded", target="demo", model="aya") == 0
        (aya,) = (row for row in running.told()["models"] if row["model"] == "aya")
        assert aya["reason"] == "shard_missing"
        assert "model-0000" in aya["message"]
        assert running.told("/health") == {"status": "failed", "model_loaded": False}
        running.until(lambda: (running.ask("/models") or Answer(0, {}, b"")).status == 200, "its start is over")
        refused = running.ask("/model/inference", {"model": "aya", "text": "Hello."})
        assert refused is not None
        assert refused.status == 503
        assert "/model/health" in refused.text
        answer = running.ask("/model/inference", {"model": "nllb", "text": "Good morning."})
        assert answer is not None
        assert json.loads(answer.body)["output"] == "Bonjour."


def test_a_fallback_serves_and_is_told(tmp_path: Path) -> None:
    """Recovery: truncated weights cost one failure, are not tried again, and the model in bfloat16 answers."""
    with demo(tmp_path, "--models=nllb", "--fail=corrupted") as running:
        running.until(lambda: running.told().get("status") == "healthy", "the service is healthy")
        assert running.told()["fallback"] == "bfloat16"
        running.metric(1, "model_load_fallback_info", target="demo", model="nllb", fallback="bfloat16")
        series = running.series()
        assert series.value("model_load_failures_total", target="demo", model="nllb", reason="file_corrupted") == 1
        assert series.value("model_load_attempts_total", target="demo", model="nllb") == 2
        answer = running.ask("/model/inference", {"model": "nllb", "text": "Hello, world."})
        assert answer is not None
        assert json.loads(answer.body)["output"] == "Bonjour, le monde."


def test_a_service_that_crashes_is_started_again(tmp_path: Path) -> None:
    """Recovery: a segfault at the weights is named by the witness; the restart loads, and both loads are on record."""
    with demo(tmp_path, "--models=nllb", "--fail=crash", "--fail-once") as running:
        running.until(
            lambda: running.series().value(
                "model_load_failures_total", target="demo", model="nllb", reason="segfault"
            ) == 1,
            "the witness names the segfault",
        )  # fmt: skip
        stage = running.series().value(
            "model_load_failure_timestamp_seconds", target="demo", model="nllb", reason="segfault", stage="weights"
        )
        assert stage is not None
        running.until(lambda: running.told().get("status") == "healthy", "the restart is healthy")
        running.metric(1, "model_loaded", target="demo", model="nllb")
        series = running.series()
        assert series.value("model_load_attempts_total", target="demo", model="nllb") == 2
        assert series.value("model_load_retries_total", target="demo", model="nllb") == 1
        assert "service died by signal SIGSEGV; it starts again" in running.output()


def test_nothing_outlives_it(tmp_path: Path) -> None:
    """SIGKILL leaves it no time to end what it started: all of it ends nevertheless, in the middle of a start."""
    running = Demo(tmp_path, ("--models=nllb",))
    running.start()
    assert running.process is not None
    try:
        running.until(lambda: "loading nllb" in running.output(), "exporter and service are started")
        running.family = set(descendants(running.process.pid))
        assert len(running.family) >= 2
        running.process.kill()
        until(lambda: running.left() == [], 20, lambda: f"all end; left: {running.left()}")
    finally:
        dispose(running.process)
        for pid in running.left():
            os.kill(pid, signal.SIGKILL)


def test_it_says_what_is_missing(tmp_path: Path) -> None:
    """Nothing is started where something is not there: a sentence for each, and status 1."""
    command = [sys.executable, str(ROOT / "compose" / "demo" / "run.py"), f"--folder={tmp_path / 'demo'}"]
    done = subprocess.run(
        [*command, f"--models-dir={tmp_path}", "--models=nllb", f"--python={tmp_path / 'python'}", "--no-prometheus"],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"There is no {tmp_path / 'python'}" in done.stderr
    assert f"There is no {tmp_path / 'nllb-small'}" in done.stderr
    assert not (tmp_path / "demo").exists()


SURVIVED = {
    "missing_file": "file_missing",
    "corrupted": "file_corrupted",
    "no_dependency": "dependency_missing",
    "network": "network_error",
    "slow": "loaded",
    "gil": "loaded",
}

LOAD_WITH_EACH = """
import json, sys, threading, time
sys.path.insert(0, sys.argv[1])
from model_load_exporter.classify.exceptions import classify_exception
from faults import Fault
from translation import MODELS

pauses, over = [], threading.Event()

def beat():
    last = time.monotonic()
    while not over.wait(0.01):
        last, before = time.monotonic(), last
        pauses.append(last - before)

heart = threading.Thread(target=beat)
heart.start()
found = {}
for kind in sys.argv[3:]:
    fault = Fault(kind, seconds=1.5)
    path = fault.path(sys.argv[2])
    pauses.clear()
    began = time.monotonic()
    try:
        MODELS["nllb"].load(path, before_weights=fault.strike)
        reason = "loaded"
    except Exception as error:
        reason = classify_exception(error, path).reason
    found[kind] = reason, time.monotonic() - began, max(pauses, default=0.0)
over.set()
heart.join()
print(json.dumps(found))
"""


def test_a_fault_that_the_process_survives_has_its_reason() -> None:
    """Each switch is the fault that it says; `slow` and `gil` take their time, and `gil` that of all threads."""
    if not PYTHON.exists():
        pytest.skip("no .venv-models: `make test` builds it")
    done = subprocess.run(
        [PYTHON, "-c", LOAD_WITH_EACH, str(ROOT / "compose" / "demo"), str(MODELS / "nllb-small"), *SURVIVED],
        capture_output=True, text=True, check=False, timeout=150,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert {kind: reason for kind, (reason, _, _) in found.items()} == SURVIVED
    assert min(found["slow"][1], found["gil"][1]) >= 1.5
    assert found["gil"][2] >= 1.4


@pytest.mark.root
def test_a_service_that_runs_out_of_memory_pages(tmp_path: Path) -> None:
    """Failure: the kernel kills it in its limit, the witness says so, Prometheus fires, Alertmanager has the alert."""
    if shutil.which("prometheus") is None or shutil.which("prometheus-alertmanager") is None:
        pytest.skip("no Prometheus or Alertmanager: `scripts/setup tools` installs them")
    with demo(tmp_path, "--models=nllb", "--fail=oom", "--memory=700", monitoring=True) as running:
        assert running.process is not None
        group = f"/sys/fs/cgroup/**/model-load-demo-{running.process.pid}"

        def alert() -> dict[str, str]:
            answer = running.ask("/api/v2/alerts", port=running.alertmanager)
            alerts = json.loads(answer.body) if answer is not None and answer.status == 200 else []
            labels = (dict(one["labels"]) for one in alerts)
            return next((one for one in labels if one["alertname"] == "ModelLoadFailure"), {})

        paged = running.until(alert, "Alertmanager has ModelLoadFailure")
        assert paged.items() >= {"target": "demo", "model": "nllb", "reason": "cgroup_oom_killed"}.items()
        assert glob.glob(group, recursive=True)
    assert not glob.glob(group, recursive=True)
