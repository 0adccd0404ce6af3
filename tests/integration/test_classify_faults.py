"""Over a hundred faults of the real torch, safetensors, transformers and hub client, each to be given its reason."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model_load_exporter.classify.chain import links_from_json
from model_load_exporter.classify.exceptions import classify, one_line
from model_load_exporter.classify.text import classify_text

ROOT = Path(__file__).resolve().parents[2]
FAULTS = Path(__file__).with_name("classify_faults")
PYTHON = ROOT / ".venv-models" / "bin" / "python"

ONLY_FILES_TELL = {
    "safetensors_empty",
    "safetensors_lfs_pointer",
    "safetensors_unreadable",
    "torch_empty",
    "torch_truncated",
    "transformers_config_empty",
    "transformers_config_missing",
    "transformers_empty_weights",
    "transformers_folder_unsearchable",
    "transformers_index_broken",
    "transformers_lfs_pointer",
    "transformers_parent_unsearchable",
    "transformers_weights_unreadable",
}
"""Faults whose words name another reason, or none."""

Outcomes = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Outcomes]:
    """What one child of the models' interpreter met; its files stay until the last test has looked at them."""
    if not PYTHON.exists():
        pytest.skip("no .venv-models: `make test` builds it")
    with tempfile.TemporaryDirectory(prefix="model-load-faults-") as folder:
        os.chmod(folder, 0o755)  # pytest's own folders may not be entered by other users, and some faults are theirs
        child = subprocess.run(
            [PYTHON, FAULTS, folder],
            capture_output=True, text=True, check=False, timeout=150,
            env=os.environ | {"PYTHONPATH": str(ROOT / "exporter")},
        )  # fmt: skip
        assert child.returncode == 0, child.stderr[-3000:]
        yield json.loads(child.stdout)


def test_each_fault_is_given_its_reason_where_it_happens(outcomes: Outcomes) -> None:
    """The service that met the fault names it right."""
    wrong = {
        name: (outcome["expected"], outcome["here"], outcome["message"])
        for name, outcome in outcomes.items()
        if outcome["here"] != outcome["expected"]
    }
    assert wrong == {}


def test_a_machine_provokes_nearly_all_of_them(outcomes: Outcomes) -> None:
    """Only faults that need root or a mount are left out, so that an empty matrix does not pass."""
    assert len(outcomes) >= 95
    if os.geteuid() == 0:
        assert "transformers_folder_unsearchable" in outcomes


def test_a_chain_is_judged_alike_in_another_process(outcomes: Outcomes) -> None:
    """The chain as JSON tells the daemon what it told the service, but for what only the service's user can see."""
    differing = {
        name: (outcome["here"], there)
        for name, outcome in outcomes.items()
        if (there := classify(links_from_json(outcome["links"]), outcome["path"]).reason) != outcome["here"]
    }
    assert {here for here, _ in differing.values()} <= {"permission_denied"}
    assert set(differing) <= {
        "safetensors_unreadable", "transformers_folder_unsearchable", "transformers_parent_unsearchable",
        "transformers_weights_unreadable",
    }  # fmt: skip


def test_messages_are_for_a_log_line(outcomes: Outcomes) -> None:
    """Each fault's message is one line of at most 500 characters, and none is empty."""
    for name, outcome in outcomes.items():
        message = outcome["message"]
        assert 0 < len(message) <= 500, name
        assert message.isprintable(), name


def test_a_message_shows_what_decided(outcomes: Outcomes) -> None:
    """torch's long advice is cut around the words that gave the reason."""
    assert "posix.system" in outcomes["torch_malicious_pickle"]["message"]
    assert "Settings" in outcomes["torch_unlisted_class"]["message"]
    assert "Git LFS pointer" in outcomes["safetensors_lfs_pointer"]["message"]


def test_a_printed_traceback_is_judged_by_its_words(outcomes: Outcomes) -> None:
    """From standard error alone each fault keeps its reason, but for those that only a look at the files can tell."""
    told = {name: classify_text(outcome["printed"]) for name, outcome in outcomes.items()}
    wrong = {
        name: verdict
        for name, verdict in told.items()
        if (verdict.reason if verdict else None) != outcomes[name]["expected"]
    }
    assert set(wrong) <= ONLY_FILES_TELL, wrong


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import a_package_nobody_has", "dependency_missing"),
        ("bytearray(1 << 60)", "host_memory_error"),
        ("open('/nowhere/model.safetensors')", "file_missing"),
        ("open('/dev/full', 'w', buffering=1).write('x\\n')", "disk_full"),
        ("import faulthandler, os; faulthandler.enable(); os.kill(os.getpid(), 11)", "segfault"),
        ("import faulthandler, os; faulthandler.enable(); os.kill(os.getpid(), 7)", "bus_error"),
        ("import faulthandler, os; faulthandler.enable(); os.abort()", "aborted"),
        ("import faulthandler, os; faulthandler.enable(); os.kill(os.getpid(), 4)", "illegal_instruction"),
        ("import ctypes; ctypes.CDLL('libnobody.so.1')", "dependency_missing"),
        ("import json; json.loads('{')", "config_invalid"),
        ("import pickle; pickle.loads(b'version https')", "lfs_pointer"),
        ("raise AssertionError('of tomorrow')", "unknown"),
    ],
)  # fmt: skip
def test_a_childs_standard_error_is_understood(code: str, reason: str) -> None:
    """What a real child leaves on standard error when it dies is given its reason."""
    child = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=False)
    assert child.returncode != 0
    told = classify_text(child.stderr)
    assert told is not None, child.stderr
    assert told.reason == reason
    assert told.message == one_line(told.message)


def test_the_shell_tells_of_a_killed_child() -> None:
    """A shell's `Killed` line is the only trace that a SIGKILL leaves in a log."""
    child = subprocess.run(
        ["bash", "-c", "sh -c 'kill -9 $$'; exit 1"], stderr=subprocess.PIPE, text=True, check=False
    )  # fmt: skip
    told = classify_text(child.stderr)
    assert told is not None, child.stderr
    assert told.reason == "killed"


def test_a_quiet_child_left_no_failure() -> None:
    """A child that warned and went on is not called a failure."""
    code = "import warnings; warnings.warn('Not enough free disk space to download the file.')"
    child = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=True)
    assert "disk space" in child.stderr
    assert classify_text(child.stderr) is None
