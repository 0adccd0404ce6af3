"""Output that a page shows is what the command prints."""

import os
import shutil
import subprocess
from pathlib import Path

from docs_pages import ROOT, blocks

from support.daemon import COMMAND


def shown(page: str, kind: str) -> str:
    """The block of a page whose fence ends in that word."""
    (found,) = [block for block in blocks() if block.page.name == page and block.info.split()[1:] == [kind]]
    return found.text


def test_analyze(tmp_path: Path) -> None:
    """ANALYZE.md: its three logs, analysed by its command, give its answer."""
    for name in ("client.log", "kernel.log", "service.log"):
        (tmp_path / name).write_text(shown("ANALYZE.md", name))
    line = next(
        line for line in (ROOT / "docs" / "ANALYZE.md").read_text().splitlines() if "--boot-time 2026" in line
    ).split("`")[1]
    done = subprocess.run(
        [COMMAND, *line.split()[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == shown("ANALYZE.md", "printed")
    assert done.returncode == 1


def test_verify(tmp_path: Path) -> None:
    """VERIFY.md: a cut model is reported as shown, and a changed one is told by its manifest."""
    models = tmp_path / "models"
    shutil.copytree(ROOT / ".run" / "models" / "nllb-small", models / "nllb-200")
    os.truncate(models / "nllb-200" / "model.safetensors", 1_000_000)
    done = subprocess.run(
        [COMMAND, "verify", "nllb-200"], cwd=models, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    page = (ROOT / "docs" / "VERIFY.md").read_text()
    bad = [line for line in done.stdout.splitlines() if "BAD" in line or "truncated" in line]
    assert len(bad) == 3
    for line in bad:
        assert line.replace("  nllb-200/", "  /models/nllb-200/") in page
