"""What the tests of the hooks share: a service under the models' interpreter, and what it told."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from model_load_exporter.attempt import LoadAttempt
from support.recording import attempts

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-models/bin/python"
MODELS = ROOT / ".run/models"

PRELUDE = """
import os, sys, warnings
warnings.simplefilter("ignore")
from model_load_exporter import instrument, track_load
instrument()
"""


def serve(code: str, spool: Path, *arguments: object, prelude: str = PRELUDE, **environment: str) -> list[LoadAttempt]:
    """Runs the code as a service with instrument() to its good end; the attempts that it told, by their begin."""
    done = subprocess.run(
        [PYTHON, "-c", prelude + code, *map(str, arguments)],
        env={
            "PATH": os.environ["PATH"], "HOME": str(spool), "MODEL_LOAD_EXPORTER_SPOOL": str(spool),
            "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", **environment,
        },
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return attempts(spool)


def stages(attempt: LoadAttempt) -> list[str]:
    """The names of its stages, by their begin; all have ended."""
    assert all(stage.seconds is not None for stage in attempt.stages)
    return [stage.name for stage in attempt.stages]


def told(attempt: LoadAttempt) -> tuple[str, str | None, str | None]:
    """(model, outcome, reason)."""
    return attempt.begin.model, attempt.outcome, attempt.reason


def events(spool: Path, kind: str) -> list[dict[str, Any]]:
    """Every event of that kind as it stands in the spool's files."""
    lines = [line for path in sorted(spool.glob("*.jsonl")) for line in path.read_text().splitlines()]
    return [event for event in map(json.loads, lines) if event["event"] == kind]
