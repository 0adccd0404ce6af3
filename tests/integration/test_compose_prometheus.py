"""The stack's own commands and configurations in the real programs, without Docker and without Grafana.

Only what Docker would provide is replaced: the services' names and the folders inside the containers.
"""

import contextlib
import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dashboard_contract import CONTRACT
from dashboard_queries import panel_queries
from monitoring_servers import free_address, running
from prometheus_client.parser import text_string_to_metric_families

REPOSITORY = Path(__file__).parents[2]
PROMETHEUS = REPOSITORY / "compose" / "prometheus" / "prometheus.yml"
RULES = REPOSITORY / "alerts" / "rules"
ALERTMANAGER = REPOSITORY / "alerts" / "alertmanager" / "alertmanager.yml"


def without_docker(folder: Path, **addresses: str) -> Path:
    """prometheus.yml with addresses of this host for the services' names."""
    text = PROMETHEUS.read_text(encoding="utf-8").replace("/etc/model-load-exporter/rules", str(RULES))
    for name, address in addresses.items():
        text = text.replace(name.replace("_", ":"), address)
    path = folder / "prometheus.yml"
    path.write_text(text, encoding="utf-8")
    return path


def test_promtool_accepts_it(tmp_path: Path) -> None:
    """`promtool check config` finds no mistake, and finds every rule file."""
    done = subprocess.run(
        ["promtool", "check", "config", str(without_docker(tmp_path))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files = list(RULES.glob("*.yml"))
    assert files
    assert f"{len(files)} rule files found" in done.stdout


def command_of_the_exporter(folder: Path, address: str) -> list[str]:
    """compose.yaml's command with the defaults of its variables and folders of this host."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (REPOSITORY / "compose" / "compose.yaml").read_text(encoding="utf-8"))
    command = yaml.safe_load(text)["services"]["exporter"]["command"]
    here = {"/etc/model-load-exporter": REPOSITORY / "compose" / "exporter", "/var/lib/model-load-exporter": folder}
    for inside, outside in here.items():
        command = [argument.replace(inside, str(outside)) for argument in command]
    return [f"{Path(sys.executable).parent}/model-load-exporter", *command, f"--web.listen-address={address}"]


class Stack:
    """Exporter, Alertmanager and Prometheus as the stack runs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exporter, self.alertmanager, self.prometheus = free_address(), free_address(), free_address()

    @contextlib.contextmanager
    def started(self) -> Iterator["Stack"]:
        """All three, each ready."""
        here = self.folder
        config = without_docker(
            here,
            exporter_9877=self.exporter,
            alertmanager_9093=self.alertmanager,
            localhost_9090=self.prometheus,
        )
        alertmanager = ["prometheus-alertmanager", f"--config.file={ALERTMANAGER}", f"--storage.path={here}/alerts"]
        alertmanager += ["--cluster.listen-address=", f"--web.listen-address={self.alertmanager}"]
        prometheus = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={here}/prometheus"]
        prometheus += [f"--web.listen-address={self.prometheus}"]
        exporter = command_of_the_exporter(here, self.exporter)
        with (
            running(exporter, f"http://{self.exporter}/-/ready", here / "exporter.log"),
            running(alertmanager, f"http://{self.alertmanager}/-/ready", here / "alertmanager.log"),
            running(prometheus, f"http://{self.prometheus}/-/ready", here / "prometheus.log"),
        ):
            yield self

    def ask(self, path: str) -> Any:
        """The `data` of an answer of Prometheus's API."""
        with urllib.request.urlopen(f"http://{self.prometheus}/api/v1/{path}", timeout=30) as answer:
            return json.load(answer)["data"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The running stack."""
    with Stack(tmp_path_factory.mktemp("stack")).started() as stack:
        yield stack


def test_it_loads_every_rule(stack: Stack) -> None:
    """The rules of the repository are in force."""
    written = [
        rule["alert"]
        for path in RULES.glob("*.yml")
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    loaded = [rule["name"] for group in stack.ask("rules")["groups"] for rule in group["rules"]]
    assert sorted(loaded) == sorted(written)


def test_it_sends_to_the_alertmanager(stack: Stack) -> None:
    """Prometheus takes the Alertmanager of the stack as active."""
    deadline = time.monotonic() + 60
    while not (active := stack.ask("alertmanagers")["activeAlertmanagers"]):
        assert time.monotonic() < deadline, "no active Alertmanager after 60 s"
        time.sleep(0.1)
    assert len(active) == 1


def test_it_scrapes_the_exporter_under_an_address_for_a_browser(stack: Stack) -> None:
    """The exporter is up; its instance, of which links are made, is the published port and not the service's name."""
    deadline = time.monotonic() + 60
    # The first scrape may have come before the exporter did; the next is 15 s later.
    while (target := exporter_target(stack))["health"] != "up":
        assert time.monotonic() < deadline, f"no good scrape after 60 s: {target['lastError']}"
        time.sleep(0.1)
    assert target["labels"]["instance"] == "localhost:9877"
    assert (target["scrapeInterval"], target["scrapeTimeout"]) == ("15s", "10s")


def exporter_target(stack: Stack) -> dict[str, Any]:
    """The exporter as Prometheus sees it."""
    targets = stack.ask("targets")["activeTargets"]
    found = [dict(one) for one in targets if one["labels"]["job"] == "model-load-exporter"]
    # Just after its start Prometheus knows no target yet.
    return found[0] if found else {"health": "unknown", "lastError": "no target yet"}


def test_the_exporter_exposes_what_the_dashboard_asks_for(stack: Stack) -> None:
    """Of each metric of the dashboard that the exporter exposes at its start, the labels are those of the contract."""
    with urllib.request.urlopen(f"http://{stack.exporter}/metrics", timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    found = {sample.name: frozenset(sample.labels) for family in families for sample in family.samples}
    known = {name: labels for name, labels in found.items() if name in CONTRACT}
    assert {"model_load_exporter_build_info", "model_host_memory_available_bytes"} <= set(known)
    assert known == {name: CONTRACT[name] for name in known}


def test_every_query_of_the_dashboard_runs_on_it(stack: Stack) -> None:
    """The exporter's own series give no query of the dashboard cause for an error, models or not."""
    for query in panel_queries():
        stack.ask(f"query?{urllib.parse.urlencode({'query': query.expr})}")
