"""What real children leave on standard error when they die. The libraries' own faults stand in test_fault_matrix.py."""

import subprocess
import sys

import pytest

from model_load_exporter.classify.exceptions import one_line
from model_load_exporter.classify.text import classify_text


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
