"""Prometheus, Alertmanager and the receiver of pages, as a site has them: real binaries on free ports, hurried."""

import contextlib
import json
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from support.daemon import dispose
from support.http import answers, free_port, request
from support.wait import until

ALERTS = Path(__file__).parents[2] / "alerts"

JOB = "model-load-exporter"
"""The job's name as the shipped rules and the dashboards take it."""


@dataclass
class Receiver:
    """What Alertmanager sends to. notifications: (receiver's name, body) in the order in which they came."""

    port: int = 0
    notifications: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def sent(self, name: str, status: str = "firing") -> list[dict[str, Any]]:
        """The notifications of that status to one receiver."""
        return [body for to, body in list(self.notifications) if to == name and body["status"] == status]

    def alerts(self, name: str, status: str = "firing", **labels: str) -> list[dict[str, Any]]:
        """The alerts in them that have these labels among their own."""
        return [
            alert
            for body in self.sent(name, status)
            for alert in body["alerts"]
            if alert["status"] == status and labels.items() <= alert["labels"].items()
        ]


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    """A webhook receiver: POST /NAME is a notification to NAME."""
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.notifications.append((self.path.strip("/"), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class Server:
    """A running Prometheus or Alertmanager."""

    url: str

    def own(self, name: str) -> float:
        """Sum of one of its own series over all labels."""
        families = text_string_to_metric_families(request(f"{self.url}/metrics").text)
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    def json(self, path: str, **query: str) -> Any:
        """An answer of its API."""
        return json.loads(request(f"{self.url}{path}?{urllib.parse.urlencode(query)}").body)

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Prometheus: (labels, value) of each sample of an instant query."""
        answer = self.json("/api/v1/query", query=expression)
        assert answer["status"] == "success", answer
        return [(row["metric"], float(row["value"][1])) for row in answer["data"]["result"]]


@contextlib.contextmanager
def alertmanager(folder: Path, to: Receiver) -> Iterator[Server]:
    """The shipped configuration; only the addresses are this test's, and what takes minutes takes a second."""
    config = yaml.safe_load((ALERTS / "alertmanager" / "alertmanager.yml").read_text())
    for named in config["receivers"]:
        for webhook in named["webhook_configs"]:
            webhook["url"] = f"http://127.0.0.1:{to.port}/{named['name']}"
    config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    file = folder / "alertmanager.yml"
    file.write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        _binary("prometheus-alertmanager", "alertmanager"), f"--config.file={file}",
        f"--storage.path={folder / 'alertmanager'}", f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]  # fmt: skip
    with _server(command, f"http://127.0.0.1:{port}", folder / "alertmanager.log") as server:
        yield server


@contextlib.contextmanager
def prometheus(folder: Path, exporter_port: int, alerts_to: Server) -> Iterator[Server]:
    """The shipped rules over one exporter, scraped and evaluated each second."""
    file = folder / "prometheus.yml"
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS / "rules" / "*.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alerts_to.url.removeprefix("http://")]}]}]},
        "scrape_configs": [
            {"job_name": JOB, "static_configs": [{"targets": [f"127.0.0.1:{exporter_port}"]}]},
        ],
    }
    file.write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        _binary("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}", "--rules.alert.resend-delay=1s", "--log.level=warn",
    ]  # fmt: skip
    with _server(command, f"http://127.0.0.1:{port}", folder / "prometheus.log") as server:
        yield server


@contextlib.contextmanager
def _server(command: list[str], url: str, log: Path) -> Iterator[Server]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def ready() -> bool:
        if process.poll() is not None:
            pytest.fail(f"{command[0]} ended with status {process.returncode}:\n{log.read_text()}")
        return answers(f"{url}/-/ready")

    try:
        until(ready, 60, lambda: f"{command[0]} is ready; its log:\n{log.read_text()}")
        yield Server(url)
    finally:
        dispose(process)


def _binary(*names: str) -> str:
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        pytest.skip(f"no {names[0]} here: `scripts/setup tools` installs it")
    return found
