"""The config file: strict YAML to a Config, or every mistake with its line and key. docs/CONFIGURE.md has the keys.

schema     what the file holds, as dataclasses
document   bytes -> YAML nodes, bounded
report     one node -> text, notes what is wrong
section    one mapping, key by key
values     one text -> checked value
build      nodes -> Config, and the checks between keys
expectation  `canary.expect`, what a loaded model is held to
advice     what is valid, but has no effect or is not there
"""

from pathlib import Path

from model_load_exporter.config.advice import warnings
from model_load_exporter.config.problems import ConfigError, Problem
from model_load_exporter.config.schema import (
    Canary,
    Config,
    Expect,
    Limits,
    Model,
    Service,
    Similarity,
    Thresholds,
    Verify,
)

__all__ = [
    "Canary",
    "Config",
    "ConfigError",
    "Expect",
    "Limits",
    "Model",
    "Problem",
    "Service",
    "Similarity",
    "Thresholds",
    "Verify",
    "config_from_text",
    "load_config",
    "warnings",
]


def load_config(path: str) -> Config:
    """Reads the file. Raises ConfigError with every mistake in it, also where it is missing or unreadable."""
    from model_load_exporter.config.document import read_text

    return config_from_text(read_text(path), path)


def config_from_text(text: str, file: str) -> Config:
    """The same for a text at hand; `file` names it in messages, and its folder is where relative paths start."""
    # Here: who needs the shapes alone, ModelLoadCollector in a service for one, needs no YAML parser.
    from model_load_exporter.config.build import build
    from model_load_exporter.config.document import compose
    from model_load_exporter.config.report import Report

    root = compose(text, file)
    if root is None or root.tag == "tag:yaml.org,2002:null":
        return Config()
    report = Report(file)
    config = build(root, str(Path(file).absolute().parent), report)
    if report.problems:
        raise ConfigError(tuple(report.problems))
    return config
