"""What a folder's names tell: where a model begins, and which of its files are not there."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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
_VOCABULARIES = ("vocab", "merges", "tokenizer.json", "tokenizer.model", ".model", ".spm", ".tiktoken", "tekken", "bpe",
                 "piece", "dict", "spm", ".json.gz")  # fmt: skip
"""Parts of the names of all files that a tokenizer may have its words in."""
_WITH_WORDS = re.compile(
    "\\w+Fast|TokenizersBackend|(Llama|Bert|Roberta|GPT2|Qwen2|T5|XLMRoberta|Nllb|Marian|Bart|MBart|MBart50|M2M100|Whisper|"
    "DistilBert|Albert|Electra|DebertaV2|Gemma|Pegasus|CLIP|Camembert|Mpnet|MPNet)Tokenizer"
)
"""Classes that cannot begin without a vocabulary; ByT5's and Canine's can."""
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
    for folder in () if partial else folders:
        if _lacks_words(folder):
            yield folder.path / "tokenizer.json", "is missing, and so is every other vocabulary of the tokenizer"


def _lacks_words(folder: Folder) -> bool:
    """True where tokenizer_config.json names a class with a vocabulary, and there is no file that could be one."""
    if "tokenizer_config.json" not in folder.names:
        return False
    if any(part in name.lower() for name in folder.names for part in _VOCABULARIES):
        return False
    document = _document(folder.path / "tokenizer_config.json")
    return (
        "auto_map" not in document
        and not document.get("tokenizer_file")
        and _WITH_WORDS.fullmatch(str(document.get("tokenizer_class"))) is not None
    )


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
    document = _document(folder / "config.json")
    return bool(document.get("architectures")) or (
        not with_tokenizer and any(document.get(key) for key in ("model_type", "_class_name"))
    )


def _document(path: Path) -> dict[str, Any]:
    """A configuration; empty where it is none, which its own check tells."""
    try:
        document = json.loads(path.read_bytes()) if path.stat().st_size <= _MAX_CONFIG else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
