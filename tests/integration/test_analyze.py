"""`analyze` as a command: exits, sources, forms, and what a new user types wrong."""

import contextlib
import errno
import gzip
import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

FAILED = "2026-01-31T10:00:05Z INFO Loading checkpoint shards:  50%\nOSError: [Errno 28] No space left on device\n"
GOOD = "2026-01-31T10:00:05Z INFO model loaded in 3.0s\n"


def _run(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "model_load_exporter", "analyze", *map(str, arguments)],
        input=stdin, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def failed(tmp_path: Path) -> Path:
    """A log of a load that failed."""
    log = tmp_path / "failed.log"
    log.write_text(FAILED)
    return log


def test_the_exit_status_tells_whether_a_cause_was_found(failed: Path, tmp_path: Path) -> None:
    """1 with a cause, 0 without."""
    good = tmp_path / "good.log"
    good.write_text(GOOD)
    assert _run(failed).returncode == 1
    assert _run(good).returncode == 0


def test_the_text_leads_with_the_cause(failed: Path) -> None:
    """The first line has reason, stage and confidence; the evidence names file and line."""
    done = _run(failed)
    assert done.stdout.startswith("disk_full at stage weights (confidence high")
    assert f"{failed}:2" in done.stdout
    assert done.stderr == ""


def test_json_is_one_document(failed: Path) -> None:
    """--json prints the contract's shape and nothing else."""
    found = json.loads(_run("--json", failed).stdout)
    assert (found["schema"], found["reason"], found["stage"]) == (1, "disk_full", "weights")
    assert found["evidence"][0]["line"] == 2


def test_markdown_is_a_report(failed: Path) -> None:
    """--markdown begins with a headline that names the reason."""
    assert _run("--markdown", failed).stdout.startswith("# Model load: `disk_full` at stage weights\n")


def test_standard_input_and_gzip_are_logs(failed: Path, tmp_path: Path) -> None:
    """`-` reads the pipe; a compressed file is known by its content."""
    packed = tmp_path / "rotated.log.1"
    packed.write_bytes(gzip.compress(failed.read_bytes()))
    assert json.loads(_run("--json", packed).stdout)["reason"] == "disk_full"
    piped = json.loads(_run("--json", "-", stdin=FAILED.encode()).stdout)
    assert (piped["reason"], piped["evidence"][0]["source"]) == ("disk_full", "-")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "required: LOG"),
        (["/no/such/file.log"], "/no/such/file.log"),
        (["/"], "/"),
        (["-", "-"], "standard input can be read once"),
        (["--since", "yesterday", "-"], '--since: "yesterday" is no time'),
        (["--timezone", "Mars/Olympus", "-"], '--timezone: no zone "Mars/Olympus"'),
        (["--boot-time", "soon", "-"], '--boot-time: "soon" is no time'),
        (["--engine", "grep", "-"], "grep"),
        (["--json", "--markdown", "-"], "not allowed with"),
    ],
)
def test_wrong_usage_is_told_in_a_sentence(arguments: list[str], says: str) -> None:
    """Exit status 2, the last line says what is wrong, and there is no traceback."""
    done = _run(*arguments)
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n\n", b"\0" * 4096, bytes(range(256)) * 64, b"\xff\xfe" * 999, b"Error: " * 100_000, b"[" * 100_000],
)
def test_garbage_is_no_failure(content: bytes, tmp_path: Path) -> None:
    """Nothing, binary data and one endless line are read to their end, without a crash."""
    log = tmp_path / "garbage.log"
    log.write_bytes(content)
    done = _run("--json", log)
    assert done.stderr == ""
    assert json.loads(done.stdout)["reason"] in ("none", "unknown")


@pytest.mark.parametrize("engine", ["std", "re2", "hyperscan"])
def test_every_engine_gives_the_same_answer(engine: str, failed: Path) -> None:
    """What finds the lines does not change what they mean."""
    if engine != "std":
        pytest.importorskip({"re2": "re2", "hyperscan": "hyperscan"}[engine])
    found = json.loads(_run("--json", "--engine", engine, failed).stdout)
    assert found == json.loads(_run("--json", failed).stdout)


def test_endless_different_failures_take_bounded_memory(tmp_path: Path) -> None:
    """What is kept does not grow with the log: 10,000 different ends, in stages and attempts."""
    log = tmp_path / "long.log"
    with log.open("w") as file:
        for number in range(10_000):
            word = "".join(chr(97 + (number >> shift) % 16) for shift in (0, 4, 8, 12))
            file.write(f"2026-01-31T10:00:00Z INFO systemd[1]: Started {word}.\nloading file tokenizer_{word}\n")
            file.write(f"app-{word} exited with code 1\n")
        file.write(FAILED)
    script = (
        "import re, sys\n"
        "from model_load_exporter import cli\n"
        "status = cli.main(['analyze', '--json', sys.argv[1]])\n"
        # Its own: ru_maxrss begins with what the process had that started it.
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr)\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(log)], capture_output=True, timeout=120, check=False)
    found = json.loads(done.stdout)
    assert found["reason"] == "disk_full"
    assert len(found["timeline"]) <= 40
    assert int(done.stderr) < 120 * 1024


def test_a_bar_shows_that_a_long_log_is_being_read() -> None:
    """On a terminal, after a second, and gone at the end; never in the output."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "model_load_exporter", "analyze", "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=slave,
    )  # fmt: skip
    os.close(slave)
    assert process.stdin is not None
    seen = b""
    deadline = time.monotonic() + 30
    os.set_blocking(master, False)
    while b"analyzing" not in seen and time.monotonic() < deadline:
        process.stdin.write(b"a line that says nothing\n" * 4000)
        with contextlib.suppress(BlockingIOError):
            seen += os.read(master, 4096)
    output, _ = process.communicate(FAILED.encode(), timeout=60)
    os.set_blocking(master, True)
    try:
        while chunk := os.read(master, 4096):
            seen += chunk
    except OSError as error:
        assert error.errno == errno.EIO  # the other side of a terminal is closed  # noqa: PT017
    os.close(master)
    assert b"analyzing" in seen
    assert seen.endswith(b"\r\x1b[K")
    assert output.startswith(b"disk_full")
    assert b"analyzing" not in output


def test_a_reader_that_leaves_is_no_error(failed: Path) -> None:
    """`analyze ... | head -1` ends quietly."""
    command = f'{sys.executable} -m model_load_exporter analyze "{failed}" | head -1'
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=60, check=False)
    assert done.stderr == b""
    assert done.stdout.startswith(b"disk_full")
