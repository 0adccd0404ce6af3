"""One load, seen from the service to the pager: real models, real faults, real Prometheus and Alertmanager."""

import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from model_load_exporter.reasons import REASONS
from support.cgroup import memory_cgroup
from support.daemon import Daemon, Series, running
from support.http import request
from support.monitoring import JOB, Receiver, Server, alertmanager, prometheus, receiver
from support.service import Service, serving
from support.wait import until

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-models" / "bin" / "python"
MINILM = ROOT / ".run" / "models" / "minilm"

TARGET = "app"
LIMIT = 512 << 20
"""The service's memory limit: torch, transformers and MiniLM take about 350 MB of it."""
TOO_LARGE = 400 << 20
"""Size of a checkpoint that cannot be read into what is left, and that can be mapped."""

MAKE_CHECKPOINTS = """
import sys, torch
good, truncated, large, size = sys.argv[1:]
torch.save({"weight": torch.ones(256, 1024)}, good)
with open(good, "rb") as whole, open(truncated, "wb") as part:
    part.write(whole.read()[:500_000])
torch.save({"weight": torch.zeros(int(size) // 4)}, large)
"""

SERVICE = """
import sys
import torch
from transformers import AutoModel, AutoTokenizer
from model_load_exporter import track_load

kept = []

def pretrained(path):
    with track_load(path=path) as load:
        with load.stage("tokenizer"):
            kept.append(AutoTokenizer.from_pretrained(path))
        with load.stage("weights"):
            kept.append(load.holds(AutoModel.from_pretrained(path)))

def checkpoint(path, mmap=False):
    with track_load(path=path) as load:
        with load.stage("weights"):
            kept.append(torch.load(path, weights_only=True, mmap=mmap))

print("up")
for line in sys.stdin:
    try:
        exec(line)
        print("loaded")
    except Exception:
        print("failed")
"""


@dataclass
class Site:
    """All that runs."""

    daemon: Daemon
    prometheus: Server
    alertmanager: Server
    receiver: Receiver
    models: Path

    def page(self, model: str, **labels: str) -> dict[str, Any]:
        """Waits for the page on a model; it must be one, with these labels."""
        until(
            lambda: self.receiver.alerts("pager", alertname="ModelLoadFailure", model=model),
            60,
            lambda: (
                f"a page for {model}; alerts: {self.prometheus.json('/api/v1/alerts')}; {self.daemon.log()[-2000:]}"
            ),
        )
        (alert,) = self.receiver.alerts("pager", alertname="ModelLoadFailure", model=model)
        assert labels.items() <= alert["labels"].items()
        return alert

    def settle(self) -> None:
        """Waits until rules were evaluated, and Alertmanager looked through its groups, several times more."""
        rules, flushes = self._rounds()

        def gone_on() -> bool:
            # Three groups of rules; two groups of alerts, whose every look at what was sent is one query.
            now = self._rounds()
            return now[0] >= rules + 3 * 4 and now[1] >= flushes + 2 * 4

        until(gone_on, 60, "rules are evaluated and alerts are flushed four times")

    def _rounds(self) -> tuple[float, float]:
        return (
            self.prometheus.own("prometheus_rule_group_iterations_total"),
            self.alertmanager.own("alertmanager_nflog_queries_total"),
        )

    def scraped_anew(self, started: float) -> bool:
        """True once Prometheus has samples of a daemon that started after that time."""
        found = self.prometheus.query(f'process_start_time_seconds{{job="{JOB}"}}')
        return bool(found) and found[0][1] > started


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    for needed in (PYTHON, MINILM):
        if not needed.exists():
            pytest.skip(f"no {needed.relative_to(ROOT)}: `make test` builds it")
    models = tmp_path / "models"
    models.mkdir()
    files = [str(models / name) for name in ("good.pth", "summarizer.pth", "translator.pth")]
    subprocess.run([PYTHON, "-c", MAKE_CHECKPOINTS, *files, str(TOO_LARGE)], check=True, timeout=120)
    config = f"""
models:
  - {{name: minilm, path: {MINILM}}}
  - {{name: summarizer, path: {models}/summarizer.pth}}
  - {{name: translator, path: {models}/translator.pth}}
services:
  - target: {TARGET}
    models: {{minilm: 1, summarizer: 1, translator: 1}}
"""
    with (
        running(tmp_path, config) as daemon,
        receiver() as pages,
        alertmanager(tmp_path, pages) as alerts,
        prometheus(tmp_path, daemon.port, alerts) as server,
    ):
        try:
            yield Site(daemon, server, alerts, pages, models)
        finally:
            for file in models.iterdir():
                file.unlink()


def service(site: Site, **options: Any) -> Any:
    return serving(
        SERVICE, site.daemon.spool, python=PYTHON, environment={"MODEL_LOAD_EXPORTER_TARGET": TARGET}, **options
    )


def told(process: Service, line: str) -> str:
    process.tell(line)
    return process.read(60)


@pytest.mark.root
@pytest.mark.timeout(300)
def test_first_light(site: Site) -> None:
    """A good load pages nobody; a damaged file and an OOM kill page once each, over restarts, until it loads again."""
    daemon, pages = site.daemon, site.receiver
    ours = f'job="{JOB}",instance="127.0.0.1:{daemon.port}",target="{TARGET}"'

    # Before the first load every series stands at 0: increase() will see the first failure.
    zeros = f"model_load_failures_total{{{ours}}} == 0"
    until(lambda: len(site.prometheus.query(zeros)) == 3 * len(REASONS), 30, "a scrape of all series")

    with memory_cgroup(LIMIT) as group, service(site, wrapper=group.wrapper) as process:
        process.says("up", 60)

        assert told(process, f"pretrained({str(MINILM)!r})") == "loaded"
        until(
            lambda: site.prometheus.query(f'model_loaded{{{ours},model="minilm"}} == 1'), 15, "the model is seen loaded"
        )
        stages = site.prometheus.query(f'model_load_stage_duration_seconds_count{{{ours},model="minilm"}}')
        assert {labels["stage"]: value for labels, value in stages} == {"tokenizer": 1, "weights": 1}

        assert told(process, f"checkpoint({str(site.models / 'summarizer.pth')!r})") == "failed"
        corrupted = site.page("summarizer", reason="file_corrupted", stage="weights", target=TARGET)

        process.tell(f"checkpoint({str(site.models / 'translator.pth')!r})")
        assert process.reap(60) == -signal.SIGKILL
    killed = site.page("translator", reason="cgroup_oom_killed", stage="weights", target=TARGET)

    for alert, reason in ((corrupted, "file_corrupted"), (killed, "cgroup_oom_killed")):
        assert alert["labels"]["severity"] == "critical"
        assert reason in alert["annotations"]["summary"]
        link = alert["annotations"]["runbook_url"]
        assert link == f"{daemon.url}/runbooks/ModelLoadFailure#{reason}"
        runbook = request(link.partition("#")[0])
        assert runbook.status == 200
        assert f'id="{reason}"' in runbook.text
    failures = site.prometheus.query(f"model_load_failures_total{{{ours}}} > 0")
    assert {(row["model"], row["reason"]): value for row, value in failures} == {
        ("summarizer", "file_corrupted"): 1, ("translator", "cgroup_oom_killed"): 1,
    }  # fmt: skip
    assert daemon.value("model_process_deaths_total", model="minilm", reason="cgroup_oom_killed") == 1
    assert daemon.value("model_loaded", model="minilm") == 0

    # The daemon stops in good order, and is killed; neither is an event for anybody.
    site.settle()
    sent = len(pages.notifications)
    assert len(pages.sent("pager")) == 2
    for number in (signal.SIGTERM, signal.SIGKILL):
        before = daemon.series()
        daemon.end(number)
        daemon.start()
        _not_gone_back(before, daemon.series())
        started = before.value("process_start_time_seconds") or 0
        until(lambda last=started: site.scraped_anew(last), 30, "a scrape after the restart")  # type: ignore[misc]
        site.settle()
        assert pages.notifications[sent:] == []
    for name in sorted({name for name, _ in daemon.series().lasting_counters() if name.endswith("_total")}):
        assert all(value == 0 for _, value in site.prometheus.query(f'resets({name}{{job="{JOB}"}}[15m])')), name
    firing = {row["model"] for row, _ in site.prometheus.query('ALERTS{alertname="ModelLoadFailure"}')}
    assert firing == {"summarizer", "translator"}

    # What the runbook's sections advise: the file from its source again; the checkpoint mapped instead of read.
    (site.models / "good.pth").replace(site.models / "summarizer.pth")
    with service(site) as process:
        process.says("up", 60)
        assert told(process, f"pretrained({str(MINILM)!r})") == "loaded"
        assert told(process, f"checkpoint({str(site.models / 'summarizer.pth')!r})") == "loaded"
        assert told(process, f"checkpoint({str(site.models / 'translator.pth')!r}, mmap=True)") == "loaded"
        for model in ("summarizer", "translator"):
            until(lambda model=model: pages.alerts("pager", "resolved", model=model), 60, f"{model} is resolved")  # type: ignore[misc]
        missing = site.prometheus.query("model_loaded < model_loaded_required")
        assert missing == []
    assert len(pages.sent("pager")) == 2


def _not_gone_back(before: Series, after: Series) -> None:
    """Every counter that is meant to last is there, and no smaller."""
    old, new = before.lasting_counters(), after.lasting_counters()
    assert len(old) > 100
    assert {key: (value, new.get(key)) for key, value in old.items() if not new.get(key, -1) >= value} == {}
