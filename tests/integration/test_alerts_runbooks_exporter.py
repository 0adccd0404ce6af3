"""The runbooks' commands that ask the exporter, run against a real one that has seen a failed load."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from alerts_folder import RUNBOOKS, Block, blocks

BLOCKS = [block for block in blocks() if block.kind == "exporter"]
EVIDENCE = "After the incident"
BIN = Path(sys.executable).parent

FAILED_LOAD = """
from model_load_exporter import track_load
with track_load("nllb-200", path={path!r}, target="app-prod") as load, load.stage("weights"):
    open({path!r} + "/model.safetensors")
"""

EXPECTED = {
    "/api/v1/loads": r"file_missing|No such file or directory",
    "probe --config.file": r"nllb-200: failed \(\w+",
    "/-/healthy": r"^200 in 0\.",
    "check-config": r"good",
    "^model_probe": r'model_probe_failure\{reason="\w+"\} 1',
    "^model_canary_": r"model_canary_success\S* 0",
    "^model_loaded": r"model_load_failure_timestamp_seconds",
    "model_load_exporter_build_info": r"model_load_exporter_build_info\{",
    "evidence_available": r"evidence_available\{",
    "verify ": r"file_missing|exit status 1",
    "bad:": r"^bad: ",
    "^model_artifact_(valid": r"^model_artifact_valid\S* 0",
    "^model_artifact_(verified": r"^model_artifact_verified_timestamp",
    "model_artifact_verification_(": r"^model_artifact_verification_stuck\S* 0",
    "without a verdict": r"none since the last verdict",
    "duration_threshold": r"model_load_duration_threshold_seconds\S* 60",
    "model_memory_": r"model_memory_threshold_bytes",
    "^model_service_'": r'^model_service_up\{target="app-prod"\} 0',
    "^model_service_(up": r'^model_service_up\{target="app-prod"\} 0',
    "_total)' | grep -v 'failures": r'cause="refused"\S* [1-9]',
    'cause="(refused|reset)"': r'cause="refused"\S* [1-9]',
    "^model_service_loading": r"^model_service_loading_unresponsive_seconds_total",
    "service_loading_unresponsive)": r"^model_service_loading_unresponsive_seconds_total",
    "^model_load_(in_progress|failure": r"^model_load_failure_timestamp_seconds\S*file_missing\S* 20",
    "^model_load_(in_progress|progress_t|last_d)": r"^model_load_last_duration_seconds",
    "^model_process_deaths_total": r"none was seen to die",
    '"$URL"; echo "curl': r"^000 in 0.*\ncurl: exit 7",
}
"""A part of a command, and what it prints where a load has failed and the canary fails too."""


@dataclass(frozen=True)
class Exporter:
    """A running exporter, and the variables that the runbooks ask to be set."""

    url: str
    folder: Path
    environment: dict[str, str]

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return str(answer.read().decode())


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter whose one model has no weights and an empty tokenizer; a service and the canary could not load it."""
    folder = tmp_path_factory.mktemp("exporter")
    model = folder / "nllb-200"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "m2m_100"}')
    (model / "tokenizer.json").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}/health"
    config = folder / "config.yml"
    config.write_text(
        f"models: [{{name: nllb-200, path: {model}, loader: safetensors, canary: {{interval: 15m}}, "
        "verify: {interval: 1s}}]\n"
        f"services: [{{target: app-prod, url: '{nobody}', interval: 1s, models: {{nllb-200: 1}}}}]\n"
    )
    spool, log = folder / "spool", folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                BIN / "model-load-exporter", "serve", f"--config.file={config}", "--web.listen-address=127.0.0.1:0",
                f"--spool.dir={spool}", f"--state.dir={folder / 'state'}",
            ],
            stdout=out, stderr=out,
        )  # fmt: skip

    def address() -> str:
        assert process.poll() is None, log.read_text()
        found = re.search(r"http://127\.0\.0\.1:[1-9]\d*", log.read_text())
        return found[0] if found else ""

    def shows(path: str, text: str) -> bool:
        try:
            return text in running.get(path)
        except urllib.error.URLError:
            return False

    try:
        wait_for(lambda: bool(address()), "the exporter tells its address")
        running = Exporter(
            address(),
            folder,
            {
                "EXPORTER": address(),
                "MODEL": "nllb-200",
                "SERVICE": "app-prod",
                "URL": nobody,
                "CONFIG": str(config),
                "MODEL_DIR": str(model),
                "MODEL_LOAD_EXPORTER_SPOOL": str(spool),
                "PATH": f"{BIN}:{os.environ['PATH']}",
            },
        )
        failed = subprocess.run(
            [sys.executable, "-c", FAILED_LOAD.format(path=str(model))],
            env=os.environ | running.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert "FileNotFoundError" in failed.stderr
        wait_for(lambda: shows("/metrics", 'reason="file_missing",stage="weights"'), "the failed load is on record")
        wait_for(lambda: shows("/metrics", 'model_service_up{target="app-prod"} 0'), "the service is asked")
        wait_for(lambda: shows("/probe?model=nllb-200", "model_probe_failure{"), "the canary has failed")
        wait_for(lambda: shows("/metrics", 'model_artifact_valid{model="nllb-200"} 0'), "the files are verified")
        yield running
    finally:
        process.terminate()
        process.wait(30)


def identify(block: Block) -> str:
    return f"{block.runbook}-{block.section}".replace(" ", "_")


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.section != EVIDENCE], ids=identify)
def test_block_runs_against_the_exporter(block: Block, exporter: Exporter) -> None:
    """Each command that asks the exporter runs as it is printed, and prints what the runbook goes on about."""
    done = subprocess.run(
        ["bash", "-u", "-c", block.script],
        cwd=exporter.folder,
        env=os.environ | exporter.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.stderr == ""
    for part, shows in EXPECTED.items():
        if part in block.script:
            assert re.search(shows, done.stdout, re.MULTILINE), done.stdout


def test_loads_are_kept_as_evidence(exporter: Exporter) -> None:
    """The last command of the incident writes the loads to a file."""
    block = next(block for block in BLOCKS if block.section == EVIDENCE)
    subprocess.run(
        ["bash", "-u", "-c", block.script], cwd=exporter.folder, env=os.environ | exporter.environment, check=True
    )
    (kept,) = exporter.folder.glob("loads-nllb-200-*.json")
    assert '"file_missing"' in kept.read_text()


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda runbook: runbook.stem)
def test_runbook_is_served_with_its_anchors(runbook: Path, exporter: Exporter) -> None:
    """Where the alerts' runbook_url leads, the exporter has the runbook, and a place for each reason."""
    page = exporter.get(f"/runbooks/{runbook.stem}")
    for section in re.findall(r"^### (\w+)$", runbook.read_text(), re.MULTILINE):
        assert f'id="{section}"' in page
