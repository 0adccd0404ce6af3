"""From a config's path or repo id to the files on the disk; nothing is downloaded and no library is asked."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAX_INDEX = 32 * 2**20
_MAX_REVISION = 200

_SAFETENSORS = ("model.safetensors.index.json", "model.safetensors", (".safetensors",))
_PICKLE = ("pytorch_model.bin.index.json", "pytorch_model.bin", (".bin", ".pt", ".pth", ".ckpt"))
_ONNX = ("", "model.onnx", (".onnx", ".onnx_data"))
_LAYOUTS = {
    "transformers": (_SAFETENSORS, _PICKLE),
    "safetensors": (_SAFETENSORS,),
    "torch": (_PICKLE,),
    "onnx": (_ONNX,),
    "tflite": (("", "model.tflite", (".tflite",)),),
    "gguf": (("", "model.gguf", (".gguf",)),),
}


@dataclass(frozen=True, slots=True)
class Location:
    """Where a model lies. repo: its hub name, when it was given by that."""

    path: Path
    repo: str | None = None


def locate(name: str) -> Location | None:
    """The place of a path, or of a repo id's current snapshot in the local hub cache; None where there is nothing.

    Of a repo whose main branch leads to no snapshot it is the repo's folder: no load by that name finds any other.
    A place that may not be looked at counts as there: the load says better what is wrong with it.
    """
    if name.startswith("/"):
        try:
            Path(name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            pass
        return Location(Path(name))
    if not REPO.fullmatch(name):
        return None
    for cache in hub_caches():
        snapshot = _snapshot(cache / ("models--" + name.replace("/", "--")))
        if snapshot is not None:
            return Location(snapshot, name)
    return None


def hub_caches() -> Iterator[Path]:
    """The hub's cache folders, as huggingface_hub and transformers look for them, in their order."""
    environment = os.environ
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE"):
        if environment.get(variable):
            yield Path(environment[variable]).expanduser()
    home = environment.get("HF_HOME") or (environment.get("XDG_CACHE_HOME") or "~/.cache") + "/huggingface"
    yield Path(home).expanduser() / "hub"


def _snapshot(repo: Path) -> Path | None:
    """The snapshot that refs/main names; without one that could be meant the latest there is."""
    try:
        with open(repo / "refs/main", "rb") as file:
            revision = file.read(_MAX_REVISION).decode("ascii").strip()
        if revision not in ("", ".", "..") and "/" not in revision and (repo / "snapshots" / revision).is_dir():
            return repo / "snapshots" / revision
        if (not revision or _COMMIT.fullmatch(revision)) and (repo / "snapshots").is_dir():
            return repo
    except (OSError, ValueError):
        pass
    try:
        snapshots = [path for path in (repo / "snapshots").iterdir() if path.is_dir()]
    except OSError:
        return None
    return max(snapshots, key=lambda path: path.stat().st_mtime, default=None)


def weight_files(path: Path, loader: str) -> list[Path]:
    """The files whose tensors that loader would read, missing shards included; empty where none can be told."""
    if not path.is_dir():
        return [path]
    for index, single, suffixes in _LAYOUTS.get(loader, ()):
        shards = _shards(path / index) if index else []
        if shards:
            return shards
        if (path / single).exists():
            data = path / f"{single}_data"
            return [path / single, data] if data.exists() else [path / single]
        found = sorted(file for file in path.iterdir() if file.suffix in suffixes)
        if found:
            return found
    return []


def _shards(index: Path) -> list[Path]:
    """The files that an index names, each once, none outside of its folder; empty without an index."""
    try:
        if index.stat().st_size > _MAX_INDEX:
            return []
        names = set(json.loads(index.read_bytes())["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
    files = {Path(name).name for name in names if isinstance(name, str)}
    return sorted(index.parent / name for name in files - {"", ".."})
