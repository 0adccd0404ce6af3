"""What a valid config asks for in vain: keys that this version does not act on, and files that are not there.

None of it is a mistake of the file. A model's path that is missing is a failure that the canary must report; but who
writes the file wants to hear of it at once.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from model_load_exporter.config.schema import Canary, Config, Model
from model_load_exporter.identity import looks_like_file
from model_load_exporter.units import format_size

_SMALL = 1_000_000

CANARY_LOADERS = ("transformers", "torch", "safetensors", "onnx", "python")
"""What this version's canary can load with."""

_LOADERS_WITH_INPUT = ("transformers",)
_LOADERS_WITH_OUTPUT = ("transformers", "onnx")


def warnings(config: Config) -> tuple[str, ...]:
    """One line each, `KEY: what to know`. Looks at the file system, so a dead network mount can hold it up."""
    return tuple(_all(config))


def _all(config: Config) -> Iterator[str]:
    for index, model in enumerate(config.models):
        yield from _model(model, f"models[{index}]")
    for index, service in enumerate(config.services):
        for key in ("url", "model_url"):
            if getattr(service, key) is not None:
                yield f"services[{index}].{key}: this version does not probe services; the key has no effect"
    for index, path in enumerate(config.cache_paths):
        yield from _missing(f"cache_paths[{index}]", path)


def _model(model: Model, key: str) -> Iterator[str]:
    if model.path and model.path.startswith("/"):
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
    if model.verify is not None:
        yield f"{key}.verify: this version does not verify files; the key has no effect"


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
    if canary.expect is not None and loader not in _LOADERS_WITH_OUTPUT:
        yield f"{key}.expect: loader {loader} gives no output, so no expectation is met"


def _missing(key: str, path: str) -> Iterator[str]:
    try:
        Path(path).stat()
    except PermissionError:
        yield f"{key}: {path} cannot be looked at by this user"
    except OSError:
        yield f"{key}: {path} does not exist here"
