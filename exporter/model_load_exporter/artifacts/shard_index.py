"""Shard indexes (model.safetensors.index.json): each tensor's name, and the file beside the index that holds it."""

from pathlib import Path
from typing import Any

from model_load_exporter.artifacts import safetensors
from model_load_exporter.artifacts.bounded import Damaged, Region, json_object, name_of, opened
from model_load_exporter.artifacts.format import Format
from model_load_exporter.artifacts.summary import ArtifactError, Summary

MAX_INDEX = 64 * 2**20
"""Bytes; the index of a model with 100,000 tensors has some 10 MB."""

_MAX_SHARDS = 10_000


def read(path: Path) -> Summary:
    """The index against its folder: every shard is there, and holds the tensors that the index promises.

    Raises ArtifactError (shard_missing, file_corrupted), or OSError where the index cannot be read.
    """
    with opened(path) as region:
        promised = _promised(path, region)
        for name in promised:
            if name.endswith(".safetensors"):
                _hold(path.parent / name, promised[name])
        return Summary("shard-index", region.size, 0, metadata={"note": f"{len(promised)} shards"})


def present(path: Path) -> None:
    """Every shard that the index names is there; no shard is opened. Raises as read does."""
    with opened(path) as region:
        _promised(path, region)


def _promised(path: Path, region: Region) -> dict[str, set[str]]:
    """The tensors of each shard, all of which are there. Raises Damaged."""
    if region.size > MAX_INDEX:
        raise Damaged(f"has {region.size} bytes; {MAX_INDEX} is the limit for an index")
    promised = _by_shard(json_object(region.at(0, region.size), "content"))
    if lost := sorted(name for name in promised if not (path.parent / name).exists()):
        raise Damaged(f"names {len(lost)} of {len(promised)} shards that are missing, {name_of(lost[0])} first",
                      "shard_missing")  # fmt: skip
    return promised


def _by_shard(document: dict[str, Any]) -> dict[str, set[str]]:
    """The tensors of each shard. Raises Damaged."""
    mapping = document.get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise Damaged("has no weight_map: it names no tensors")
    promised = dict[str, set[str]]()
    for tensor, shard in mapping.items():
        # A name with a folder in it could lead a loader to any file of the host.
        if not isinstance(shard, str) or shard != Path(shard).name or "\0" in shard or shard in ("", ".", ".."):
            raise Damaged(f"names a shard {name_of(str(shard))} that is no file beside it")
        promised.setdefault(shard, set()).add(tensor)
    if len(promised) > _MAX_SHARDS:
        raise Damaged(f"names {len(promised)} shards; {_MAX_SHARDS} is the limit")
    return promised


def _hold(shard: Path, wanted: set[str]) -> None:
    try:
        held = safetensors.tensor_names(shard)
    except (ArtifactError, OSError):
        return  # what is wrong with the shard is told with the shard
    if lost := sorted(wanted - held):
        raise Damaged(
            f"promises {len(lost)} tensors that {name_of(shard.name)} does not hold, {name_of(lost[0])} first: "
            "index and shards are of different revisions"
        )


FORMAT = Format("shard-index", (".index.json",), read, present=present)
