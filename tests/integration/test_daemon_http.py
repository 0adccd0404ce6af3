"""The daemon's other addresses: JSON, runbooks, probe errors, discovery, health, and the status page."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_load_exporter.reasons import REASONS
from support.daemon import Daemon, running
from support.http import request
from support.service import load_once
from support.wait import until

ALERTS = sorted(path.stem for path in (Path(__file__).parents[2] / "alerts/runbooks").glob("*.md"))

HOSTILE = "<script>alert(1)</script>"
CONFIG = """
models:
  - {name: nllb, path: /models/nllb}
  - {name: aya, path: /models/aya, loader: safetensors, canary: {interval: 1h}}
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon whose canary of aya has failed, and that has seen loads of nllb and of a name that is HTML."""
    with running(tmp_path_factory.mktemp("daemon"), CONFIG) as started:
        load_once(started.spool, ("nllb", "app", "loaded"), ("nllb", "app", "failed"), (HOSTILE, HOSTILE, "failed"))
        started.wait_for(1, "model_load_failures_total", model=HOSTILE, reason="file_missing")
        started.wait_within(30, 0, "model_canary_success", model="aya")
        yield started


def read(daemon: Daemon, path: str, status: int = 200) -> dict[str, object]:
    answer = daemon.get(path)
    assert answer.status == status, answer.text
    assert answer.headers["content-type"].startswith("application/json")
    found = json.loads(answer.text)
    assert isinstance(found, dict)
    return found


def test_health(daemon: Daemon) -> None:
    """It is healthy and ready."""
    assert daemon.get("/-/healthy").text == "healthy\n"
    assert daemon.get("/-/ready").text == "ready\n"


def test_models(daemon: Daemon) -> None:
    """/api/v1/models has one entry a known {target, model} with its last failure in words."""
    answer = read(daemon, "/api/v1/models")
    assert answer["schema"] == 1
    models = answer["models"]
    assert isinstance(models, list)
    found = {(model["target"], model["model"]): model for model in models}
    assert found.keys() == {("", "nllb"), ("", "aya"), ("app", "nllb"), (HOSTILE, HOSTILE)}
    failed = found["app", "nllb"]
    assert (failed["attempts"], failed["failures"], failed["loaded"], failed["state"]) == (2, 1, 0, "failed")
    failure = failed["failure"]
    assert (failure["reason"], failure["stage"]) == ("file_missing", "weights")
    assert failure["sentence"] == REASONS["file_missing"].sentence
    assert failure["runbook"] == "/runbooks/ModelLoadFailure#file_missing"
    assert found["", "aya"]["state"] == "canary failing"


def test_loads(daemon: Daemon) -> None:
    """/api/v1/loads has the latest loads, newest first, by model, kind and number."""
    loads = read(daemon, "/api/v1/loads?kind=service")["loads"]
    assert isinstance(loads, list)
    assert [(load["model"], load["outcome"]) for load in loads] == [
        (HOSTILE, "failed"), ("nllb", "failed"), ("nllb", "loaded"),
    ]  # fmt: skip
    assert [load["began"] for load in loads] == sorted((load["began"] for load in loads), reverse=True)
    assert read(daemon, "/api/v1/loads?model=nllb&limit=1")["loads"] == [loads[1]]
    assert read(daemon, "/api/v1/loads?model=none")["loads"] == []
    canary = read(daemon, "/api/v1/loads?kind=canary")["loads"]
    assert isinstance(canary, list)
    assert [(load["model"], load["outcome"]) for load in canary] == [("aya", "failed")]


def test_load(daemon: Daemon) -> None:
    """/api/v1/loads/ID has one load with its stages."""
    loads = read(daemon, "/api/v1/loads?model=nllb")["loads"]
    assert isinstance(loads, list)
    found = read(daemon, f"/api/v1/loads/{loads[0]['id']}")["load"]
    assert found == loads[0]
    assert isinstance(found, dict)
    assert found["reason"] == "file_missing"
    assert [(stage["name"], stage["failed"]) for stage in found["stages"]] == [("weights", True)]


def test_load_unknown(daemon: Daemon) -> None:
    """An id that there is not is told as such."""
    assert "no load a-0" in str(read(daemon, "/api/v1/loads/a-0", 404)["error"])


@pytest.mark.parametrize("limit", ["ten", "", "1e3"])
def test_bad_limit(daemon: Daemon, limit: str) -> None:
    """A limit that is no number is the client's mistake."""
    assert "limit" in str(read(daemon, f"/api/v1/loads?limit={limit}", 400)["error"])


@pytest.mark.parametrize("limit", ["0", "-5", "99999999999999999999"])
def test_odd_limit(daemon: Daemon, limit: str) -> None:
    """A limit out of range is brought into it."""
    loads = read(daemon, f"/api/v1/loads?limit={limit}")["loads"]
    assert isinstance(loads, list)
    assert loads


@pytest.mark.parametrize("alert", ALERTS)
def test_runbook(daemon: Daemon, alert: str) -> None:
    """Each alert has its runbook as a page."""
    answer = daemon.get(f"/runbooks/{alert}")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert alert in answer.text
    assert f"/runbooks/{alert}" in daemon.get("/runbooks/").text


def test_runbook_sections(daemon: Daemon) -> None:
    """The link of each reason leads to a section of the failure's runbook."""
    page = daemon.get("/runbooks/ModelLoadFailure").text
    assert [name for name in REASONS if f'id="{name}"' not in page] == []


@pytest.mark.parametrize("name", ["NoSuchAlert", "..%2f..%2fREADME", "ModelLoadFailure.md", "%00", "a" * 300])
def test_runbook_unknown(daemon: Daemon, name: str) -> None:
    """A runbook that there is not: 404, with those that there are."""
    answer = daemon.get(f"/runbooks/{name}")
    assert answer.status == 404
    assert "ModelLoadFailure" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")


def test_discovery(daemon: Daemon) -> None:
    """/sd lists a probe target for each model that has a canary, as Prometheus wants it."""
    answer = daemon.get("/sd")
    assert answer.headers["content-type"].startswith("application/json")
    (group,) = json.loads(answer.text)
    assert group["targets"] == [f"127.0.0.1:{daemon.port}"]
    assert group["labels"] == {"__metrics_path__": "/probe", "__param_model": "aya", "model": "aya"}


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/probe", 400, "say which model"),
        ("/probe?model=", 400, "say which model"),
        ("/probe?model=unknown", 404, "no canary for model 'unknown'"),
        ("/probe?model=nllb", 404, "no canary for model 'nllb'"),
        ("/probe?model=/models/aya", 404, "no canary for model '/models/aya'"),
    ],
)
def test_probe_errors(daemon: Daemon, path: str, status: int, said: str) -> None:
    """A probe of what has no canary starts nothing and says which models have one."""
    answer = daemon.get(path)
    assert answer.status == status
    assert said in answer.text
    assert "models with a canary: aya" in answer.text


def test_probe_gives_the_last_result(daemon: Daemon) -> None:
    """Within the canary's interval a probe runs nothing: it answers the last result and its age."""
    before = daemon.value("model_canary_attempts_total", model="aya")
    answer = daemon.get("/probe?model=aya")
    assert answer.status == 200
    assert "model_probe_success 0.0" in answer.text
    assert 'model_probe_failure{reason="file_missing"} 1.0' in answer.text
    assert "model_probe_age_seconds" in answer.text
    until(lambda: daemon.value("model_canary_in_progress", model="aya") == 0, 5, "no run is under way")
    assert daemon.value("model_canary_attempts_total", model="aya") == before


def test_status_page(daemon: Daemon) -> None:
    """The page says in words what is wrong, and no name on it is markup."""
    answer = daemon.get("/")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert REASONS["file_missing"].sentence in answer.text
    assert "/runbooks/ModelLoadFailure#file_missing" in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/nothing", "GET", 404),
        ("/metrics/", "GET", 404),
        ("/metrics", "POST", 405),
        ("/-/reload", "GET", 405),
        ("/metrics", "HEAD", 200),
        ("/%ff%fe", "GET", 404),
        ("/api/v1/loads?model=%ff", "GET", 200),
        ("/metrics?collect[]=%00", "GET", 400),
    ],
)
def test_other_requests(daemon: Daemon, path: str, method: str, status: int) -> None:
    """What is asked wrongly is answered as such, and nothing is an internal error."""
    assert request(daemon.url + path, method=method).status == status
    assert "Traceback" not in daemon.log()
