"""alertmanager.yml: routes by amtool, inhibition by a real Alertmanager on a free port."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alerts_folder import ALERTMANAGER, Rule, rules

RULES = {rule.alert: rule for rule in rules()}
RECEIVERS = {"critical": "pager", "warning": "tickets"}


def amtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["amtool", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=30)


def test_check_config() -> None:
    """Amtool accepts the file."""
    done = amtool("check-config", ALERTMANAGER)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.alert)
def test_route(rule: Rule) -> None:
    """Each alert reaches the receiver of its severity, and that one only."""
    done = amtool(
        "config", "routes", "test", "--config.file", ALERTMANAGER, f"alertname={rule.alert}", "model=m",
        f"severity={rule.labels['severity']}", f"--verify.receivers={RECEIVERS[rule.labels['severity']]}",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_route_without_severity() -> None:
    """An alert without a severity wakes nobody, and is not lost."""
    done = amtool(
        "config", "routes", "test", "--config.file", ALERTMANAGER, "alertname=X", "--verify.receivers=tickets"
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Alertmanager:
    """A running Alertmanager with the shipped configuration."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, *alerts: dict[str, str], resolved: bool = False) -> None:
        """Send alerts as Prometheus does, with the severity that each one's rule gives it."""
        now = time.time()
        body = [
            {
                "labels": {"severity": RULES[alert["alertname"]].labels["severity"]} | alert
                if alert["alertname"] in RULES
                else alert,
                "startsAt": rfc3339(now - 60),
                "endsAt": rfc3339(now - 1 if resolved else now + 600),
            }
            for alert in alerts
        ]
        request = urllib.request.Request(
            f"{self.url}/api/v2/alerts", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status == 200

    def inhibited(self, **labels: str) -> bool:
        """Whether the one alert that has exactly these labels (severity apart) is inhibited now."""
        found = [
            alert for alert in self._alerts() if {k: v for k, v in alert["labels"].items() if k != "severity"} == labels
        ]
        assert len(found) == 1, f"{labels} is there {len(found)} times"
        return bool(found[0]["status"]["inhibitedBy"])

    def active(self, **labels: str) -> bool:
        """Whether that alert is not inhibited."""
        return not self.inhibited(**labels)

    def _alerts(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/api/v2/alerts", timeout=5) as answer:
            return list(json.load(answer))


def rfc3339(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("alertmanager")
    binary = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    assert binary, "no Alertmanager here: scripts/setup tools installs it"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                binary, f"--config.file={ALERTMANAGER}", f"--storage.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except urllib.error.URLError:
            return False

    try:
        wait_for(ready, "Alertmanager is ready")
        yield Alertmanager(url)
    finally:
        process.terminate()
        process.wait(30)


def alert(alertname: str, instance: str, model: str = "", target: str = "", **labels: str) -> dict[str, str]:
    named = {"alertname": alertname, "job": "mle", "instance": instance, "model": model, "target": target} | labels
    return {key: value for key, value in named.items() if value}


def test_a_failure_hides_warnings_of_the_same_model(alertmanager: Alertmanager) -> None:
    """ModelLoadFailure hides what warns of the same model, service and host, the canary too, and nothing else."""
    failure = alert("ModelLoadFailure", "a:1", "nllb", "app", reason="killed", stage="weights")
    hidden = [
        alert("ModelLoadTime", "a:1", "nllb", "app"),
        alert("ModelMemoryUsage", "a:1", "nllb", "app"),
        alert("ModelCanaryFailing", "a:1", "nllb"),
    ]
    seen = [
        failure,
        alert("ModelLoadFailure", "a:1", "nllb", "app", reason="timeout", stage="weights"),
        alert("ModelLoadTime", "a:1", "aya", "app"),
        alert("ModelLoadTime", "a:1", "nllb", "other"),
        alert("ModelLoadTime", "b:1", "nllb", "app"),
        alert("ModelCanaryFailing", "b:1", "nllb"),
        alert("ModelLoadExporterDown", "c:1"),
    ]
    alertmanager.post(*hidden, *seen)
    for one in hidden:
        wait_for(partial(alertmanager.inhibited, **one), f"{one} is inhibited")
    for one in seen:
        assert not alertmanager.inhibited(**one), one

    alertmanager.post(failure, seen[1], resolved=True)
    for one in hidden:
        wait_for(partial(alertmanager.active, **one), f"{one} is free again after the success")


def test_labels_that_are_missing_on_both_sides_hide_nothing(alertmanager: Alertmanager) -> None:
    """Alertmanager takes two absent labels for equal: those that lost one hide nothing and stay seen."""
    control = alert("ModelLoadTime", "d:1", "nllb")
    seen = [
        alert("ModelLoadTime", "d:1"),
        alert("ModelCanaryFailing", "d:1"),
        alert("ModelLoadTime", "", "nllb"),
    ]
    alertmanager.post(
        alert("ModelLoadFailure", "d:1", "nllb", reason="killed", stage="other"),
        alert("ModelLoadFailure", "d:1", reason="killed", stage="other"),
        alert("ModelLoadFailure", "", "nllb", reason="killed", stage="other"),
        control, *seen,
    )  # fmt: skip
    wait_for(partial(alertmanager.inhibited, **control), "the warning with all its labels is inhibited")
    for one in seen:
        assert not alertmanager.inhibited(**one), one


def test_bad_files_hide_the_canary_that_they_fail(alertmanager: Alertmanager) -> None:
    """ModelArtifactInvalid hides the failing canary and the change of the same model and host; the page stays seen."""
    hidden = [alert("ModelCanaryFailing", "g:1", "nllb"), alert("ModelArtifactChanged", "g:1", "nllb", "app")]
    seen = [
        alert("ModelArtifactInvalid", "g:1", "nllb"),
        alert("ModelLoadFailure", "g:1", "aya", "app", reason="file_corrupted", stage="weights"),
        alert("ModelArtifactUnverified", "g:1", "nllb"),
        alert("ModelCanaryFailing", "g:1", "minilm"),
        alert("ModelCanaryFailing", "h:1", "nllb"),
    ]
    alertmanager.post(*hidden, *seen)
    for one in hidden:
        wait_for(partial(alertmanager.inhibited, **one), f"{one} is inhibited")
    for one in seen:
        assert not alertmanager.inhibited(**one), one


def test_a_failed_load_hides_what_its_service_shows(alertmanager: Alertmanager) -> None:
    """One event, one page: ModelLoadFailure hides the alerts of its own service; they come back when it has ended."""
    failure = alert("ModelLoadFailure", "i:1", "nllb", "app", reason="cgroup_oom_killed", stage="weights")
    hidden = [
        alert("ModelConnectionResets", "i:1", target="app"),
        alert("ModelServiceDown", "i:1", target="app"),
        alert("ModelServiceUnresponsiveWhileLoading", "i:1", target="app"),
    ]
    seen = [
        failure,
        alert("ModelConnectionResets", "i:1", target="chat"),
        alert("ModelServiceDown", "j:1", target="app"),
        alert("ModelServiceDown", "i:1"),
        alert("ModelLoadFailure", "i:1", "aya", reason="killed", stage="weights"),
    ]
    alertmanager.post(*hidden, *seen)
    for one in hidden:
        wait_for(partial(alertmanager.inhibited, **one), f"{one} is inhibited")
    for one in seen:
        assert not alertmanager.inhibited(**one), one

    alertmanager.post(failure, resolved=True)
    wait_for(partial(alertmanager.active, **hidden[1]), "a service that is still down is free to page")
    for one in (hidden[0], hidden[2]):
        assert alertmanager.inhibited(**one), "down says it all"
    alertmanager.post(hidden[1], resolved=True)
    for one in (hidden[0], hidden[2]):
        wait_for(partial(alertmanager.active, **one), f"{one} is free again")


def test_a_silent_exporter_hides_its_old_warnings(alertmanager: Alertmanager) -> None:
    """ModelLoadExporterDown hides the model warnings of its own host; failures, other hosts and other alerts stay."""
    hidden = [
        alert("ModelLoadTime", "e:1", "nllb", "app"),
        alert("ModelMemoryUsage", "e:1", "nllb", "app"),
        alert("ModelCanaryFailing", "e:1", "aya"),
        alert("ModelConnectionResets", "e:1", target="app"),
        alert("ModelServiceUnresponsiveWhileLoading", "e:1", target="app"),
    ]
    seen = [
        alert("ModelLoadExporterDown", "e:1"),
        alert("ModelServiceDown", "e:1", target="chat"),
        alert("ModelLoadFailure", "e:1", "minilm", "app", reason="killed", stage="weights"),
        alert("ModelLoadTime", "f:1", "nllb", "app"),
        alert("HostDiskFull", "e:1", severity="warning"),
    ]
    alertmanager.post(*hidden, *seen)
    for one in hidden:
        wait_for(partial(alertmanager.inhibited, **one), f"{one} is inhibited")
    for one in seen:
        labels = {key: value for key, value in one.items() if key != "severity"}
        assert not alertmanager.inhibited(**labels), one
