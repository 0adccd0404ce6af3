"""The connection reset of examples/connection_reset: its roots told apart by metrics, and gone with each fix.

Once every day, three times with --full. How fast health answers come is a figure that the script prints.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPRODUCE = ROOT / "examples/connection_reset/reproduce.py"

ROOTS = {
    "oom": "oom-kill",
    "health": "health-check-blocked",
    "uvicorn": "worker-timeout",
    "gunicorn": "worker-timeout",
}
CASES = [
    pytest.param(name, marks=pytest.mark.root) if name in ("oom", "uvicorn") else name for name in ROOTS
]  # limits of a container can be set as root alone
UNANSWERED = {"refused", "reset", "timeout"}


def reproduce(name: str) -> dict[str, dict[str, Any]]:
    """One run of one case: what came of it, before and after the fix."""
    done = subprocess.run(
        [sys.executable, REPRODUCE, "--case", name, "--json"], capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout, done.stderr
    runs = {run["phase"]: run for run in json.loads(done.stdout)["runs"]}
    if "skipped" in runs["before"]:
        pytest.skip(runs["before"]["skipped"])
    return runs


def judge(name: str) -> None:
    """The root by the series alone, clients without an answer before, and none after."""
    runs = reproduce(name)
    before, after = runs["before"], runs["after"]
    assert before["root"] == ROOTS[name], before
    assert sum(before["metrics"]["failures"].values()) >= 1
    # By then the clients had noticed.
    assert UNANSWERED & (before["health"].keys() | before["clients"].keys()), before
    assert after["root"] == "none", after
    assert after["metrics"]["attempts"] == 1
    assert after["metrics"]["loaded"] >= 1
    assert after["unanswered"] == 0, after
    assert after["clients"].keys() == {"ok"}
    assert after["health"].keys() <= {"ok", "busy"}
    # While it loaded, health was asked and answered.
    assert after["health"]["busy"] > 0


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", CASES)
def test_a_root_is_told_apart_and_fixed(name: str) -> None:
    """The exporter's series name the root; with the fix every request is answered."""
    judge(name)


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("run", [2, 3])
@pytest.mark.parametrize("name", CASES)
def test_the_same_again(name: str, run: int) -> None:
    """No luck: the same twice more."""
    judge(name)
