"""A model's JSON files: valid, and with the keys without which a loader gives up.

Only what loaders read is judged by its content; any other file need not even be JSON: training logs often are not.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_load_exporter.artifacts.bounded import Damaged, Region, name_of, note, opened
from model_load_exporter.artifacts.format import Format
from model_load_exporter.artifacts.summary import Summary

MAX_BYTES = 64 * 2**20
"""The longest tokenizer.json known has 35 MB."""

MAX_VALUES = 8_000_000
"""Commas and brackets: parsed, each may cost a hundred bytes."""

Document = dict[str, Any]
Check = Callable[[Path, Document], dict[str, str]]
"""Raises Damaged("...", "config_invalid"); answers metadata."""

_DTYPES = {
    "auto", "float64", "double", "float32", "float", "float16", "half", "bfloat16", "float8_e4m3fn", "float8_e5m2",
    "int64", "int32", "int16", "int8", "uint8", "bool", "fp32", "fp16", "bf16",
}  # fmt: skip
_SIZES = ("vocab_size", "hidden_size", "d_model", "n_embd", "num_hidden_layers", "num_attention_heads", "n_layer",
          "n_head")  # fmt: skip
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def read(path: Path) -> Summary:
    """One JSON file. Raises ArtifactError (config_invalid, or what is wrong with the file), OSError."""
    with opened(path) as region:
        document = _document(region)
        check = _CHECKS.get(path.name)
        if check is None:
            return Summary("json", region.size, 0)
        if not isinstance(document, dict):
            raise _invalid("is no JSON object")
        return Summary("json", region.size, 0, metadata=check(path, document))


def _document(region: Region) -> object:
    if region.size > MAX_BYTES:
        raise Damaged(f"has {region.size} bytes; {MAX_BYTES} is the limit", "config_invalid")
    raw = region.at(0, region.size)
    if not raw.strip(b"\0"):
        raise Damaged("holds zero bytes only: it was never written to its end")
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > MAX_VALUES:
        raise Damaged(f"has more than {MAX_VALUES} values", "config_invalid")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"is not valid JSON: {note(str(error))}") from None


def _invalid(message: str) -> Damaged:
    return Damaged(message, "config_invalid")


def _config(path: Path, document: Document) -> dict[str, str]:
    """config.json of transformers; other libraries' have none of these keys."""
    if not document and any((path.parent / name).exists() for name in _WEIGHTS):
        raise _invalid("has no keys: a loader cannot tell what kind of model this is")
    kind, classes = document.get("model_type"), document.get("architectures")
    if kind is not None and not isinstance(kind, str):
        raise _invalid("has a model_type that is no text")
    if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        raise _invalid("has architectures that are no list of class names")
    for key in _SIZES:
        value = document.get(key)
        if value is not None and "model_type" in document and (type(value) not in (int, list, dict) or value == 0):
            raise _invalid(f"has a {key} of {name_of(str(value))}, which is no positive number")
        if type(value) is int and value < 0:
            raise _invalid(f"has a negative {key}")
    dtype = document.get("dtype", document.get("torch_dtype"))
    if isinstance(dtype, str) and kind and dtype.removeprefix("torch.") not in _DTYPES:
        raise _invalid(f"asks for a data type {name_of(dtype)} that torch does not have")
    found = {
        "architecture": classes[0] if classes else kind,
        "version": document.get("transformers_version"),
        "dtype": dtype.removeprefix("torch.") if isinstance(dtype, str) else None,
        "producer": "transformers" if "transformers_version" in document else None,
    }
    return {key: note(value) for key, value in found.items() if isinstance(value, str)}


def _tokenizer(path: Path, document: Document) -> dict[str, str]:
    """tokenizer.json of the tokenizers library."""
    model = document.get("model")
    if not isinstance(model, dict):
        raise _invalid("has no model: no tokenizer can be made of it")
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict | list) or not vocabulary:
        raise _invalid("has no vocabulary")
    if model.get("type") == "BPE" and not isinstance(model.get("merges"), list):
        raise _invalid("is a BPE tokenizer without merges")
    if not isinstance(document.get("added_tokens", []), list):
        raise _invalid("has added_tokens that are no list")
    kind = model.get("type")
    return {
        "version": note(str(document.get("version", ""))),
        **({"architecture": note(kind)} if isinstance(kind, str) else {}),
    }


def _vocabulary(path: Path, document: Document) -> dict[str, str]:
    """vocab.json: token -> number."""
    if not document:
        raise _invalid("has no tokens")
    if not all(type(number) is int for number in document.values()):
        raise _invalid("has tokens whose number is none")
    return {}


def _pipeline(path: Path, document: Document) -> dict[str, str]:
    """model_index.json of diffusers: each part is a folder beside it."""
    if "_class_name" not in document:
        raise _invalid("has no _class_name: a loader cannot tell what kind of pipeline this is")
    for name, made_by in document.items():
        is_part = isinstance(made_by, list) and len(made_by) == 2 and all(isinstance(one, str) for one in made_by)
        if is_part and name == Path(name).name and not (path.parent / name).exists():
            raise Damaged(f"names a part {name_of(name)} that is missing", "file_missing")
    found = {"architecture": document["_class_name"], "version": document.get("_diffusers_version")}
    return {"producer": "diffusers"} | {key: note(value) for key, value in found.items() if isinstance(value, str)}


def _adapter(path: Path, document: Document) -> dict[str, str]:
    """adapter_config.json of peft."""
    if not isinstance(document.get("peft_type"), str):
        raise _invalid("has no peft_type: a loader cannot tell what kind of adapter this is")
    return {"producer": "peft", "architecture": note(document["peft_type"])}


def _object(path: Path, document: Document) -> dict[str, str]:
    return {}


_CHECKS: dict[str, Check] = {
    "config.json": _config,
    "tokenizer.json": _tokenizer,
    "vocab.json": _vocabulary,
    "model_index.json": _pipeline,
    "adapter_config.json": _adapter,
    **dict.fromkeys(
        (
            "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "generation_config.json",
            "preprocessor_config.json", "processor_config.json", "feature_extractor_config.json",
            "image_processor.json", "video_preprocessor_config.json", "scheduler_config.json", "quantize_config.json",
            "config_sentence_transformers.json", "sentence_bert_config.json", "quantization_config.json",
            "params.json",
        ),
        _object,
    ),
}  # fmt: skip

JUDGED = frozenset(_CHECKS)
"""Names of the files that loaders read."""

FORMAT = Format("json", (".json",), read)
