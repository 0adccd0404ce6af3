"""`probe`: one canary load now, shown as a waterfall; or many, to find what fails and what would help."""

import argparse
import asyncio
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from model_load_exporter.attempt import STAGES
from model_load_exporter.identity import looks_like_file, model_name
from model_load_exporter.units import format_duration, format_size, parse_duration, parse_size, shown

if TYPE_CHECKING:
    from model_load_exporter.canary.result import CanaryResult
    from model_load_exporter.config import Model

_EXIT = {"loaded": 0, "failed": 1, "skipped": 3}


class _UsageError(Exception):
    """The command line does not say what to load; the message says what is missing."""


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the verb and its flags."""
    parser = verbs.add_parser(
        "probe",
        help="load one model now, in a sandbox, and show its stages",
        description="One canary load now: stages, peak memory, and the reason if it fails. --stages finds the "
        "component that fails, --variants what would load or cost less. Exits 0 loaded as configured, 1 failed, "
        "2 usage, 3 skipped because it would not fit; of several interpreters the first one counts.",
        epilog="Without a flag: as the config file has it, else what the path tells. PROBE.md of the docs says more.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add(
        "model",
        metavar="MODEL|PATH",
        nargs="?",
        help="a model of the config file, a path, or a repo id in the local hub cache",
    )
    add("--config.file", dest="config_file", metavar="FILE", help="where MODEL is configured")
    add(
        "--loader",
        metavar="LOADER",
        help="transformers, torch, safetensors, onnx, tflite, gguf or python:module:callable",
    )
    add("--task", metavar="TASK", help="such as translation, text-generation, feature-extraction")
    add("--python", metavar="P", action="append", help="the interpreter to load under, the service's own; repeatable")
    add(
        "--stages", metavar="A,B", nargs="?", const="", help="a component more each time; with a list only these stages"
    )
    add("--variants", action="store_true", help="try other ways to load it too, and recommend one")
    add("--write-reference", dest="reference", metavar="FILE", help="write the output as expect.similarity.reference")
    add("--timeout", metavar="D", help="time limit, such as 5m")
    add("--memory-limit", dest="memory_limit", metavar="S", help="memory limit, such as 8GiB")
    add("--json", action="store_true", help="one JSON document instead of text")


def run(options: argparse.Namespace) -> int:
    """0 loaded, 1 failed, 2 usage, 3 skipped."""
    from model_load_exporter.config import ConfigError

    _take_model_from_stages(options)
    try:
        options.python = [_interpreter(path) for path in options.python or ()]
        model = _model(options)
        stages = _stages(options.stages)
        many = options.variants or options.stages == "" or len(options.python or ()) > 1
        if stages is not None and many:
            raise _UsageError("--stages with a list is one partial load; leave out the list, or the other flags")
        if options.reference and (stages is not None or many):
            raise _UsageError("--write-reference needs one whole load; leave out the other flags")
    except (_UsageError, ConfigError, ValueError) as error:
        print(f"model-load-exporter: {error}", file=sys.stderr)
        return 2
    return _study(model, options) if many else _once(model, stages, options)


def _interpreter(path: str) -> str:
    """The path from the root: the load's own folder is another. A link stays one: a venv's python is known by it."""
    found = shutil.which(path)
    if found is None:
        raise _UsageError(f"--python {path}: there is no such program, or this user may not run it")
    return os.path.abspath(found)


def _once(model: "Model", stages: list[str] | None, options: argparse.Namespace) -> int:
    from model_load_exporter.canary.report import render
    from model_load_exporter.canary.run import run_canary

    if not options.json and sys.stderr.isatty():
        print(f"loading {model.name} ...", file=sys.stderr)
    result = asyncio.run(run_canary(model, stages=stages))
    if options.json:
        print(json.dumps(result.to_json(), indent=2))
    else:
        sys.stdout.write(render(result, terminal=sys.stdout.isatty()))
    if options.reference and result.outcome == "loaded":
        return _write_reference(model, result, options.reference)
    return _EXIT[result.outcome]


def _study(model: "Model", options: argparse.Namespace) -> int:
    from model_load_exporter.canary.report import render
    from model_load_exporter.canary.study import Plan, study
    from model_load_exporter.canary.study_report import render as render_study
    from model_load_exporter.config import Canary

    canary = model.canary or Canary()
    pythons = options.python or [canary.python or sys.executable]
    said = 0

    def say(text: str) -> None:
        nonlocal said
        said += 1
        if sys.stderr.isatty():
            print(f"\r\x1b[K{said} of at most {most}: {text} ...", end="", file=sys.stderr, flush=True)

    plan = Plan(model, pythons, options.stages == "", options.variants, say)
    most = plan.most_loads()
    if sys.stderr.isatty():
        limit = format_duration(canary.timeout)
        longest = format_duration(canary.timeout * most)
        print(f"{model.name}: at most {most} loads of at most {limit} each, {longest} together", file=sys.stderr)
    found = asyncio.run(study(plan))
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        sys.stdout.write(render(found.base, terminal=sys.stdout.isatty()) + "\n" + render_study(found))
    return _EXIT[found.base.outcome]


def _write_reference(model: "Model", result: "CanaryResult", file: str) -> int:
    from model_load_exporter.canary.reference import write_reference

    try:
        write_reference(file, result, model.canary.input if model.canary else None)
    except (OSError, ValueError) as error:
        print(f"model-load-exporter: --write-reference {file}: {error}", file=sys.stderr)
        return 2
    print(f"reference written: {file}", file=sys.stderr)
    return 0


def _model(options: argparse.Namespace) -> "Model":
    """The model to load: the configured one, or one made of a path; flags of the command line win."""
    from model_load_exporter.config import Canary, Config, load_config
    from model_load_exporter.config.discover import expanded

    if options.model is None:
        raise _UsageError("say what to load: a model of the config file, a path, or a repo id")
    config = expanded(load_config(options.config_file)).config if options.config_file else Config()
    found = next((model for model in config.models if model.name == options.model), None)
    model = found or _unconfigured(options)
    canary = model.canary or Canary()
    if options.python:
        canary = replace(canary, python=options.python[0])
    if options.timeout is not None:
        canary = replace(canary, timeout=_timeout(options.timeout))
    if options.memory_limit is not None:
        canary = replace(canary, memory_limit=_memory_limit(options.memory_limit))
    loader = model.loader if options.loader is None else _given_loader(options.loader)
    return replace(model, canary=canary, loader=loader, task=options.task or model.task)


def _given_loader(text: str) -> str:
    """The loader as the config file would have it; a file of Python is found from here."""
    from model_load_exporter.config.schema import LOADERS
    from model_load_exporter.config.values import loader

    try:
        return loader(text, os.getcwd())
    except ValueError as error:
        if text.startswith("python:"):
            raise _UsageError(f"--loader {error}") from None
        known = ", ".join(LOADERS)
        raise _UsageError(
            f"--loader {shown(text)} is no loader; there are: {known} and python:module:callable"
        ) from None


def _timeout(text: str) -> float:
    """Seconds."""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise _UsageError(f"--timeout {error}") from None
    if not seconds:
        raise _UsageError(f"--timeout {shown(text)} is no time at all; write a duration such as 5m")
    return seconds


def _memory_limit(text: str) -> int:
    """Bytes; the least is that of the config file."""
    from model_load_exporter.config.build import SMALLEST_MEMORY_LIMIT

    try:
        size = parse_size(text)
    except ValueError as error:
        raise _UsageError(f"--memory-limit {error}") from None
    if size < SMALLEST_MEMORY_LIMIT:
        least = format_size(SMALLEST_MEMORY_LIMIT)
        raise _UsageError(f"--memory-limit {shown(text)} is too little for a Python interpreter; at least {least}")
    return size


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


def _take_model_from_stages(options: argparse.Namespace) -> None:
    """`probe --stages MODEL`: argparse takes the model for the flag's list, where no stage is called so."""
    if options.model is None and options.stages and not set(options.stages.split(",")) <= set(STAGES):
        options.model, options.stages = options.stages, ""


def _stages(text: str | None) -> list[str] | None:
    if not text:
        return None
    stages = [stage.strip() for stage in text.split(",") if stage.strip()]
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown or not stages:
        raise _UsageError(f"--stages: no stage {', '.join(unknown) or 'given'}; there are: {', '.join(STAGES)}")
    return stages
