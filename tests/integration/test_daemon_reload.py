"""Reloading the config file: a good one is in force at once, a bad one changes nothing and is told everywhere."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import Daemon, running
from support.http import Answer, request
from support.service import load_once, serving
from support.wait import until

ONE = "models:\n  - {name: nllb, path: /models/nllb}\n"
TWO = ONE + "  - {name: aya, path: /models/aya, thresholds: {load_seconds: 5}}\n"
BAD = ONE + "  - {name: aya, paht: /models/aya}\n"

SUCCESSFUL = "model_load_exporter_config_last_reload_successful"
TIMESTAMP = "model_load_exporter_config_last_reload_success_timestamp_seconds"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path, ONE) as started:
        yield started


def post(daemon: Daemon) -> Answer:
    return request(f"{daemon.url}/-/reload", method="POST")


def reload(daemon: Daemon, config: str, way: str, *, successful: bool) -> None:
    """Replaces the file and has it read; waits until a scrape tells of it."""
    before = daemon.value(TIMESTAMP)
    daemon.config_file.write_text(config)
    if way == "POST":
        assert post(daemon).status == (200 if successful else 400)
    else:
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGHUP)

    def told() -> bool:
        series = daemon.series()
        return series.value(SUCCESSFUL) == int(successful) and (series.value(TIMESTAMP) != before) == successful

    until(told, 10, lambda: f"the reload is told: {daemon.log()}")


WAYS = pytest.mark.parametrize("way", ["POST", "SIGHUP"])


@WAYS
def test_good_file(daemon: Daemon, way: str) -> None:
    """A model that a reload brings has its series, and its limits, at once."""
    before = daemon.value(TIMESTAMP)
    assert before is not None
    assert daemon.value("model_load_attempts_total", model="aya") is None
    reload(daemon, TWO, way, successful=True)
    series = daemon.series()
    assert series.value("model_load_attempts_total", model="aya") == 0
    assert series.value("model_load_duration_threshold_seconds", model="aya") == 5
    assert (series.value(TIMESTAMP) or 0) > before


@WAYS
def test_bad_file(daemon: Daemon, way: str) -> None:
    """A file with a mistake changes nothing; metric, log and status page say so until the next good one."""
    before = daemon.series()
    assert before.value(SUCCESSFUL) == 1
    reload(daemon, BAD, way, successful=False)
    after = daemon.series()
    assert after.value(TIMESTAMP) == before.value(TIMESTAMP)
    assert after.value("model_load_attempts_total", model="nllb") == 0
    assert after.value("model_load_attempts_total", model="aya") is None
    where = f"{daemon.config_file}:3"
    assert any("level=error" in line and where in line and "paht" in line for line in daemon.log().splitlines())
    assert "the configuration in force stays" in daemon.log()
    page = daemon.get("/").text
    assert "The config file has mistakes" in page
    assert where in page
    assert daemon.get("/-/healthy").status == 200

    reload(daemon, TWO, way, successful=True)
    assert "The config file has mistakes" not in daemon.get("/").text
    assert daemon.value("model_load_attempts_total", model="aya") == 0


@pytest.mark.parametrize(
    ("text", "named"), [(BAD, "paht"), ("models: [", "config.yml:"), (b"\xff\xfe\x00", "config.yml")],
    ids=["unknown key", "no YAML", "no text"],
)  # fmt: skip
def test_answer(daemon: Daemon, text: str | bytes, named: str) -> None:
    """The answer to the POST names file and mistake."""
    daemon.config_file.write_bytes(text if isinstance(text, bytes) else text.encode())
    answer = post(daemon)
    assert answer.status == 400
    assert named in answer.text
    assert answer.text.endswith("the configuration in force stays\n")
    assert "Traceback" not in answer.text + daemon.log()


def test_file_is_gone(daemon: Daemon) -> None:
    """A file that is gone is a mistake like another."""
    daemon.config_file.unlink()
    answer = post(daemon)
    assert answer.status == 400
    assert str(daemon.config_file) in answer.text
    assert daemon.value("model_load_attempts_total", model="nllb") == 0


def test_reloads_together(daemon: Daemon) -> None:
    """Signals on each other's heels end with the last file in force."""
    assert daemon.process is not None
    for _ in range(20):
        daemon.process.send_signal(signal.SIGHUP)
    daemon.config_file.write_text(TWO)
    assert post(daemon).status == 200
    assert daemon.value("model_load_attempts_total", model="aya") == 0
    daemon.wait_for(1, SUCCESSFUL)


def test_without_a_file(tmp_path: Path) -> None:
    """Without a config file there is nothing to reload, and the answer says how to have one."""
    with running(tmp_path) as daemon:
        answer = post(daemon)
        assert answer.status == 400
        assert "--config.file" in answer.text
        assert request(f"{daemon.url}/-/reload").status == 405


HOLD = """
import sys
from model_load_exporter import track_load
with track_load("nllb"):
    pass
print("loaded")
sys.stdin.readline()
"""


def test_removed_model(daemon: Daemon) -> None:
    """A model that a reload drops leaves when no process holds it any more, its history notwithstanding."""
    with serving(HOLD, daemon.spool) as service:
        service.says("loaded")
        daemon.wait_for(1, "model_loaded", model="nllb")
        reload(daemon, "models: []\n", "POST", successful=True)
        assert daemon.value("model_loaded", model="nllb") == 1
        service.tell("")
        service.reap()
        until(lambda: daemon.series().all("model_loaded", model="nllb") == {}, 10, "its series leave")
    series = daemon.series()
    assert not [key for key in series.samples if ("model", "nllb") in key[1]]

    # Loaded again it is back, and its counters go on.
    load_once(daemon.spool, ("nllb", "", "loaded"))
    daemon.wait_for(2, "model_load_attempts_total", model="nllb")


def test_removed_model_over_a_restart(daemon: Daemon) -> None:
    """A dropped model stays away after a restart; back in the file, its counters go on."""
    load_once(daemon.spool, ("nllb", "", "failed"))
    daemon.wait_for(1, "model_load_attempts_total", model="nllb")
    reload(daemon, "models: []\n", "POST", successful=True)
    daemon.config = "models: []\n"
    daemon.end()
    daemon.start()
    assert daemon.series().all("model_load_attempts_total", model="nllb") == {}
    reload(daemon, TWO, "POST", successful=True)
    series = daemon.series()
    assert series.value("model_load_attempts_total", model="nllb") == 1
    assert series.value("model_load_failures_total", model="nllb", reason="file_missing") == 1
