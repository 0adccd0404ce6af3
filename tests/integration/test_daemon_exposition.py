"""/metrics of the running daemon: complete from the start, clean to every reader, the same in every encoding."""

import subprocess
import zlib
from collections.abc import Iterable, Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from model_load_exporter.collectors.holders import DEATHS
from model_load_exporter.collectors.names import COLLECTOR_NAMES
from model_load_exporter.reasons import REASONS
from support.daemon import Daemon, Series, running
from support.service import load_once, serving
from support.wait import until

OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
GZIP = {"Accept-Encoding": "gzip"}

CONFIG = """
models:
  - {name: nllb, path: /models/nllb, thresholds: {load_seconds: 300, memory_bytes: 6GB}}
  - {name: aya, path: /models/aya}
services:
  - {target: app, url: "http://127.0.0.1:1/", interval: 1h, models: {nllb: 2}}
cache_paths: [/]
"""
AWKWARD = 'a "quoted\\" {model}=1 # été'
"""A name with all that the formats must escape."""

HOLD = """
import sys
from model_load_exporter import track_load
with track_load("held"):
    pass
print("loaded")
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that has seen nothing yet."""
    with running(tmp_path_factory.mktemp("fresh"), CONFIG) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that has seen loads of every outcome, and a process that holds a model."""
    with running(tmp_path_factory.mktemp("used"), CONFIG) as daemon, serving(HOLD, daemon.spool) as service:
        load_once(daemon.spool, *(("nllb", "app", outcome) for outcome in ("loaded", "failed", "cancelled")))
        load_once(daemon.spool, (AWKWARD, AWKWARD, "failed"))
        service.says("loaded")
        daemon.wait_for(1, "model_loaded", model="held")
        daemon.wait_for(1, "model_service_probes_total", target="app")
        daemon.wait_for(1, "model_load_failures_total", model=AWKWARD, target=AWKWARD, reason="file_missing")
        until(lambda: not list(daemon.spool.glob("a-*")), 10, "all loads are on record")
        yield daemon


def test_zero_from_the_start(fresh: Daemon) -> None:
    """Each configured model has every series that can be counted on, at 0, before its first load."""
    series = fresh.series()
    for labels in ({"target": "app", "model": "nllb"}, {"target": "", "model": "aya"}):
        for name in (
            "model_load_attempts_total", "model_load_cancelled_total", "model_load_retries_total",
            "model_load_duration_seconds", "model_load_in_progress", "model_load_success_timestamp_seconds",
            "model_load_success_duration_seconds_count", "model_load_success_duration_seconds_sum",
            "model_loaded", "model_memory_usage_bytes",
        ):  # fmt: skip
            assert series.value(name, **labels) == 0, name
        for reason in REASONS:
            assert series.value("model_load_failures_total", **labels, reason=reason) == 0
        for reason in DEATHS:
            assert series.value("model_process_deaths_total", **labels, reason=reason) == 0
        assert series.all("model_load_failure_timestamp_seconds", **labels) == {}
    assert len(series.all("model_load_failures_total")) == 2 * len(REASONS)
    assert series.value("model_loaded_required", target="app", model="nllb") == 2
    assert series.all("model_loaded_required", model="aya") == {}


def test_thresholds(fresh: Daemon) -> None:
    """The limits in force are there for every known model, the defaults too."""
    series = fresh.series()
    assert series.value("model_load_duration_threshold_seconds", model="nllb") == 300
    assert series.value("model_memory_threshold_bytes", model="nllb") == 6e9
    assert series.value("model_load_duration_threshold_seconds", model="aya") == 60
    assert series.value("model_memory_threshold_bytes", model="aya") == 2e9


def samples(families: Iterable[Metric]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """By name and labels; each is there once."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in families:
        assert family.documentation
        assert family.type != "unknown", family.name
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def test_both_formats_say_the_same(used: Daemon) -> None:
    """prometheus_client's parsers read text and OpenMetrics, and find the same samples in both."""
    text, openmetrics = used.get("/metrics"), used.get("/metrics", OPENMETRICS)
    assert text.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert openmetrics.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert openmetrics.text.endswith("# EOF\n")
    in_text = samples(parse_text(text.text))
    in_openmetrics = samples(parse_openmetrics(openmetrics.text))  # type: ignore[no-untyped-call]  # prometheus_client has no types there
    assert in_text.keys() == in_openmetrics.keys()
    lasting = [key for key in in_text if key[0].startswith("model_load_") and "exporter" not in key[0]]
    assert len(lasting) > 100
    assert {key: in_text[key] for key in lasting} == {key: in_openmetrics[key] for key in lasting}


def test_contents(used: Daemon) -> None:
    """What happened is what is told, under names that need every escape there is too."""
    series = used.series()
    assert series.value("model_load_attempts_total", model="nllb") == 3
    assert series.value("model_load_cancelled_total", model="nllb") == 1
    assert series.value("model_load_retries_total", model="nllb") == 1
    assert series.value("model_load_success_duration_seconds_count", model="nllb") == 1
    assert series.value("model_load_failure_timestamp_seconds", model=AWKWARD, target=AWKWARD, stage="weights")
    assert series.value("model_loaded", model="held") == 1
    assert (series.value("model_load_peak_rss_bytes", model="nllb") or 0) > 1e6
    assert (series.value("model_host_memory_size_bytes") or 0) > (
        series.value("model_host_memory_available_bytes") or 0
    )
    assert (series.value("model_host_cache_disk_available_bytes", mountpoint="/") or 0) > 0


def test_promtool(used: Daemon, fresh: Daemon) -> None:
    """`promtool check metrics` has nothing to say."""
    for daemon in (used, fresh):
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=daemon.get("/metrics").body, capture_output=True, check=False,
            timeout=30,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("accept", [{}, OPENMETRICS], ids=["text", "openmetrics"])
def test_gzip(used: Daemon, accept: dict[str, str]) -> None:
    """The compressed answer, several members in a row, is the plain one."""

    def same() -> bool:
        # Scrapes that follow each other closely are one run of the collectors.
        plain, packed = used.get("/metrics", accept), used.get("/metrics", {**accept, **GZIP})
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert len(packed.body) < len(plain.body) / 3
        return members(packed.body) == plain.body

    until(same, 10, "the two are the same")


def members(packed: bytes) -> bytes:
    """All members' contents; there is more than one."""
    parts = []
    while packed:
        member = zlib.decompressobj(wbits=31)
        parts.append(member.decompress(packed))
        assert member.eof
        packed = member.unused_data
    assert len(parts) > 1
    return b"".join(parts)


@pytest.mark.parametrize("refusal", ["gzip;q=0", "identity", "br, deflate"])
def test_no_gzip(used: Daemon, refusal: str) -> None:
    """Who does not take gzip gets none."""
    assert used.get("/metrics", {"Accept-Encoding": refusal}).text.startswith("# HELP")


def of(daemon: Daemon, *names: str) -> set[str]:
    answer = daemon.get("/metrics?" + "&".join(f"collect[]={name}" for name in names))
    assert answer.status == 200
    return Series.parse(answer.text).names()


STATUS = {"model_load_exporter_collector_success", "model_load_exporter_collector_duration_seconds"}


def test_collect(used: Daemon) -> None:
    """`collect[]` names the collectors whose series are wanted; no series belongs to two."""
    seen: set[str] = set()
    for name in COLLECTOR_NAMES:
        own = of(used, name) - STATUS
        assert not own & seen
        seen |= own
    assert seen | STATUS == used.series().names()
    assert of(used, "loads", "host") == of(used, "loads") | of(used, "host")
    assert "model_load_attempts_total" in of(used, "loads")
    assert "model_load_attempts_total" not in of(used, "host")


def test_collect_unknown(used: Daemon) -> None:
    """A collector that there is not is the client's mistake, and the answer says which there are."""
    answer = used.get("/metrics?collect[]=loads&collect[]=lodes")
    assert answer.status == 400
    assert answer.text == f"no collector lodes; there are: {', '.join(COLLECTOR_NAMES)}\n"


def test_every_collector_works(used: Daemon) -> None:
    """No collector has failed, and each says how it went."""
    success = used.series().all("model_load_exporter_collector_success")
    assert {dict(labels)["collector"]: value for labels, value in success.items()} == dict.fromkeys(COLLECTOR_NAMES, 1)


def test_without_collectors(tmp_path_factory: pytest.TempPathFactory, used: Daemon) -> None:
    """`--no-collector.NAME` takes that collector's series away and leaves the others."""
    off = ("host", "cache_disk", "process")
    gone = of(used, *off) - STATUS
    assert len(gone) > 8
    flags = [f"--no-collector.{name}" for name in off]
    with running(tmp_path_factory.mktemp("without"), CONFIG, flags) as daemon:
        names = daemon.series().names()
        assert not gone & names
        assert {"model_load_attempts_total", "model_loaded", "model_load_exporter_build_info"} <= names
        assert daemon.get("/metrics?collect[]=host").status == 400
        status = daemon.series().all("model_load_exporter_collector_success")
        assert {dict(labels)["collector"] for labels in status} == set(COLLECTOR_NAMES) - set(off)


def test_without_any_collector(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With every collector off there is still an answer."""
    flags = [f"--no-collector.{name}" for name in COLLECTOR_NAMES]
    with running(tmp_path_factory.mktemp("none"), CONFIG, flags) as daemon:
        assert daemon.series().names() == set()
        assert daemon.get("/metrics", OPENMETRICS).text.endswith("# EOF\n")


CANARY = """
models:
  - {{name: nllb, path: {folder}, loader: "python:{folder}/waits.py:load", canary: {{interval: 1h, timeout: 60s}}}}
"""
WAITS = """
import os, time
def load(path):
    while not os.path.exists(path + "/go"):
        time.sleep(0.01)
    return object()
"""


def test_canary_before_its_first_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of a canary that has not come to a result yet only its interval, its skips and its being under way are told."""
    folder = tmp_path_factory.mktemp("model")
    (folder / "waits.py").write_text(WAITS)
    with running(tmp_path_factory.mktemp("canary"), CANARY.format(folder=folder)) as daemon:
        daemon.wait_for(1, "model_canary_in_progress", model="nllb")
        series = daemon.series()
        assert {name for name in series.names() if name.startswith("model_canary_")} == {
            "model_canary_interval_seconds", "model_canary_in_progress", "model_canary_skipped_total",
        }  # fmt: skip
        assert series.value("model_canary_interval_seconds", model="nllb") == 3600
        (folder / "go").touch()
        daemon.wait_within(30, 1, "model_canary_success", model="nllb")
        daemon.wait_for(0, "model_canary_in_progress", model="nllb")
        after = daemon.series()
        assert after.value("model_canary_attempts_total", model="nllb") == 1
        # What the canary does is no load of a service.
        assert after.value("model_load_attempts_total", model="nllb") == 0
        assert after.value("model_loaded", model="nllb") == 0
