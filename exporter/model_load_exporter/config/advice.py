"""What a valid config asks for in vain: keys that this version does not act on, and files that are not there.

None of it is a mistake of the file. A model's path that is missing is a failure that the canary must report; but who
writes the file wants to hear of it at once.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from model_load_exporter.config.discover import look
from model_load_exporter.config.schema import Canary, Config, Expect, Model
from model_load_exporter.identity import looks_like_file
from model_load_exporter.units import format_size

_SMALL = 1_000_000

CANARY_LOADERS = ("transformers", "torch", "safetensors", "onnx", "tflite", "gguf", "python")
"""What this version's canary can load with."""

_LOADERS_WITH_INPUT = ("transformers", "gguf")
_LOADERS_THAT_TELL = {
    "output": ("transformers", "onnx", "tflite", "gguf"),
    "similarity": ("transformers", "onnx", "tflite"),
    "parameters": ("transformers", "torch", "safetensors", "gguf", "python"),
    "dtype": ("transformers", "torch", "safetensors", "python"),
    "quantization": ("transformers", "torch", "safetensors", "onnx", "tflite", "gguf", "python"),
}
"""What the canary can hold an expectation against. A callable tells of tensors only where it returns torch's."""


def warnings(config: Config) -> tuple[str, ...]:
    """One line each, `KEY: what to know`. Looks at the file system, so a dead network mount can hold it up."""
    return tuple(_all(config))


def _all(config: Config) -> Iterator[str]:
    for index, model in enumerate(config.models):
        yield from _model(model, f"models[{index}]")
    for index, path in enumerate(config.cache_paths):
        yield from _missing(f"cache_paths[{index}]", path)


def _model(model: Model, key: str) -> Iterator[str]:
    if model.path and not model.name:
        if not look((model.path,)).get(model.path):
            yield f"{key}.path: {model.path} matches no folder and no model file here"
    elif model.path and model.path.startswith("/"):
        yield from _missing(f"{key}.path", model.path)
    elif model.path and looks_like_file(model.path):
        yield f"{key}.path: {model.path} is taken as a repo id of the hub; for a file write ./{model.path}"
    for index, pattern in enumerate(model.match):
        if not re.sub(r"[*?]", "", pattern):
            yield f'{key}.match[{index}]: "{pattern}" counts every load of any other name as this model'
    if model.thresholds.memory_bytes < _SMALL:
        size = format_size(model.thresholds.memory_bytes)
        yield f"{key}.thresholds.memory_bytes: {size} is less than any model needs; is a unit missing?"
    if model.canary is not None:
        yield from _canary(model, model.canary, f"{key}.canary")
    if model.verify is not None and (model.verify.manifest or "").startswith("/"):
        yield from _missing(f"{key}.verify.manifest", model.verify.manifest or "")


def _canary(model: Model, canary: Canary, key: str) -> Iterator[str]:
    if canary.python is not None:
        missing = tuple(_missing(f"{key}.python", canary.python))
        yield from missing
        if not missing and not (Path(canary.python).is_file() and os.access(canary.python, os.X_OK)):
            yield f"{key}.python: {canary.python} is no program that this user may run"
    loader = model.loader.partition(":")[0]
    if loader not in CANARY_LOADERS:
        yield f"{key}: this version's canary cannot load with loader {loader}; every run will fail (config_invalid)"
        return
    if canary.input is not None and loader not in _LOADERS_WITH_INPUT:
        yield f"{key}.input: loader {loader} gives the model no input; the key has no effect"
    if canary.expect is not None:
        yield from _expect(canary.expect, loader, f"{key}.expect")


def _expect(expect: Expect, loader: str, key: str) -> Iterator[str]:
    of_output = expect.contains or expect.equals or expect.regex
    if of_output and loader not in _LOADERS_THAT_TELL["output"]:
        yield f"{key}: loader {loader} gives no output, so no expectation of one is met"
    for name in ("similarity", "parameters", "dtype", "quantization"):
        if getattr(expect, name) is not None and loader not in _LOADERS_THAT_TELL[name]:
            what = "numbers to compare" if name == "similarity" else name
            yield f"{key}.{name}: loader {loader} tells no {what}, so the expectation is never met"
    if expect.similarity is not None and expect.similarity.reference is not None:
        yield from _missing(f"{key}.similarity.reference", expect.similarity.reference)


def _missing(key: str, path: str) -> Iterator[str]:
    try:
        Path(path).stat()
    except PermissionError:
        yield f"{key}: {path} cannot be looked at by this user"
    except OSError:
        yield f"{key}: {path} does not exist here"
