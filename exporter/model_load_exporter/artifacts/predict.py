"""How much memory a load will take, from the files' headers alone.

Measured with torch 2.13 and transformers 5 on a CPU: after first use a load holds its libraries and every tensor once,
whether the tensors are read (torch.load) or mapped (safetensors). A load that converts its weights to another type
holds both forms at its peak.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from model_load_exporter.artifacts.locate import weight_files
from model_load_exporter.artifacts.registry import summarize
from model_load_exporter.artifacts.summary import ArtifactError, Summary
from model_load_exporter.units import format_size

LIBRARIES = {"transformers": 380_000_000, "torch": 240_000_000, "safetensors": 240_000_000, "onnx": 80_000_000}
"""Resident bytes of interpreter and libraries before the first weight."""

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
    if base is None:
        return None
    try:
        files = weight_files(Path(path), loader)
        if loader == "onnx":
            size = 2 * sum(file.stat().st_size for file in files)
            return Prediction(base + size, f"twice the files' size and {format_size(base)} of libraries")
        summaries = [summary for file in files if (summary := summarize(file)) is not None]
    except (OSError, ArtifactError):
        return None
    if not summaries or len(summaries) != len(files):
        return None
    tensors = sum(summary.tensor_bytes for summary in summaries)
    how = f"{format_size(tensors)} of tensors and {format_size(base)} of libraries"
    converted = _converted(Path(path), summaries) if loader == "transformers" else 0
    if converted:
        how += f", and {format_size(converted)} of weights converted to another type"
    return Prediction(base + tensors + converted, how)


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
