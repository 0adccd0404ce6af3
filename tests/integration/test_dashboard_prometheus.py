"""Every query of the dashboard against a real Prometheus, over made-up fleets whose numbers are known."""

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dashboard_fleet import Canary, Fleet, Load, Model, healthy, incident
from dashboard_queries import Query, annotation_queries, panel_queries, panels, variable_queries
from monitoring_servers import free_address, running

HOURS = 6.0

EMPTY_WHEN_HEALTHY = {
    "Models/last_failure",
    "Open load attempts/attempts",
    "Open load attempts/elapsed",
    "Open load attempts/time_limit",
    "Open load attempts/last_progress",
    "Failures by reason/A",
    "Failures by model/A",
    "Last failure of each kind/since",
    "Last failure of each kind/ago",
    "Why canaries fail/count",
    "OOM kills by scope/A",
    "Changes of files/A",
    "Model files/changed",
    "Why files are bad/model",
    "Failed probes by cause/A",
    "Services/failed_5_min",
}
"""Queries that find nothing on a good day: no failure, no open load, no file that changed."""

NUMBERS = (
    "Not loaded",
    "Models failing",
    "Canaries failing",
    "Over a limit",
    "Loading",
    "Failures, 24 h",
    "OOM kills, 24 h",
    "Exporter faults",
)


class History:
    """A Prometheus that holds one fleet's past and scrapes nothing."""

    def __init__(self, address: str, end: float, hours: float) -> None:
        self.address, self.end, self.hours = address, end, hours

    def ask(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of its API; a refused query fails the test with Prometheus's own words."""
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            pytest.fail(f"{parameters}: {error.read().decode()}")

    def series(self, query: Query) -> list[dict[str, Any]]:
        """What the panel gets: the values at the end, or over the whole history."""
        if query.at_end:
            found = self.ask("query", query=query.expr, time=str(self.end))
        else:
            start = self.end - self.hours * 3600
            found = self.ask("query_range", query=query.expr, start=str(start), end=str(self.end), step=str(query.step))
        return list(found["result"])

    def number(self, title: str) -> float | None:
        """What a stat panel shows; None for no data."""
        (query,) = (query for query in panel_queries() if query.owner == title)
        found = self.series(query)
        assert len(found) <= 1
        return float(found[0]["value"][1]) if found else None

    def column(self, title: str, ref: str, *labels: str) -> dict[tuple[str, ...], float]:
        """One column of a table: its values by those labels."""
        (query,) = (query for query in panel_queries() if (query.owner, query.ref) == (title, ref))
        cells = {}
        for one in self.series(query):
            cells[tuple(one["metric"].get(label, "") for label in labels)] = float(one["value"][1])
        return cells


@contextlib.contextmanager
def prometheus_with(fleet: Fleet, folder: Path, hours: float = HOURS) -> Iterator[History]:
    """Prometheus on a free port over that fleet's history, which ends now."""
    end = float(int(time.time()))
    (folder / "history.om").write_text(fleet.openmetrics(end, hours), encoding="utf-8")
    (folder / "prometheus.yml").write_text("{}\n", encoding="utf-8")
    load = ["promtool", "tsdb", "create-blocks-from", "openmetrics", f"{folder}/history.om", f"{folder}/data"]
    subprocess.run(load, check=True, capture_output=True, timeout=120)
    address = free_address()
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with running([*command, f"--web.listen-address={address}"], f"http://{address}/-/ready", folder / "log"):
        yield History(address, end, hours)


@pytest.fixture(scope="module")
def bad_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """The fleet in which everything that can be wrong is."""
    with prometheus_with(incident(), tmp_path_factory.mktemp("bad")) as history:
        yield history


@pytest.fixture(scope="module")
def good_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """The fleet in which nothing is wrong."""
    with prometheus_with(healthy(), tmp_path_factory.mktemp("good")) as history:
        yield history


@pytest.mark.parametrize("query", [*panel_queries(), *annotation_queries()], ids=str)
def test_a_query_runs_and_finds_data(bad_day: History, query: Query) -> None:
    """On a bad day every query of every panel has something to show."""
    assert bad_day.series(query)


@pytest.mark.parametrize("query", panel_queries(), ids=str)
def test_a_query_is_empty_only_where_that_is_good_news(good_day: History, query: Query) -> None:
    """On a good day only the panels about failures and open loads are empty."""
    assert bool(good_day.series(query)) is not (str(query) in EMPTY_WHEN_HEALTHY)


@pytest.mark.parametrize(("name", "series", "label"), list(variable_queries()))
def test_a_variable_offers_values(bad_day: History, name: str, series: str, label: str) -> None:
    """Every variable finds the values to choose from."""
    offered = bad_day.ask(f"label/{label}/values", **{"match[]": series})
    assert (
        offered
        == {
            "job": ["model-load-exporter"],
            "instance": ["gpu-1:9877", "gpu-2:9877"],
            "target": ["app-prod", "chat", "search"],
            "model": ["all-MiniLM-L6-v2", "aya-101", "nllb-200", "reranker"],
        }[name]
    )


def test_the_numbers_of_a_bad_day(bad_day: History) -> None:
    """The first row counts what is wrong, each thing once."""
    assert {title: bad_day.number(title) for title in NUMBERS} == {
        "Not loaded": 1,
        "Models failing": 1,
        "Canaries failing": 1,
        "Over a limit": 1,
        "Loading": 1,
        "Failures, 24 h": 5,
        "OOM kills, 24 h": 4,
        "Exporter faults": 0,
    }


def test_the_numbers_of_a_good_day(good_day: History) -> None:
    """Where nothing is wrong every number is 0, not "no data"."""
    assert {title: good_day.number(title) for title in NUMBERS} == dict.fromkeys(NUMBERS, 0)


def assert_tables_keep_their_headers(history: History) -> None:
    """No table of several queries has one result alone: Grafana would call it "Value", and no override would fit it."""
    for panel in panels():
        if panel["type"] == "table" and len(panel["targets"]) > 1:
            found = [query.ref for query in panel_queries() if query.owner == panel["title"] and history.series(query)]
            assert len(found) != 1, (panel["title"], found)


def test_the_states_of_models(bad_day: History, good_day: History) -> None:
    """A model in a crash loop is "loading again"; a model that nobody requires and a process holds is loaded."""
    again, loaded = 2, 4
    states = bad_day.column("Models", "state", "model", "target", "instance")
    assert states[("aya-101", "chat", "gpu-2:9877")] == again
    assert states[("reranker", "-", "gpu-2:9877")] == loaded
    assert set(good_day.column("Models", "state", "model", "target", "instance").values()) == {loaded}


def test_the_last_failure_has_reason_and_stage(bad_day: History) -> None:
    """The table of models shows the newest failure, with its age at the end of the time range."""
    ages = bad_day.column("Models", "last_failure", "model", "reason", "stage")
    assert ages[("aya-101", "cgroup_oom_killed", "weights")] == pytest.approx(900 - 103.6, abs=1)
    open_or_not = bad_day.column("Last failure of each kind", "since", "model", "reason")
    assert open_or_not == {("aya-101", "cgroup_oom_killed"): 1, ("all-MiniLM-L6-v2", "file_corrupted"): 0}


def test_a_bar_counts_each_failure_once(bad_day: History) -> None:
    """The bars add up to the number of failures, although each reads further back than its own width."""
    (query,) = (query for query in panel_queries() if query.owner == "Failures by reason")
    bars = {one["metric"]["reason"]: sum(float(v) for _, v in one["values"]) for one in bad_day.series(query)}
    assert bars == {"cgroup_oom_killed": 4, "file_corrupted": 1}


def test_marks_stand_at_the_time_of_the_event(bad_day: History) -> None:
    """The value of a mark's series is the failure's own time in milliseconds."""
    (query,) = annotation_queries()
    times = {
        float(value)
        for one in bad_day.series(query)
        if one["metric"]["model"] == "aya-101"
        for _, value in one["values"]
    }
    assert sorted((bad_day.end - t / 1000 for t in times), reverse=True) == pytest.approx(
        [2596.4, 1996.4, 1396.4, 796.4], abs=1
    )


def test_no_exporter_is_no_data(tmp_path: Path) -> None:
    """Without any exporter no number says 0: nobody has looked."""
    with prometheus_with(Fleet(models=(), instances=()), tmp_path, hours=1) as history:
        assert {title: history.number(title) for title in NUMBERS} == dict.fromkeys(NUMBERS)


def test_a_model_that_is_born_failing_counts(tmp_path: Path) -> None:
    """The first failure of a model never seen before is counted, though its counter never rose before Prometheus."""
    failed = Load(2000, (("weights", 10.0),), "file_missing")
    model = Model("gpu-1:9877", "new-model", "app", (failed,), known_from=1900)
    with prometheus_with(Fleet(models=(model,)), tmp_path, hours=1) as history:
        assert history.number("Failures, 24 h") == 1
        assert history.number("Models failing") == 1


def test_a_failure_during_an_outage_counts(tmp_path: Path) -> None:
    """What fails while Prometheus cannot scrape is counted once, at the time at which it happened."""
    good, failed = Load(3000, (("weights", 10.0),)), Load(1500, (("weights", 10.0),), "segfault")
    model = Model("gpu-1:9877", "nllb-200", "app", (good, failed))
    with prometheus_with(Fleet(models=(model,), silent=(2000, 1000)), tmp_path, hours=1) as history:
        assert history.number("Failures, 24 h") == 1
        assert history.column("Last failure of each kind", "ago", "reason") == {
            ("segfault",): pytest.approx(1490, abs=1)
        }


def test_a_silent_exporter_is_a_problem(tmp_path: Path) -> None:
    """Exporters that do not answer are counted, although none of their own series is left."""
    fleet = replace(healthy(), silent=(900, -1))
    with prometheus_with(fleet, tmp_path, hours=3) as history:
        assert history.number("Exporter faults") == 2
        assert history.column("Exporters", "state", "instance") == {("gpu-1:9877",): 0, ("gpu-2:9877",): 0}
        assert history.number("Models failing") is None
        assert_tables_keep_their_headers(history)


def test_bad_and_unverified_files_have_their_rows(bad_day: History) -> None:
    """A damaged file shows with its reason and its age, a mount that hangs as stuck, with intervals gone by."""
    model = "all-MiniLM-L6-v2"
    assert history_of(bad_day, "files") == {model: 0, "aya-101": 1, "nllb-200": 1}
    assert history_of(bad_day, "work") == {model: 0, "aya-101": 2, "nllb-200": 0}
    assert history_of(bad_day, "of_interval")["aya-101"] == pytest.approx(2.5, abs=0.02)
    assert history_of(bad_day, "changed") == {model: pytest.approx(4300, abs=31)}
    assert bad_day.column("Why files are bad", "model", "reason") == {("file_corrupted",): 1}


def history_of(day: History, ref: str) -> dict[str, float]:
    """One column of the table of files, by model."""
    return {model: value for (model,), value in day.column("Model files", ref, "model").items()}


def test_services_have_their_rows(bad_day: History, good_day: History) -> None:
    """A service that loads again is told apart from one that is down; its word stands beside its journal."""
    states = bad_day.column("Services", "state", "target", "instance")
    assert states == {
        ("app-prod", "gpu-1:9877"): 2, ("search", "gpu-1:9877"): 2, ("app-prod", "gpu-2:9877"): 2,
        ("chat", "gpu-2:9877"): 1,
    }  # fmt: skip
    assert set(bad_day.column("Services", "failed_5_min", "target", "cause")) == {("chat", "timeout")}
    assert bad_day.column("Services", "word_against_journal", "target", "instance") == dict.fromkeys(
        states.keys() - {("chat", "gpu-2:9877")}, 0
    )
    assert set(good_day.column("Services", "state", "target", "instance").values()) == {2}


def test_a_canary_that_never_ran_has_a_row(tmp_path: Path) -> None:
    """Before its first run a canary is known by its interval alone; the table says so instead of leaving it out."""
    canary = Canary(900, (("weights", 10.0),), peak=1e9, most_runs=0)
    model = Model("gpu-1:9877", "nllb-200", "app", (), canary=canary)
    with prometheus_with(Fleet(models=(model,)), tmp_path, hours=1) as history:
        assert history.column("Canaries", "result", "model") == {("nllb-200",): -1}
        assert history.number("Canaries failing") is None
        assert_tables_keep_their_headers(history)
