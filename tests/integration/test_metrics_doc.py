"""docs/METRICS.md says what the code says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_document_is_what_the_collectors_say() -> None:
    """Whoever changes a metric writes the document anew: python docs/make_metrics.py."""
    made = subprocess.run(
        [sys.executable, "docs/make_metrics.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (made.returncode, made.stderr) == (0, "")
