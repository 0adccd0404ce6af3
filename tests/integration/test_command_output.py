"""What becomes of a command whose output nobody takes."""

import os
import subprocess

import pytest

from support.daemon import COMMAND

VERBS = [["doctor"], ["doctor", "--json"], ["analyze", "/etc/hostname"], ["verify", "/etc/hostname"]]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_a_full_disk_is_told_in_one_line(verb: list[str]) -> None:
    """No traceback, no talk of a bug, and no success."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run([COMMAND, *verb], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.decode() == "model-load-exporter: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_a_reader_that_has_seen_enough(verb: list[str]) -> None:
    """As with `| head -0`: silence, and the verdict by the exit status all the same."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen([COMMAND, *verb], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(60) == subprocess.run([COMMAND, *verb], capture_output=True, check=False).returncode


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_closed_streams(verb: list[str], closed: str) -> None:
    """The verdict by the exit status, and no word of an error of ours."""
    whole = subprocess.run([COMMAND, *verb], capture_output=True, check=False)
    line = f'exec "$0" "$@" {closed}'
    done = subprocess.run(["sh", "-c", line, COMMAND, *verb], capture_output=True, check=False)
    assert done.returncode == whole.returncode
    assert b"internal error" not in done.stderr
