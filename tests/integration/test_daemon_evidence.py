"""`--evidence.disable`: the witness does without a source, and says so."""

import signal
from pathlib import Path

import pytest

from model_load_exporter.witness.sources import SOURCES
from support.daemon import running
from support.service import EXIT_STATUS_IS_TOLD, serving

LOADING = """
import sys
from model_load_exporter import track_load
with track_load("nllb") as load, load.stage("weights"):
    print("open")
    sys.stdin.readline()
"""


@pytest.mark.parametrize("source", SOURCES)
def test_one_source_less(tmp_path: Path, source: str) -> None:
    """What is switched off is not available; the others are as they were, and a death is still seen."""
    with running(tmp_path, flags=[f"--evidence.disable={source}"]) as daemon:
        available = daemon.series().all("model_load_exporter_evidence_available")
        found = {dict(labels)["source"]: value for labels, value in available.items()}
        assert found.keys() == set(SOURCES)
        assert found[source] == 0
        with serving(LOADING, daemon.spool) as service:
            service.says("open")
            daemon.wait_for(1, "model_load_in_progress", model="nllb")
            service.kill(signal.SIGKILL)
            if EXIT_STATUS_IS_TOLD:
                service.reap()
            told = source != "exit_status" or found["proc_connector"]
            reason = "killed" if told else "process_died"
            daemon.wait_for(1, "model_load_failures_total", model="nllb", reason=reason)
        assert ("model_host_oom_kills_total" in daemon.series().names()) == bool(found["kernel_log"])


def test_without_any_source(tmp_path: Path) -> None:
    """With no evidence at all a death is seen, and nothing is guessed about it."""
    with running(tmp_path, flags=[f"--evidence.disable={source}" for source in SOURCES]) as daemon:
        assert daemon.series().sum("model_load_exporter_evidence_available") == 0
        with serving(LOADING, daemon.spool) as service:
            service.says("open")
            daemon.wait_for(1, "model_load_in_progress", model="nllb")
            service.kill(signal.SIGSEGV)
            if EXIT_STATUS_IS_TOLD:
                service.reap()
            daemon.wait_for(1, "model_load_failures_total", model="nllb", reason="process_died")
        assert daemon.series().sum("model_load_failures_total", model="nllb") == 1
