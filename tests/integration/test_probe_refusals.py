"""`probe` of files that must not be loaded, and of command lines that say nothing to load."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from canary_cases import MODELS, PYTHON

from support.daemon import COMMAND

MAKE_MALICIOUS = """
import os, sys, torch
class Runs:
    def __reduce__(self): return os.system, ("true",)
torch.save({"weight": Runs()}, sys.argv[1])
"""

MAKE_WHOLE = "import sys, torch; torch.save(torch.nn.Linear(2, 2), sys.argv[1])"

LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "4d" * 32 + "\nsize 268435456\n"

ADVICE = ("Re-running", "will likely succeed", "trusted source", "if you trust", "add_safe_globals")


def probe(*arguments: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, "probe", *arguments], capture_output=True, text=True, check=False, timeout=170)


def refused(file: Path) -> str:
    """The message of the JSON document; no advice to load it all the same is in there, nor in the text."""
    document = probe(file, "--python", PYTHON, "--json").stdout
    text = probe(file, "--python", PYTHON).stdout
    message = json.loads(document)["message"]
    assert isinstance(message, str)
    assert f"why:       {message}" in text
    assert not [words for words in ADVICE if words in document + text]
    return message


def test_a_malicious_pickle_names_what_it_would_run(tmp_path: Path) -> None:
    """As `verify` does; torch.load's word for it follows."""
    file = tmp_path / "model.pt"
    subprocess.run([PYTHON, "-c", MAKE_MALICIOUS, file], check=True)

    message = refused(file)
    assert message.startswith(f"{file}: holds a pickle that imports posix.system, which runs code")
    assert message.endswith("unsupported GLOBAL posix.system whose module posix is blocked.)")


def test_a_whole_model_names_the_class_that_was_refused(tmp_path: Path) -> None:
    """The file runs no code by itself, so that only torch.load's word is there: its one line."""
    file = tmp_path / "model.pt"
    subprocess.run([PYTHON, "-c", MAKE_WHOLE, file], check=True)

    assert refused(file) == (
        "Weights only load failed. WeightsUnpickler error: Unsupported global: "
        "GLOBAL torch.nn.modules.linear.Linear was not an allowed global by default."
    )


def test_a_pointer_that_torch_reads_is_told_as_one(tmp_path: Path) -> None:
    """By its size, before torch.load's word for it."""
    file = tmp_path / "model.pt"
    file.write_text(LFS_POINTER)

    assert refused(file).startswith(f"{file}: the file is a Git LFS pointer of {len(LFS_POINTER)} bytes")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--loader", "foo"], "transformers, torch, safetensors, onnx, tflite, gguf and python:module:callable"),
        (["--loader", ""], "transformers, torch"),
        (["--loader", "python:x"], "python:module:callable"),
        (["--timeout", "0"], "no time at all"),
        (["--timeout", "soon"], "is not a duration"),
        (["--memory-limit", "0"], "at least 64MiB"),
        (["--memory-limit", "much"], "is not a size"),
    ],
    ids=["loader", "no-loader", "no-callable", "no-time", "no-duration", "no-memory", "no-size"],
)
def test_a_mistake_of_the_command_line_is_no_fault_of_the_model(flags: list[str], told: str) -> None:
    """Exit status 2 and one line that begins with the flag."""
    done = probe(MODELS / "minilm", *flags)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"model-load-exporter: {flags[0]} ")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


def test_a_loader_of_ones_own_is_found_from_here(tmp_path: Path) -> None:
    """Though the load runs in another folder."""
    (tmp_path / "own.py").write_text("def load():\n    return 1\n")
    command = [COMMAND, "probe", tmp_path, "--loader", "python:./own.py:load"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr


def test_without_variants_only_the_interpreters_are_compared(tmp_path: Path) -> None:
    """Nothing is said of variants that nobody tried."""
    (tmp_path / "own.py").write_text("def load():\n    return 1\n")
    (tmp_path / "python").symlink_to(sys.executable)
    loader = f"python:{tmp_path}/own.py:load"
    done = probe(tmp_path, "--loader", loader, "--python", sys.executable, "--python", tmp_path / "python", "--json")

    text = json.loads(done.stdout)["recommendation"]["text"]
    assert f"Under {tmp_path / 'python'} it loads too" in text
    assert "no variant" not in text


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("flags", ["", " --stages"])
def test_a_closed_stream_changes_no_answer(tmp_path: Path, closed: str, flags: str) -> None:
    """As a supervisor starts it: no complaint of a None, and the exit status of the load."""
    (tmp_path / "own.py").write_text("def load():\n    return 1\n")
    line = f'"$0" probe "$1" --loader "python:$1/own.py:load"{flags} {closed}'
    done = subprocess.run(["sh", "-c", line, COMMAND, tmp_path], capture_output=True, check=False, timeout=60)

    assert (done.returncode, done.stderr) == (0, b"")
    assert bool(done.stdout) == (">&-" not in closed.replace("2>&-", ""))
