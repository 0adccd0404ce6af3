"""What the daemon takes of its host: memory, descriptors, and none of what it watches."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import Daemon, running
from support.http import request
from support.service import load_once
from support.wait import until

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-models" / "bin" / "python"
MINILM = ROOT / ".run" / "models" / "minilm"

TRAPS = ("torch", "transformers", "safetensors", "numpy", "onnxruntime", "tensorflow")


@pytest.fixture
def trapped(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon for which each heavy library is there, and leaves a note when it is imported."""
    folder = tmp_path / "site"
    folder.mkdir()
    for name in TRAPS:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write({name!r} + '\\n')\n")
    config = "models:\n  - {name: nllb, path: /models/nllb}\n"
    with running(tmp_path, config, environment={"PYTHONPATH": str(folder)}) as daemon:
        yield daemon


def test_imports_nothing_heavy(trapped: Daemon) -> None:
    """Whatever is asked of it, it imports none of the libraries that load models."""
    load_once(trapped.spool, ("nllb", "", "loaded"), ("nllb", "", "failed"))
    trapped.wait_for(1, "model_load_failures_total", model="nllb", reason="file_missing")
    for path in ("/", "/metrics", "/probe?model=nllb", "/sd", "/api/v1/loads", "/runbooks/ModelLoadFailure"):
        trapped.get(path)
    assert request(f"{trapped.url}/-/reload", method="POST").status == 200
    assert not (trapped.folder / "imported").exists()


def test_after_a_real_canary(tmp_path: Path) -> None:
    """A canary of a real model leaves nothing of torch in the daemon, and its memory stays small."""
    for needed in (PYTHON, MINILM):
        if not needed.exists():
            pytest.skip(f"no {needed.relative_to(ROOT)}: `make test` builds it")
    config = f"""
models:
  - name: minilm
    path: {MINILM}
    task: feature-extraction
    canary: {{interval: 1h, timeout: 120s, python: {PYTHON}}}
"""
    with running(tmp_path, config) as daemon:
        daemon.wait_within(120, 1, "model_canary_success", model="minilm")
        maps = Path(f"/proc/{daemon.pid}/maps").read_text()
        assert not re.search(r"torch|transformers|safetensors|numpy", maps)
        assert (daemon.value("process_resident_memory_bytes") or 0) < 100 << 20


def test_descriptors(tmp_path: Path) -> None:
    """Five scrapes, and a hundred loads between them, leave no descriptor open."""
    with running(tmp_path) as daemon:

        def scrape() -> int:
            for path in ("/", "/metrics", "/api/v1/loads"):
                for headers in ({}, {"Accept-Encoding": "gzip"}, {"Accept": "application/openmetrics-text"}):
                    assert daemon.get(path, headers).status == 200
            return len(os.listdir(f"/proc/{daemon.pid}/fd"))

        scrape()
        before = scrape()
        for _ in range(5):
            load_once(daemon.spool, *[("nllb", "", "loaded")] * 20)
            scrape()
        daemon.wait_for(100, "model_load_success_duration_seconds_count", model="nllb")
        daemon.wait_for(0, "model_loaded", model="nllb")
        # The server closes the connection of an answered request a moment after the client has the answer.
        until(lambda: scrape() <= before, 10, lambda: f"{before} descriptors again; there are {scrape()}")
