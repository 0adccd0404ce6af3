"""How much memory a load will take, from the files' headers alone.

Measured with torch 2.13 and transformers 5 on a CPU: after first use a load holds its libraries and every tensor once,
whether the tensors are read (torch.load) or mapped (safetensors). A load that converts its weights to another type
holds both forms at its peak.

llama.cpp (2026) maps the file and, on x86 with AVX2, keeps a second copy of the types that it repacks; LiteRT maps the
file and its XNNPACK packs the weights of fully connected layers and convolutions once more.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from model_load_exporter.artifacts.locate import weight_files
from model_load_exporter.artifacts.summary import ArtifactError, Summary
from model_load_exporter.units import format_size

LIBRARIES = {
    "transformers": 380_000_000, "torch": 240_000_000, "safetensors": 240_000_000, "onnx": 80_000_000,
    "tflite": 40_000_000, "gguf": 60_000_000,
}  # fmt: skip
"""Resident bytes of interpreter and libraries before the first weight."""

CONTEXT = 256
"""Tokens of the context that the canary gives a GGUF model; a server with a longer one takes more."""

_REPACKED = ("q4_0", "q4_k", "iq4_nl", "mxfp4")

_WIDTHS = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
_MAX_CONFIG = 2**20


@dataclass(frozen=True, slots=True)
class Prediction:
    """Peak of resident memory in bytes, and how it was reckoned, in words."""

    bytes: int
    how: str


def predict_memory(path: str, loader: str) -> Prediction | None:
    """The peak of a load of that path; None for a loader, a format or a file that does not tell.

    Never raises: a file that is damaged or missing is for the load to report.
    """
    base = LIBRARIES.get(loader)
    summaries = _summaries(path, loader) if base is not None else None
    if base is None or not summaries:
        return None
    tensors = sum(summary.tensor_bytes for summary in summaries)
    how = f"{format_size(tensors)} of tensors and {format_size(base)} of libraries"
    if loader == "onnx":
        size = 2 * max(tensors, sum(summary.file_bytes for summary in summaries))
        return Prediction(base + size, f"twice the files' size and {format_size(base)} of libraries")
    if loader == "tflite":
        return Prediction(base + 2 * tensors, f"{how}, the tensors twice: mapped and packed")
    if loader == "gguf":
        repacked = sum(summary.dtypes.get(dtype, 0) for summary in summaries for dtype in _REPACKED)
        cache = _cache(summaries[0].metadata)
        how += f", {format_size(repacked)} of them repacked, and {format_size(cache)} for {CONTEXT} tokens"
        return Prediction(base + tensors + repacked + cache, how)
    converted = _converted(Path(path), summaries) if loader == "transformers" else 0
    if converted:
        how += f", and {format_size(converted)} of weights converted to another type"
    return Prediction(base + tensors + converted, how)


def _summaries(path: str, loader: str) -> list[Summary] | None:
    """Of each file that the loader would read; None where one of them does not tell."""
    # Here: the readers of all formats are a third of what the daemon would import before its first answer.
    from model_load_exporter.artifacts.registry import summarize

    try:
        files = weight_files(Path(path), loader)
        if loader in ("gguf", "tflite"):
            files = _first(files)
        if loader == "onnx":  # the model counts the data that lies beside it
            files = [file for file in files if file.suffix == ".onnx"]
        summaries = [summarize(file) for file in files]
    except (OSError, ArtifactError):
        return None
    found = [summary for summary in summaries if summary is not None]
    return found if len(found) == len(files) else None


def _first(files: list[Path]) -> list[Path]:
    """The first file, as these loaders take it, with the others of its split."""
    split = re.fullmatch(r"(.+-)\d{5}(-of-\d{5}\.gguf)", files[0].name) if files else None
    if split is None:
        return files[:1]
    same = re.compile(rf"{re.escape(split[1])}\d{{5}}{re.escape(split[2])}")
    return sorted(file for file in files[0].parent.iterdir() if same.fullmatch(file.name))


def _cache(notes: dict[str, str]) -> int:
    """Bytes of keys and values of CONTEXT tokens as 16-bit numbers; 0 where the header does not tell."""

    def number(key: str, default: int = 0) -> int:
        return int(notes.get(key, default))

    heads = number("heads")
    width = number("key_length", number("embedding") // heads if heads else 0)
    return 2 * CONTEXT * number("layers") * number("kv_heads", heads) * (width + number("value_length", width))


def _converted(path: Path, summaries: list[Summary]) -> int:
    """Bytes of the weights in the type that config.json asks for, where the files have another one; else 0."""
    try:
        config = path / "config.json"
        if config.stat().st_size > _MAX_CONFIG:
            return 0
        data = json.loads(config.read_bytes())
    except (OSError, ValueError, RecursionError):
        return 0
    wanted = (data.get("dtype") or data.get("torch_dtype")) if isinstance(data, dict) else None
    if not isinstance(wanted, str) or wanted not in _WIDTHS:
        return 0
    total = 0
    for summary in summaries:
        for dtype, size in summary.dtypes.items():
            if dtype in _WIDTHS and dtype != wanted:
                total += size * _WIDTHS[wanted] // _WIDTHS[dtype]
    return total
