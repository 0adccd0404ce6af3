"""What `run` alone knows: how its child ended, told to a daemon that may not look for itself."""

import signal
import sys
from pathlib import Path

import pytest

from model_load_exporter.witness.sources import SOURCES
from support.daemon import running
from support.supervised import run

DYING = """
import os, sys
from model_load_exporter import track_load
with track_load("nllb") as load, load.stage("weights"):
    number = int(sys.argv[1])
    os._exit(3) if number == 0 else os.kill(os.getpid(), number)
"""

REASONS = {
    0: "process_died",
    signal.SIGSEGV: "segfault",
    signal.SIGBUS: "bus_error",
    signal.SIGABRT: "aborted",
    signal.SIGKILL: "killed",
}


@pytest.mark.parametrize("number", REASONS, ids=str)
def test_the_parents_word_is_enough(tmp_path: Path, number: int) -> None:
    """With every other source switched off the reason is as sure as with all of them."""
    others = [f"--evidence.disable={source}" for source in SOURCES if source != "parent_status"]
    with running(tmp_path, flags=others) as daemon:
        run(sys.executable, "-c", DYING, str(int(number)), environment={"MODEL_LOAD_EXPORTER_SPOOL": str(daemon.spool)})
        daemon.wait_for(1, "model_load_failures_total", model="nllb", reason=REASONS[number])
        assert daemon.series().sum("model_load_failures_total", model="nllb") == 1


def test_without_it_nothing_is_guessed(tmp_path: Path) -> None:
    """The same death with this source switched off, too."""
    with running(tmp_path, flags=[f"--evidence.disable={source}" for source in SOURCES]) as daemon:
        run(sys.executable, "-c", DYING, "11", environment={"MODEL_LOAD_EXPORTER_SPOOL": str(daemon.spool)})
        daemon.wait_for(1, "model_load_failures_total", model="nllb", reason="process_died")
        assert daemon.series().sum("model_load_failures_total", model="nllb") == 1
