"""The harness for hours of fuzzing runs at all: hundreds of inputs over every parser."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).with_name("atheris_fuzz.py")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no build for this Python (3.11 to 3.13 have one)"
)


def test_a_short_run_over_all_parsers_finds_nothing(tmp_path: Path) -> None:
    """libFuzzer's mutations, guided by coverage, under one fixed seed; what earlier runs found new is not run again."""
    done = subprocess.run(
        [sys.executable, HARNESS, "all", "-runs=600", "-seed=1", "-verbosity=0", "-max_len=4096"],
        cwd=tmp_path, capture_output=True, text=True, timeout=150, check=False,
        env=os.environ | {"FUZZ_CORPUS": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
