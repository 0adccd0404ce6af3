"""The Python and YAML of the pages: it compiles, it runs, and the tools that it is for accept it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs_pages import ROOT, Block, blocks, fenced, pythons
from kubernetes_schema import problems

from support.daemon import COMMAND
from support.http import free_port

_PYTHON = ROOT / ".venv-models" / "bin" / "python"
_SMALL = ROOT / ".run" / "models" / "nllb-small"

# What a snippet takes for granted, as the page says it or as its reader has it. Key: words of the snippet.
_GIVEN = {
    "AutoTokenizer.from_pretrained": "from transformers import AutoModelForSeq2SeqLM, AutoTokenizer",
    "app = health_app(app)": "async def app(scope, receive, send): pass",
    "asyncio.to_thread(load)": "import asyncio, contextlib\nload = object",
    "load_primary": "load_primary = load_small = load_on_cpu = object",
    "model.generate": ("class model:\n    def generate(): pass\ninputs = {}\nseconds = 0.5\n"),
    "load_model()": "load_model = object",
}


def _given(block: Block) -> str:
    return "\n".join(code for words, code in _GIVEN.items() if words in block.text)


@pytest.mark.parametrize("block", pythons(), ids=lambda block: block.name)
def test_python_runs(block: Block, spool: Path) -> None:
    """Each Python snippet runs to its end, with the small models in the place of the reader's."""
    python = sys.executable if "prometheus_client" in block.text else _PYTHON
    text = block.text.replace('"/models/nllb-200"', repr(str(_SMALL))).replace("8081", str(free_port()))
    done = subprocess.run(
        [python, "-c", f"{_given(block)}\n{text}"], capture_output=True, text=True, timeout=120, check=False,
        cwd=spool.parent, env={**os.environ, "PYTHONPATH": str(ROOT / "exporter")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_there_are_snippets() -> None:
    """The pages are found and parsed: an empty list of snippets would pass every test."""
    assert len(pythons()) >= 12
    assert len(configs()) >= 8


def configs() -> list[Block]:
    """Blocks of our own config file: marked so, or YAML of CONFIGURE.md with a key of its top level."""
    marked = fenced("yaml", "config")
    own = [block for block in fenced("yaml") if block.page.name == "CONFIGURE.md" and _is_whole(block)]
    return marked + own


def _is_whole(block: Block) -> bool:
    data = yaml.safe_load(block.text)
    return isinstance(data, dict) and not data.keys().isdisjoint(("models", "services", "limits", "cache_paths"))


@pytest.mark.parametrize("block", configs(), ids=lambda block: block.name)
def test_config_is_accepted(block: Block, tmp_path: Path) -> None:
    """`check-config` finds no mistake in a config that a page shows."""
    file = tmp_path / "config.yml"
    file.write_text(block.text)
    done = subprocess.run([COMMAND, "check-config", file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize(
    "block", [b for b in blocks() if b.info.split()[:1] in (["yaml"], ["json"])], ids=lambda b: b.name
)
def test_it_parses(block: Block) -> None:
    """YAML is YAML and JSON is JSON."""
    data: Any = json.loads(block.text) if block.info.startswith("json") else list(yaml.safe_load_all(block.text))
    assert data is not None


@pytest.mark.parametrize("block", fenced("yaml", "prometheus"), ids=lambda block: block.name)
def test_prometheus_accepts_it(block: Block, tmp_path: Path) -> None:
    """Promtool accepts a Prometheus configuration that a page shows."""
    file = tmp_path / "prometheus.yml"
    file.write_text(block.text)
    done = subprocess.run(
        ["promtool", "check", "config", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("block", fenced("yaml", "container"), ids=lambda block: block.name)
def test_kubernetes_accepts_it(block: Block) -> None:
    """Keys of a container that a page shows are Kubernetes' own."""
    assert problems({"name": "exporter", **yaml.safe_load(block.text)}, "io.k8s.api.core.v1.Container") == []
