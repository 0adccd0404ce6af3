"""What a folder's names tell: where a model begins, and which of its files are not there."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from model_load_exporter.artifacts import hub_cache, safetensors
from model_load_exporter.artifacts.registry import folder_format_of
from model_load_exporter.artifacts.summary import ArtifactError
from model_load_exporter.artifacts.walk import Folder

_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})(?P<suffix>\.(safetensors|bin|pt|pth|gguf))")
_MAX_SHARDS = 10_000
_MAX_CONFIG = 2**20
_HEADS = frozenset({"config.json", "model_index.json", "modules.json", "adapter_config.json", "params.json"})
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".onnx", ".h5", ".keras", ".msgpack", ".tflite",
            ".pb", ".mlmodel", ".index.json", ".npz", ".pdparams", ".engine", ".ot")  # fmt: skip
_NEED_CONFIG = frozenset({"model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"})
_OF_TOKENIZERS = frozenset({"tokenizer_config.json", "tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt",
                            "spiece.model", "sentencepiece.bpe.model", "preprocessor_config.json"})  # fmt: skip
_OF_TRANSFORMERS = frozenset({"tokenizer_config.json", "generation_config.json", "special_tokens_map.json"})


def is_model(folder: Folder) -> bool:
    """True where this folder and all below it are one model."""
    return (
        not _HEADS.isdisjoint(folder.names)
        or hub_cache.is_repo(folder.path)
        or folder_format_of(folder.path) is not None
    )


def lost_shards(folder: Folder) -> Iterator[tuple[Path, str]]:
    """The first missing shard of each set whose names count them; where there is an index, it tells instead."""
    present = set(folder.names)
    sets: dict[tuple[str, int, str], set[int]] = {}
    for name in folder.names:
        if match := _SHARD.fullmatch(name):
            sets.setdefault((match["stem"], int(match["total"]), match["suffix"]), set()).add(int(match["number"]))
    for (stem, total, suffix), numbers in sets.items():
        if f"{stem}{suffix}.index.json" in present or 0 in numbers or total > _MAX_SHARDS:
            continue
        if lost := sorted(set(range(1, total + 1)) - numbers):
            path = folder.path / f"{stem}-{lost[0]:05d}-of-{total:05d}{suffix}"
            yield path, f"is one of {len(lost)} missing shards of {total}"


def lost_parts(model: Path, folders: Sequence[Folder], *, asked: bool) -> Iterator[tuple[Path, str]]:
    """What a transformers model lacks as a whole: its weights, or its config.json.

    folders: of the model, its own first. asked: whether somebody wants this very model; a cache often holds no more of
    one than its configuration or its tokenizer.
    """
    own = set(folders[0].names)
    if own.isdisjoint(_HEADS) and (
        not own.isdisjoint(_NEED_CONFIG) or ("model.safetensors" in own and _by_transformers(model, own))
    ):
        yield model / "config.json", "is missing beside the weights"
    has_weights = any(name.endswith(_WEIGHTS) for folder in folders for name in folder.names)
    partial = not asked and model.parent.name == "snapshots"
    with_tokenizer = not own.isdisjoint(_OF_TOKENIZERS)
    if "config.json" in own and not has_weights and not partial and _names_a_model(model, with_tokenizer):
        yield model, "has a config.json that names a model, and no weights"


def _by_transformers(model: Path, names: set[str]) -> bool:
    """True for weights that save_pretrained wrote: others name a file so too, and need no config.json."""
    if not names.isdisjoint(_OF_TRANSFORMERS):
        return True
    try:
        return safetensors.read(model / "model.safetensors").metadata.get("format") in ("pt", "tf", "flax", "mlx")
    except (ArtifactError, OSError):
        return False


def _names_a_model(folder: Path, with_tokenizer: bool) -> bool:
    """By its architectures; by its type too, where the folder is not there for a tokenizer, which has that as well."""
    config = folder / "config.json"
    try:
        if config.stat().st_size > _MAX_CONFIG:
            return False
        document = json.loads(config.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(document, dict):
        return False
    return bool(document.get("architectures")) or (
        not with_tokenizer and any(document.get(key) for key in ("model_type", "_class_name"))
    )
