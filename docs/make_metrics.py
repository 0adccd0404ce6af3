"""Writes docs/METRICS.md from the collectors themselves: what a daemon says when everything has happened once.

python docs/make_metrics.py           writes it
python docs/make_metrics.py --check   exits 1 when the file is not what the code says
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Metric

from model_load_exporter.attempt import Begin, Death, End, LoadAttempt, StageBegin, StageEnd
from model_load_exporter.canary.result import CanaryResult, StageResult
from model_load_exporter.canary.standing import Standings
from model_load_exporter.collectors.base import Collector, NoData
from model_load_exporter.collectors.cgroup import CgroupCollector
from model_load_exporter.collectors.environment import EnvironmentCollector
from model_load_exporter.collectors.gpu import GpuCollector
from model_load_exporter.collectors.own import ConfigStatus
from model_load_exporter.collectors.registry import Sources, collectors
from model_load_exporter.collectors.scrape import Scraper
from model_load_exporter.config import Canary, Config, Limits, Model, Service, Thresholds, Verify
from model_load_exporter.doctor.inspection import Interpreter, Package
from model_load_exporter.gpu.card import Card, Reading
from model_load_exporter.holding import Hold, Holding
from model_load_exporter.journal.reader import create_spool
from model_load_exporter.ledger import Ledger
from model_load_exporter.live import LiveWriter
from model_load_exporter.loads import Loads
from model_load_exporter.looks.looker import Looker
from model_load_exporter.recorder import Recorder
from model_load_exporter.services.probe import Probed
from model_load_exporter.services.standing import ServiceStandings
from model_load_exporter.verification.finding import File, Finding
from model_load_exporter.verification.standings import FileStandings
from model_load_exporter.witness.witness import Witness

FILE = Path(__file__).with_name("METRICS.md")

HEAD = """# Metrics

Made from the code by `python docs/make_metrics.py`; a test keeps it so. Base units: seconds and bytes. Timestamps are
unix seconds; an age is `time() - ...`. Every series of a known `{target, model}` is there from the start, counters
at 0, and no counter goes back over a restart of the service or of the exporter.

- `model`: the configured model whose path, repo or `match:` covers the load; else the name that the service gave.
  Beyond `limits.models` it is `other`.
- `target`: the service: `track_load(target=)` or `MODEL_LOAD_EXPORTER_TARGET`; empty when nobody said.
- `reason`: of the closed set, which the runbook [ModelLoadFailure](../alerts/runbooks/ModelLoadFailure.md) explains.
- `stage`: download, config, tokenizer, weights, device, pipeline, warmup, inference or other.

`--no-collector.NAME` switches a collector off; `/metrics?collect[]=NAME` asks for some only.
"""

PROBE = """## /probe?model=NAME

| name | type | labels | meaning |
| --- | --- | --- | --- |
| `model_probe_success` | gauge |  | 1 if the canary load succeeded. |
| `model_probe_duration_seconds` | gauge |  | Duration of the canary load. |
| `model_probe_failure` | gauge | reason | 1 for the reason for which the load failed; no series when it succeeded. |
| `model_probe_age_seconds` | gauge |  | Time since this load ended. |
"""


def main() -> int:
    """Writes the file, or with --check says whether it is as it would be written."""
    parser = argparse.ArgumentParser(description="Writes docs/METRICS.md from the collectors.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the file differs")
    text = render()
    if not parser.parse_args().check:
        FILE.write_text(text, encoding="utf-8")
        return 0
    if FILE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{FILE.name} is not what the code says: run python docs/make_metrics.py", file=sys.stderr)
    return 1


def render() -> str:
    """The whole document."""
    parts = [HEAD]
    with tempfile.TemporaryDirectory() as folder:
        sources, ledger = _eventful(folder)
        made = [_with_hardware(collector, folder) for collector in collectors(sources)]
        for collector in made:
            parts.append(_section(collector))
        status = Scraper(made)
        asyncio.run(status.scrape(openmetrics=False, gzipped=False))
        parts.append(_section(status.own))
        ledger.close()
    return "\n".join([*parts, PROBE])


class _Driver:
    """The driver of one GPU that tells all there is to tell."""

    watching = True

    def __init__(self) -> None:
        self.xids: Counter[tuple[str, int]] = Counter()

    def read(self) -> Reading:
        card = Card("0", "GPU-1", "NVIDIA", "0:65:0", 3, 2, 1, 0.5, 60, {"corrected": 1}, {"hw_thermal": False}, {1: 1})
        return Reading("550", (card,), ())


def _with_hardware(collector: Collector, folder: str) -> Collector:
    """The collector as it is on a host with a GPU and with memory cgroups, whatever this host has."""
    writers = [LiveWriter("app", "nllb", 1, 1)]
    if isinstance(collector, GpuCollector):
        return GpuCollector(lambda: writers, dict, _Driver())
    if isinstance(collector, EnvironmentCollector):
        # An environment has one package at least, whatever is installed here.
        packages = {name: Package(name, "1.0") for name in ("torch", "transformers", "tokenizers")}
        return EnvironmentCollector(collector.config, inspect=lambda path: Interpreter(path, "3.11", "", "", packages))
    if isinstance(collector, CgroupCollector):
        group = Path(folder, "sys/fs/cgroup/app")
        group.mkdir(parents=True)
        for name in ("current", "max", "peak"):
            Path(group, f"memory.{name}").write_text("1\n")
        for pid in ("1", "self"):
            Path(folder, "proc", pid).mkdir()
            Path(folder, "proc", pid, "cgroup").write_text("0::/app\n")
        return CgroupCollector(lambda: writers, f"{folder}/proc", f"{folder}/sys")
    return collector


def _section(collector: Collector) -> str:
    lines = [f"## {collector.name}", "", (type(collector).__doc__ or "").split("\n")[0], ""]
    lines += ["| name | type | labels | meaning |", "| --- | --- | --- | --- |"]
    families: dict[str, Metric] = {}
    labels: dict[str, list[str]] = {}
    for metric in _collect(collector):
        families.setdefault(metric.name, metric)
        known = labels.setdefault(metric.name, [])
        for sample in metric.samples:
            known += [name for name in sample.labels if name not in (*known, "le")]
    for name, metric in families.items():
        shown = f"{name}_total" if metric.type == "counter" else name
        lines.append(f"| `{shown}` | {metric.type} | {', '.join(labels[name])} | {metric.documentation} |")
    return "\n".join([*lines, ""])


def _collect(collector: Collector) -> Iterator[Metric]:
    try:
        yield from collector.collect()
    except NoData as nothing:
        sys.exit(f"the collector {collector.name} has nothing to say here: {nothing}")


def _eventful(folder: str) -> tuple[Sources, Ledger]:
    """The state of a daemon to which everything has happened once."""
    weights = Path(folder, "model.safetensors")
    header = b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'
    weights.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    # A host that tells all there is to tell, pressure too.
    Path(folder, "proc/pressure").mkdir(parents=True)
    Path(folder, "proc/pressure/memory").write_text("some avg10=0.00 total=1\nfull avg10=0.00 total=1\n")
    Path(folder, "proc/meminfo").write_text("MemTotal: 4 kB\nMemAvailable: 2 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
    model = Model("nllb", str(weights), (), "safetensors", None, Thresholds(), Canary(), Verify())
    service = Service("app", "http://app:8080/health", None, 15.0, {"nllb": 1})
    config = Config((model,), (service,), (folder,), Limits())
    create_spool(f"{folder}/spool")
    ledger = Ledger.open(f"{folder}/state")
    loads = Loads(config, ledger)
    recorder = Recorder(f"{folder}/spool", loads, ledger, Witness("/proc", "/sys"), "/proc", 0.0)
    # The document says what a host with all evidence has, wherever it is made.
    recorder.evidence = dict.fromkeys(recorder.evidence, True)
    standings = Standings(ledger)
    standings.configure({"nllb"})
    _service_events(loads)
    for outcome, reason in (("failed", "file_missing"), ("loaded", None)):
        stages = (StageResult("weights", 1.0, 1000),)
        standings.record(
            CanaryResult(
                "nllb", str(weights), f"c-{outcome}", outcome, time.time(), 1.0, reason=reason, stages=stages,
                peak_rss_bytes=1000, peak_anonymous_bytes=900, output_match=True,
            )
        )  # fmt: skip
    files = FileStandings(ledger)
    files.configure({"nllb": model})
    for number, sha256 in enumerate(("0" * 64, "1" * 64), 1):
        found = File("model.safetensors", False, "file_corrupted", "", 16, number, sha256, number)
        files.record("nllb", Finding("checksum", sha256, 16, 1.0, 1.0, True, 1, (found,)), number, reads=True)
    services = ServiceStandings(ledger)
    services.configure({"app"})
    services.take("app", Probed(0.01, None, model_loaded=True), 15.0, loading=False)
    looker = Looker()
    # A collector waits for a second, and the process that looks may need longer for its start.
    looker.ask("predicted", str(weights), model.loader, seconds=60)
    return Sources(
        loads, standings, files, services, recorder, ConfigStatus(), lambda: config, looker, f"{folder}/proc"
    ), ledger


def _service_events(loads: Loads) -> None:
    """A load that succeeds, one that dies, one that is open, and a process that holds the model."""
    now = time.time()
    runtime = {"namespace": "prod", "pod": "app-1", "container": "app"}
    for number, ending in enumerate(("died", "loaded", "open")):
        attempt = LoadAttempt(Begin(f"a-{number}", now, "nllb", "service", 1, "", target="app", runtime=runtime))
        loads.begin(attempt, None)
        attempt.apply(StageBegin(now, "weights"))
        if ending == "loaded":
            attempt.apply(StageEnd(now, "weights", 1000, 900))
            attempt.apply(End(now + 1, "loaded", peak_rss=1000, peak_anonymous=900))
            loads.end(attempt)
        elif ending == "died":
            loads.die(attempt, Death(now, "killed"))
    hold = Hold("h-1", now, "nllb", 1, "", target="app", gpu=(("0", 1),), runtime=runtime)
    loads.hold(Holding(hold))


if __name__ == "__main__":
    sys.exit(main())
