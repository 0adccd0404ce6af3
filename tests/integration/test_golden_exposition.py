"""The whole exposition of a daemon on a fixture host, line for line, as node_exporter's end-to-end test does.

The hosts are tests/fixtures/procfs and sysfs (cgroup v1, v2, hybrid), the GPUs those of the stub driver, the loads
journal files with fixed times. A changed line is meant or a mistake: `pytest --update-golden` writes the files anew,
and the diff is for the reviewer.
"""

import difflib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model_load_exporter.journal.reader import create_spool
from support.daemon import running
from support.nvml import Stub
from support.recording import begin, drop, hold, lines

FIXTURES = Path(__file__).parents[1] / "fixtures"
T = 1_700_000_000.0

CONFIG = """
models:
  - {name: nllb, path: /models/nllb, thresholds: {load_seconds: 300, memory_bytes: 6GB}}
  - {name: aya}
  - {name: minilm}
  - {name: t5}
services:
  - {target: app, models: {nllb: 2, aya: 1, minilm: 1, t5: 1}}
"""

_VOLATILE = re.compile(
    r"model_load_exporter_(?:collector_duration_seconds|build_info|config_last_reload_success_timestamp_seconds)"
    r'|model_load_exporter_spool_bytes|model_load_exporter_evidence_available\{source="(?!kernel_log)'
)
"""What tells of this run or of this host's kernel, whatever --path.procfs says."""


@pytest.mark.parametrize("host", ["v1", "v2", "hybrid"])
def test_exposition(tmp_path: Path, host: str, request: pytest.FixtureRequest) -> None:
    stub = Stub(tmp_path)
    golden = FIXTURES / "golden" / f"{host}.prom"
    with fixture_host(tmp_path, host), held_by_this_process(tmp_path / "spool"):
        _journals(tmp_path / "spool")
        flags = [
            f"--path.procfs={tmp_path}/proc", f"--path.sysfs={FIXTURES}/sysfs/{host}", "--evidence.disable=kernel_log",
            "--no-collector.process",
        ]  # fmt: skip
        environment = {**stub.environment, "NVML_STUB_PID": str(os.getpid())}
        with running(tmp_path, CONFIG, flags, environment) as daemon:
            text = daemon.get("/metrics").text
    kept = [line for line in text.splitlines(keepends=True) if not _VOLATILE.match(line)]
    if request.config.getoption("--update-golden"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text("".join(kept))
    difference = difflib.unified_diff(golden.read_text().splitlines(keepends=True), kept, str(golden), "now")
    assert "".join(difference) == ""


@contextmanager
def fixture_host(folder: Path, host: str) -> Iterator[None]:
    """The fixture's /proc, in which this very process is its process 100."""
    shutil.copytree(FIXTURES / "procfs" / host, folder / "proc")
    (folder / "proc" / str(os.getpid())).symlink_to("100")
    yield


@contextmanager
def held_by_this_process(spool: Path) -> Iterator[None]:
    """A holder file of a living process: this one."""
    create_spool(str(spool))
    content = lines(
        hold("h-held", time=T + 9, model="nllb", target="app", anonymous=5 << 30, mapped=[["08:01:42", 1 << 30]],
             gpu=[["0", 2 << 30]], format="safetensors", version="1.0", dtype="bf16", revision="abc",
             runtime={"namespace": "prod", "pod": "app-1", "container": "app"})
    )  # fmt: skip
    hidden = spool / ".h-held.tmp"
    with hidden.open("wb", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(content)
        hidden.rename(spool / "h-held.jsonl")
        yield


def _journals(spool: Path) -> None:
    """A load that failed, one that succeeded, one that was cancelled, and one that the host's last boot ended.

    Each of a model of its own: the order in which the daemon finds them is the file system's.
    """
    stages = [
        {"event": "stage_begin", "time": T + 1, "stage": "tokenizer"},
        {"event": "stage_end", "time": T + 2, "stage": "tokenizer", "rss": 1 << 30, "anonymous": 1 << 29},
        {"event": "stage_begin", "time": T + 2, "stage": "weights"},
    ]
    weights = {"event": "stage_end", "time": T + 8, "stage": "weights", "rss": 6 << 30, "anonymous": 5 << 30}
    ends = {
        "a-1": [*stages, {"event": "end", "time": T + 5, "outcome": "failed", "reason": "file_corrupted"}],
        "a-2": [*stages, weights, {"event": "end", "time": T + 9, "outcome": "loaded"}],
        "a-3": [{"event": "end", "time": T + 0.5, "outcome": "cancelled"}],
        "a-4": stages,
    }
    models = {"a-1": "aya", "a-2": "nllb", "a-3": "minilm", "a-4": "t5"}
    for file_id, events in ends.items():
        boot = {"boot_id": "another"} if file_id == "a-4" else {}
        drop(spool, file_id, lines(begin(file_id, time=T, target="app", model=models[file_id], **boot), *events))
