"""Scan in a process of its own: bounded memory, pipes, interruption, another user, the terminal's standard input."""

import bz2
import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support.wait import until

SCAN = r"""
import re, sys
from pathlib import Path
from model_load_exporter.analysis.scan import SourceError, scan
from model_load_exporter.classify.patterns import PATTERNS
problems = []
for line in scan(sys.argv[2:], PATTERNS, engine=sys.argv[1] or None, problem=lambda error: problems.append(str(error))):
    print(line.number, line.text[:60], len(line.following), flush=True)
print("problems", problems)
print("peak", re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
"""


def scan(*sources: str, engine: str = "", **options: Any) -> list[str]:
    command = [sys.executable, "-c", SCAN, engine, *sources]
    return subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=120, check=True, **options
    ).stdout.splitlines()


def peak(lines: list[str]) -> int:
    """Kilobytes."""
    return int(lines[-1].removeprefix("peak "))


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> int:
    """The peak of a scan of nearly nothing, in kilobytes."""
    path = tmp_path_factory.mktemp("ground") / "a.log"
    path.write_bytes(b"Killed\n")
    return peak(scan(str(path)))


@pytest.mark.parametrize("engine", ["", "std"])
def test_a_small_file_that_unpacks_to_much_takes_no_memory(tmp_path: Path, ground: int, engine: str) -> None:
    """128 MiB of one line, and a wording after it."""
    gz, bz = tmp_path / "bomb.gz", tmp_path / "bomb.bz2"
    with gzip.open(gz, "wb") as file:
        for _ in range(128):
            file.write(b"x" * (1 << 20))
        file.write(b"\nCUDA out of memory\n")
    bz.write_bytes(bz2.compress(b"y" * (64 << 20) + b"\nCUDA out of memory\n"))
    lines = scan(str(gz), str(bz), engine=engine)
    assert lines[:2] == ["2 CUDA out of memory 0"] * 2
    assert peak(lines) - ground < 30_000


def test_a_log_of_many_lines_takes_no_memory(tmp_path: Path, ground: int) -> None:
    """Neither those that fit nor those that do not are kept."""
    path = tmp_path / "a.log"
    path.write_bytes(b"INFO all is well\nCUDA out of memory\n" * 40_000)
    lines = scan(str(path))
    assert len(lines) == 40_002
    assert peak(lines) - ground < 15_000


def test_pipes_are_read_until_they_end(tmp_path: Path) -> None:
    """A named one and standard input, in parts, compressed or not."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(
        [sys.executable, "-c", SCAN, "", str(fifo), "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        with fifo.open("wb", buffering=0) as writer:
            for part in (b"CUDA o", b"ut of mem", b"ory\nnext\n"):
                writer.write(part)
        child.stdin.write(gzip.compress(b"one\nCUDA out of memory\n"))
        child.stdin.close()
        assert child.stdout is not None
        said = child.stdout.read().decode().splitlines()
    assert said[:3] == ["1 CUDA out of memory 1", "2 CUDA out of memory 0", "problems []"]


def test_standard_input_that_is_closed_is_told() -> None:
    """A daemon's child may have none."""
    lines = scan("-", preexec_fn=lambda: os.close(0))
    assert lines[0] == "problems ['standard input: Bad file descriptor']"


@pytest.mark.root
def test_a_file_of_another_user_is_told(tmp_path: Path) -> None:
    """With the user's number and what to do."""
    path = tmp_path / "a.log"
    path.write_bytes(b"Killed\n")
    path.chmod(0o600)
    script = (
        "import os, sys; from model_load_exporter.analysis.scan import scan, SourceError\n"
        "from model_load_exporter.classify.patterns import PATTERNS\n"
        "found = scan([sys.argv[1]], PATTERNS, engine='std'); os.setuid(65534)\n"
        "try: list(found)\n"
        "except SourceError as error: print(error)"
    )
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    run = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert run.stdout == f"{path}: user 65534 may not read it: run as root or as its owner, or copy it\n"


@pytest.mark.parametrize("endless", ["fifo", "bomb"])
def test_an_interrupt_ends_it_at_once(tmp_path: Path, endless: str) -> None:
    """Ctrl-C, while it waits for a writer and in the middle of a file that unpacks for long."""
    path = tmp_path / "endless"
    if endless == "fifo":
        os.mkfifo(path)
    else:
        path.write_bytes(gzip.compress(b"CUDA out of memory\n" + b"x\n" * (8 << 20), 9) * 400)
    command = [sys.executable, "-c", SCAN, "std", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        try:
            if endless == "bomb":
                assert child.stdout is not None
                assert child.stdout.readline() == b"1 CUDA out of memory 12\n"
            else:
                syscall = Path(f"/proc/{child.pid}/syscall")
                until(lambda: syscall.read_text().startswith("257 "), 30, "it does not wait in openat for a writer")
            begun = time.monotonic()
            child.send_signal(signal.SIGINT)
            _, errors = child.communicate(timeout=30)
            assert time.monotonic() - begun < 5
            assert errors.rstrip().endswith(b"KeyboardInterrupt")
        finally:
            child.kill()
