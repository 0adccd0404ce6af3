"""A service as its clients see it while it loads, from the probe to the page: a real service, a real OOM kill.

The service is uvicorn under `model-load-exporter run`, with the health addresses of health_app.
"""

import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from support.cgroup import memory_cgroup
from support.daemon import Daemon, running
from support.http import free_port
from support.monitoring import ALERTS, Receiver, Server, alertmanager, prometheus, receiver
from support.supervised import Supervised, supervised
from support.wait import until

BIN = Path(__file__).parents[2] / ".venv-models" / "bin"

TARGET = "app-prod"
LIMIT = 256 << 20
"""The service takes about 50 MB of it before it loads."""

SERVICE = """
import asyncio, contextlib, os, time
from starlette.applications import Starlette
from model_load_exporter import health_app, track_load

def too_large():
    with track_load("nllb-200", path="/models/nllb-200") as load, load.stage("weights"):
        kept = []
        while True:
            kept.append(os.urandom(1 << 20) * 8)
            time.sleep(0.1)

def slow():
    with track_load("nllb-200", path="/models/nllb-200") as load, load.stage("weights"):
        while not os.path.exists("go"):
            time.sleep(0.05)
        load.holds(app)

@contextlib.asynccontextmanager
async def lifespan(app):
    HOW
    yield

app = health_app(Starlette(lifespan=lifespan))
"""
IN_A_THREAD = "await asyncio.to_thread(too_large)"
ON_THE_LOOP = "slow()"


@dataclass
class Site:
    """All that watches the service."""

    daemon: Daemon
    prometheus: Server
    alertmanager: Server
    receiver: Receiver
    port: int

    def failures(self, *causes: str) -> float:
        """Probes that failed of these causes, by the exporter."""
        series = self.daemon.series()
        return sum(
            series.value("model_service_probe_failures_total", target=TARGET, cause=cause) or 0 for cause in causes
        )

    def unresponsive(self) -> float:
        return self.daemon.value("model_service_loading_unresponsive_seconds_total", target=TARGET) or 0

    def probes(self) -> float:
        return self.daemon.value("model_service_probes_total", target=TARGET) or 0

    def annotation(self, alert: str, name: str) -> str:
        """That of the one alert of that name which Prometheus has now."""
        alerts = self.prometheus.json("/api/v1/alerts")["data"]["alerts"]
        (one,) = (one for one in alerts if one["labels"]["alertname"] == alert)
        return str(one["annotations"][name])

    def firing(self, alert: str) -> bool:
        return bool(self.prometheus.query(f'ALERTS{{alertname="{alert}",alertstate="firing",target="{TARGET}"}}'))

    def inhibited(self, alert: str) -> bool:
        """Whether Alertmanager has that alert, and hides it."""
        found = [one for one in self.alertmanager.json("/api/v2/alerts") if one["labels"]["alertname"] == alert]
        return bool(found) and all(one["status"]["inhibitedBy"] for one in found)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    if not (BIN / "uvicorn").exists():
        pytest.skip("no uvicorn: `make test` builds .venv-models")
    port = free_port()
    config = f"""
models:
  - {{name: nllb-200, path: /models/nllb-200, thresholds: {{load_seconds: 300}}}}
services:
  - target: {TARGET}
    url: http://127.0.0.1:{port}/health
    model_url: http://127.0.0.1:{port}/model/health
    interval: 500ms
    models: {{nllb-200: 1}}
"""
    with ExitStack() as stack:
        daemon = stack.enter_context(running(tmp_path, config))
        pages = stack.enter_context(receiver())
        alerts = stack.enter_context(alertmanager(tmp_path, pages))
        yield Site(daemon, stack.enter_context(prometheus(tmp_path, daemon.port, alerts)), alerts, pages, port)


@contextmanager
def service(site: Site, folder: Path, how: str, wrapper: tuple[str, ...] = ()) -> Iterator[Supervised]:
    folder.mkdir()
    (folder / "app.py").write_text(SERVICE.replace("HOW", how))
    command = [str(BIN / "uvicorn"), "app:app", "--port", str(site.port)]
    environment = {"MODEL_LOAD_EXPORTER_SPOOL": str(site.daemon.spool)}
    with supervised(
        folder, *command, flags=["--name", TARGET], environment=environment, cwd=folder, wrapper=wrapper
    ) as running_service:
        yield running_service


@pytest.mark.root
@pytest.mark.timeout(180)
def test_a_load_that_is_killed_for_memory_is_one_page_with_one_cause(site: Site, tmp_path: Path) -> None:
    """Clients are refused or reset; one page names model, stage and reason, and counts their connections."""
    until(lambda: site.failures("refused") >= 1, 20, "nobody listens yet")
    scraped = f'model_service_probe_failures_total{{target="{TARGET}",cause="refused"}} > 0'
    until(lambda: site.prometheus.query(scraped), 20, "a first scrape")
    with memory_cgroup(LIMIT) as group, service(site, tmp_path / "service", IN_A_THREAD, group.wrapper) as process:
        site.daemon.wait_within(60, 1, "model_load_in_progress", target=TARGET)
        until(lambda: site.failures("http_status") >= 1 or process.process.poll() is not None, 20, "it says: loading")
        before = site.failures("refused", "reset")
        assert process.process.wait(60) == -signal.SIGKILL, process.output()
    site.daemon.wait_for(1, "model_load_failures_total", target=TARGET, model="nllb-200", reason="cgroup_oom_killed")
    until(lambda: site.failures("refused", "reset") > before, 20, "clients are refused")
    assert site.daemon.value("model_service_up", target=TARGET) == 0

    until(lambda: site.firing("ModelConnectionResets"), 30, "ModelConnectionResets fires")
    until(lambda: site.inhibited("ModelConnectionResets"), 30, "ModelLoadFailure hides it")
    cause = "its load of nllb-200 died at stage weights: cgroup_oom_killed"
    assert site.annotation("ModelConnectionResets", "summary") == f"{TARGET} refused or reset connections: {cause}"
    counted = r"\b[1-9]\d* connections to it were refused or reset"
    until(lambda: re.search(counted, site.annotation("ModelLoadFailure", "description")), 30, "the text counts them")

    until(lambda: site.receiver.alerts("pager"), 30, "the page")
    pages = site.receiver.alerts("pager")
    assert {page["labels"]["alertname"] for page in pages} == {"ModelLoadFailure"}
    assert (pages[0]["labels"]["reason"], pages[0]["labels"]["stage"]) == ("cgroup_oom_killed", "weights")

    page = site.daemon.get("/").text
    assert TARGET in page
    assert "refused" in page


@pytest.mark.timeout(180)
def test_a_load_that_blocks_the_server_is_seen_while_it_does(site: Site, tmp_path: Path) -> None:
    """Seconds without an answer rise while the load is open, and the alert's own expression becomes true."""
    (rule,) = (
        rule
        for group in yaml.safe_load((ALERTS / "rules" / "services.yml").read_text())["groups"]
        for rule in group["rules"]
        if rule["alert"] == "ModelServiceUnresponsiveWhileLoading"
    )
    # Thirty seconds are for people; two show that the expression sees them.
    expression = rule["expr"].replace("> 30", "> 2")
    assert expression != rule["expr"]
    scraped = f'model_service_loading_unresponsive_seconds_total{{target="{TARGET}"}} == 0'
    until(lambda: site.prometheus.query(scraped), 20, "a first scrape")
    with service(site, tmp_path / "service", ON_THE_LOOP) as process:
        site.daemon.wait_within(60, 1, "model_load_in_progress", target=TARGET)
        until(lambda: site.unresponsive() > 2, 30, lambda: f"nobody gets an answer: {process.output()}")
        assert site.daemon.value("model_load_in_progress", target=TARGET) == 1
        until(lambda: site.prometheus.query(expression), 30, "the alert's expression is true")
        assert not site.prometheus.query('ALERTS{alertname="ModelServiceDown"}')

        (tmp_path / "service" / "go").touch()
        site.daemon.wait_within(20, 1, "model_service_up", target=TARGET)
        site.daemon.wait_within(20, 1, "model_service_model_loaded", target=TARGET)
        total, probes = site.unresponsive(), site.probes()
        until(lambda: site.probes() >= probes + 2, 20, "more probes")
        assert site.unresponsive() == total
        assert "They disagree" not in site.daemon.get("/").text
