"""`probe`: one canary load now, shown as a waterfall of its stages."""

import argparse
import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from model_load_exporter.attempt import STAGES
from model_load_exporter.identity import looks_like_file, model_name
from model_load_exporter.units import parse_duration, parse_size

if TYPE_CHECKING:
    from model_load_exporter.config import Model

_EXIT = {"loaded": 0, "failed": 1, "skipped": 3}


class _UsageError(Exception):
    """The command line does not say what to load; the message says what is missing."""


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the verb and its flags."""
    parser = verbs.add_parser(
        "probe",
        help="load one model now, in a sandbox, and show its stages",
        description="One canary load now: stages, peak memory, and the reason if it fails. "
        "Exits 0 loaded, 1 failed, 2 usage, 3 skipped because it would not fit.",
        epilog="Without a flag: as the config file has it, else what the path tells.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("model", metavar="MODEL|PATH", help="a model of the config file, a path, or a repo id in the local hub cache")
    add("--config.file", dest="config_file", metavar="FILE", help="where MODEL is configured")
    add("--loader", metavar="LOADER", help="transformers, torch, safetensors, onnx or python:module:callable")
    add("--task", metavar="TASK", help="such as translation, text-generation, feature-extraction")
    add("--python", metavar="P", help="the interpreter to load under: the service's own")
    add("--stages", metavar="A,B", help="only these stages, such as config,tokenizer")
    add("--timeout", metavar="D", help="time limit, such as 5m")
    add("--memory-limit", dest="memory_limit", metavar="S", help="memory limit, such as 8GiB")
    add("--json", action="store_true", help="one JSON document instead of text")


def run(options: argparse.Namespace) -> int:
    """0 loaded, 1 failed, 2 usage, 3 skipped."""
    from model_load_exporter.canary.report import render
    from model_load_exporter.canary.run import run_canary
    from model_load_exporter.config import ConfigError

    try:
        model = _model(options)
        stages = _stages(options.stages)
    except (_UsageError, ConfigError, ValueError) as error:
        print(f"model-load-exporter: {error}", file=sys.stderr)
        return 2
    if not options.json and sys.stderr.isatty():
        print(f"loading {model.name} ...", file=sys.stderr)
    result = asyncio.run(run_canary(model, stages=stages))
    if options.json:
        print(json.dumps(result.to_json(), indent=2))
    else:
        sys.stdout.write(render(result, terminal=sys.stdout.isatty()))
    return _EXIT[result.outcome]


def _model(options: argparse.Namespace) -> "Model":
    """The model to load: the configured one, or one made of a path; flags of the command line win."""
    from model_load_exporter.config import Canary, Config, load_config

    config = load_config(options.config_file) if options.config_file else Config()
    found = next((model for model in config.models if model.name == options.model), None)
    model = found or _unconfigured(options)
    canary = model.canary or Canary()
    if options.python:
        canary = replace(canary, python=options.python)
    if options.timeout:
        canary = replace(canary, timeout=parse_duration(options.timeout))
    if options.memory_limit:
        canary = replace(canary, memory_limit=parse_size(options.memory_limit))
    return replace(model, canary=canary, loader=options.loader or model.loader, task=options.task or model.task)


def _unconfigured(options: argparse.Namespace) -> "Model":
    from model_load_exporter.config import Model

    path = Path(options.model).expanduser()
    given = options.model
    if path.exists() or given.startswith(("/", "./", "../", "~")):
        given = str(path.absolute())
    elif options.config_file:
        raise _UsageError(f"{options.config_file} has no model {given!r}, and there is no such path")
    return Model(name=model_name(None, given, None), path=given, loader=_loader(given))


def _loader(path: str) -> str:
    """By the kind of file; a folder or a repo id is for transformers."""
    if not looks_like_file(path):
        return "transformers"
    suffix = Path(path).suffix
    return {".safetensors": "safetensors", ".onnx": "onnx", ".gguf": "gguf", ".tflite": "tflite"}.get(suffix, "torch")


def _stages(text: str | None) -> list[str] | None:
    if text is None:
        return None
    stages = [stage.strip() for stage in text.split(",") if stage.strip()]
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown or not stages:
        raise _UsageError(f"--stages: no stage {', '.join(unknown) or 'given'}; there are: {', '.join(STAGES)}")
    return stages
