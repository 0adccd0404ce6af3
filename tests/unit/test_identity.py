"""Which model a load is of: configured models first, then what the load tells of itself."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from model_load_exporter.config import config_from_text
from model_load_exporter.identity import ModelIndex, model_name, repo_of

CONFIG = """
models:
  - {name: nllb, path: /models/nllb, match: ["facebook/nllb-*"]}
  - {name: adapter, path: /models/nllb/adapter}
  - {name: aya, path: CohereForAI/aya-101}
  - {name: pinned, path: /cache/models--org--pinned/snapshots/abc}
  - {name: one-file, path: /models/llama.gguf}
  - {name: catch, match: ["staging-*", "/scratch/*/final"]}
  - {name: first, path: /twice, match: ["both-*"]}
  - {name: second, path: /twice, match: ["both-*"]}
"""


@pytest.fixture(scope="module")
def index() -> ModelIndex:
    return ModelIndex(config_from_text(CONFIG, "/etc/config.yml"))


@pytest.mark.parametrize(
    ("name", "path", "repo", "model"),
    [
        ("x", "/models/nllb", None, "nllb"),
        ("x", "/models/nllb/", None, "nllb"),
        ("x", "/models//nllb/./v2/../weights.bin", None, "nllb"),
        ("x", "//models/nllb", None, "nllb"),
        ("x", "/models/nllb/adapter/v1", None, "adapter"),
        ("x", "/models/nllb-large", None, None),
        ("x", "/models", None, None),
        ("x", "/models/nllb/../other", None, None),
        ("x", "/models/llama.gguf", None, "one-file"),
        ("x", None, "CohereForAI/aya-101", "aya"),
        ("x", "/home/u/.cache/hub/models--CohereForAI--aya-101/snapshots/0f1e", None, "aya"),
        ("x", "/home/u/.cache/hub/models--CohereForAI--aya-101/snapshots/0f1e/model.safetensors", None, "aya"),
        ("CohereForAI/aya-101", "/srv/CohereForAI/aya-101", None, "aya"),
        ("x", "/cache/models--org--pinned/snapshots/abc/x.bin", None, "pinned"),
        ("x", "/elsewhere/models--org--pinned/snapshots/def", None, "pinned"),
        ("x", None, "cohereforai/aya-101", None),
        ("x", None, "facebook/nllb-200-distilled", "nllb"),
        ("facebook/nllb-200", None, None, "nllb"),
        ("staging-7", "/tmp/x", None, "catch"),
        ("x", "/scratch/a/b/final", None, "catch"),
        ("nllb", None, None, "nllb"),
        ("nllb", "/unknown/folder", "org/unknown", "nllb"),
        ("nllb", "/models/nllb/adapter", None, "adapter"),
        ("aya", "/models/nllb", "CohereForAI/aya-101", "nllb"),
        ("x", "/twice/weights", None, "first"),
        ("second", "/twice/weights", None, "second"),
        ("second", None, "both-x", "second"),
        ("nobody", None, None, None),
        ("", None, None, None),
        ("x", "", "", None),
    ],
)
def test_resolve(index: ModelIndex, name: str, path: str | None, repo: str | None, model: str | None) -> None:
    """Path before repo before pattern before name; the deepest path wins; a tie goes to the name that was given."""
    assert index.resolve(name, path, repo) == model


def test_links_are_known_both_ways(tmp_path: Path) -> None:
    """A load of the link and a load of the folder behind it are the same model."""
    (tmp_path / "v2").mkdir()
    (tmp_path / "current").symlink_to("v2")
    config = config_from_text(f"models: [{{name: nllb, path: {tmp_path}/current}}]", "c.yml")
    index = ModelIndex(config)
    assert index.resolve("x", f"{tmp_path}/current/w.bin", None) == "nllb"
    assert index.resolve("x", f"{tmp_path}/v2/w.bin", None) == "nllb"
    assert index.resolve("x", f"{tmp_path}/v1/w.bin", None) is None


def test_resolve_touches_no_file(index: ModelIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up is pure text: the service's path may lie on a mount that hangs."""

    def hangs(*_: object, **__: object) -> None:
        raise AssertionError("looked at the file system")

    for call in ("stat", "lstat", "readlink", "open", "getcwd"):
        monkeypatch.setattr(os, call, hangs)
    assert index.resolve("x", "/models/nllb/a/b", None) == "nllb"
    assert index.resolve("x", "relative/path", None) is None


def test_nothing_configured() -> None:
    """Without configured models nothing resolves."""

    @dataclass(frozen=True)
    class Empty:
        models: tuple[()] = ()

    assert ModelIndex(Empty()).resolve("x", "/x", "org/x") is None


def test_index_is_loadable_in_a_service() -> None:
    """Importing this module loads the standard library alone, and no YAML."""
    code = (
        "import sys, model_load_exporter.identity; print(*{'yaml', 'cattrs', 'prometheus_client'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("name", "path", "repo", "model"),
    [
        ("nllb", "/x", "org/y", "nllb"),
        (None, "/x/y", "org/nllb", "org/nllb"),
        (None, "/c/hub/models--org--nllb/snapshots/0f1e", None, "org/nllb"),
        (None, "/c/hub/models--org--nllb/snapshots/0f1e/model.safetensors", None, "org/nllb"),
        (None, "/c/hub/models--gpt2/snapshots/0f1e", None, "gpt2"),
        (None, "org/nllb", None, "org/nllb"),
        (None, "/models/nllb", None, "nllb"),
        (None, "/models/nllb/", None, "nllb"),
        (None, "/models/nllb/..", None, "models"),
        (None, "/models/model.safetensors", None, "model.safetensors"),
        (None, "v2/model.safetensors", None, "model.safetensors"),
        (None, "./models/nllb", None, "nllb"),
        (None, "..", None, "unknown"),
        (None, ".", None, "unknown"),
        (None, "/", None, "unknown"),
        (None, None, None, "unknown"),
        ("", "", "", "unknown"),
        ("\x00\n\x1b", None, None, "unknown"),
        ("\x1b[31mnllb\n\u202e", None, None, "[31mnllb"),
        ("\ud800nllb", None, None, "nllb"),
        ("  nllb  ", None, None, "nllb"),
        ("Übersetzer", None, None, "Übersetzer"),
        ("n" * 500, None, None, "n" * 200),
        ("n" * 199 + " x", None, None, "n" * 199),
        ("\n", "/models/nllb", None, "nllb"),
    ],
)
def test_model_name(name: str | None, path: str | None, repo: str | None, model: str) -> None:
    """The name given, else the repo, else the last part of the path; always a safe label value."""
    assert model_name(name, path, repo) == model


@pytest.mark.parametrize(
    ("path", "repo"),
    [
        (None, None),
        ("", None),
        ("/models/nllb", None),
        ("models--org--name", "org/name"),
        ("/c/models--org--na--me/blobs/x", "org/na--me"),
        ("/c/models--a--b/snapshots/r/models--c--d/x", "c/d"),
        ("/c/datasets--org--name/x", None),
        ("a/b/c", None),
        ("~/nllb", None),
        (".hidden", None),
    ],
)
def test_repo_of(path: str | None, repo: str | None) -> None:
    """A path in the hub's cache, or a bare repo id, tells its repo; any other path tells none."""
    assert repo_of(path) == repo
