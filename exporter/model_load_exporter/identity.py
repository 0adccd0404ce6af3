"""Which model a load is of: what becomes the label `model`.

The configured model whose path, repo or `match:` patterns cover the load; else the name given; else the hub's org/name
(also from snapshot folders); else the folder's or file's base name. Services load this module too: standard library
only. It works on text: the loader's paths are of its own mount namespace, and a look-up on a dead mount would hang.
"""

import fnmatch
import os
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

MAX_NAME = 200
UNKNOWN = "unknown"

_HUB_FOLDER = re.compile(r"models--([^/]+)")
_REPO = re.compile(r"[A-Za-z0-9_][\w.-]*(?:/[A-Za-z0-9_][\w.-]*)?", re.ASCII)
_MODEL_FILE = re.compile(r"\.(?:safetensors|pt|pth|bin|ckpt|pkl|h5|gguf|onnx|tflite)\Z", re.IGNORECASE)


class _ConfiguredModel(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str | None: ...
    @property
    def match(self) -> tuple[str, ...]: ...


class _Configuration(Protocol):
    @property
    def models(self) -> Sequence[_ConfiguredModel]: ...


class ModelIndex:
    """The configured models, ready to be asked."""

    def __init__(self, config: _Configuration, links: Mapping[str, str] | None = None) -> None:
        """links: where configured paths lead. Without it this looks at the file system, once, here."""
        self._paths: dict[str, list[str]] = {}
        self._repos: dict[str, list[str]] = {}
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        self._names = {model.name for model in config.models}
        for model in config.models:
            if model.path is not None and model.path.startswith("/"):
                # Link and target are both known: a service may have been told either.
                end = os.path.realpath(model.path) if links is None else links.get(model.path, model.path)
                for path in {_normal(model.path), _normal(end)}:
                    self._paths.setdefault(path, []).append(model.name)
                repo = repo_of(model.path)
            else:
                repo = model.path
            if repo is not None:
                self._repos.setdefault(repo, []).append(model.name)
            for pattern in model.match:
                self._patterns.append((re.compile(fnmatch.translate(pattern)), model.name))

    def resolve(self, name: str, path: str | None, repo: str | None) -> str | None:
        """The name of the configured model that covers the load, or None.

        The deepest configured path that is the load's path or above it wins; then the repo; then the first pattern
        that matches repo, name or path; then the same name. Between models that cover it equally, the one of that name
        wins, else the first in the file: one folder may be configured twice, under two loaders.
        """
        path = _normal(path) if path else None
        repo = repo or repo_of(path)
        for above in _upwards(path):
            if above in self._paths:
                return _preferred(self._paths[above], name)
        for told in (repo, name):  # a load by repo id alone often has the id for its name
            if told in self._repos:
                return _preferred(self._repos[told], name)
        texts = [text for text in (repo, name, path) if text]
        found = [model for pattern, model in self._patterns if any(pattern.match(text) for text in texts)]
        if found:
            return _preferred(found, name)
        return name if name in self._names else None


def model_name(name: str | None, path: str | None, repo: str | None) -> str:
    """The name of a load that no configured model covers: safe as a label value, at most 200 characters, not empty."""
    for text in (name, repo, repo_of(path), posixpath.basename(_normal(path)) if path else None):
        if (clean := _clean(text or "")) not in ("", ".", ".."):
            return clean
    return UNKNOWN


def looks_like_file(text: str) -> bool:
    """Whether it ends as model files do: `.safetensors`, `.pt`, `.gguf`."""
    return _MODEL_FILE.search(text) is not None


def repo_of(path: str | None) -> str | None:
    """`org/name` of a path in the hub's cache (`.../models--org--name/snapshots/REVISION`), or of a bare repo id.

    A relative path such as `models/nllb` cannot be told from a repo id; `./models/nllb` can.
    """
    if not path:
        return None
    for part in reversed(path.split("/")):
        if (match := _HUB_FOLDER.fullmatch(part)) is not None:
            return match[1].replace("--", "/", 1)
    return path if _REPO.fullmatch(path) and not looks_like_file(path) else None


def _normal(path: str) -> str:
    """Without `//`, `.`, `..` and a trailing slash; links are left alone."""
    return re.sub(r"\A//+", "/", posixpath.normpath(path))


def _upwards(path: str | None) -> Iterable[str]:
    """The path and every folder above it, the deepest first."""
    while path and path.startswith("/"):
        yield path
        above = posixpath.dirname(path)
        path = above if above != path else None


def _preferred(models: list[str], name: str) -> str:
    return name if name in models else models[0]


def _clean(text: str) -> str:
    """Without control, invisible and half characters: they break a terminal, a page or the encoding."""
    return "".join(char for char in text if char.isprintable())[:MAX_NAME].strip()
