"""examples/make_models.py builds what `make run` serves."""

import subprocess
from pathlib import Path

import pytest
from canary_cases import MODELS, PYTHON, ROOT

from model_load_exporter.artifacts.registry import summarize
from model_load_exporter.config import load_config

SCRIPT = ROOT / "examples/make_models.py"


def make(outdir: Path, *arguments: str, python: Path | str = PYTHON) -> "subprocess.CompletedProcess[str]":
    command = [str(python), str(SCRIPT), str(outdir), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_model_is_built_once(tmp_path: Path) -> None:
    """A second run leaves it alone, a killed one leaves no half of it, and the files can be read by any service."""
    (tmp_path / ".aya-small.left-by-a-killed-run").mkdir()
    first = make(tmp_path, "--model", "aya-small")
    assert first.returncode == 0, first.stderr
    built = {file: file.stat().st_mtime_ns for file in (tmp_path / "aya-small").iterdir()}
    second = make(tmp_path, "--model", "aya-small")

    assert "already there" in second.stdout
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "aya-small").iterdir()} == built
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in built)
    assert {file.name for file in built} >= {"config.json", "tokenizer.json", "model.safetensors.index.json"}
    same = [file for file in built if file.suffix == ".safetensors"]
    assert [file.read_bytes() == (MODELS / "aya-small" / file.name).read_bytes() for file in same] == [True] * len(same)


def test_the_models_are_of_tens_of_megabytes() -> None:
    """Large enough to be measured, small enough to be loaded every few minutes."""
    for name in ("nllb-small", "aya-small", "minilm"):
        sizes = [summary.tensor_bytes for file in (MODELS / name).glob("*.safetensors") if (summary := summarize(file))]
        assert 20e6 < sum(sizes) < 100e6


@pytest.mark.parametrize("model", ["nllb-small", "aya-small", "minilm"])
def test_run_yml_names_the_model(model: str) -> None:
    """Its paths are relative to the file, so that it works from any folder."""
    config = load_config(ROOT / "examples/run.yml")
    (found,) = [one for one in config.models if one.name == model]

    assert found.path == str(ROOT / ".run/models" / model)
    assert found.canary is not None
    assert found.canary.python == str(ROOT / ".venv-models/bin/python")


def test_the_wrong_interpreter_is_told(tmp_path: Path) -> None:
    """One line that names the right one."""
    done = make(tmp_path, "--model", "aya-small", python=ROOT / ".venv/bin/python")

    assert done.returncode == 1
    assert ".venv-models" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_unwritable_folder_is_told(tmp_path: Path) -> None:
    """A file in the way."""
    (tmp_path / "file").touch()
    done = make(tmp_path / "file/models")

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
