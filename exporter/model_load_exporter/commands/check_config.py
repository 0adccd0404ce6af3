"""`check-config`: every mistake of a config file with its line and key."""

import argparse
import sys


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the verb and its argument."""
    parser = verbs.add_parser(
        "check-config",
        help="check a config file",
        description="Names file, line and key of each mistake. Exits 0 when there is none, else 1.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("file", metavar="F")


def run(options: argparse.Namespace) -> int:
    """0 when the file is good; what has no effect is said and is no mistake."""
    from model_load_exporter.config import ConfigError, load_config, warnings
    from model_load_exporter.config.discover import expanded

    try:
        config = load_config(options.file)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    expansion = expanded(config)
    for line in (*warnings(config), *expansion.notes):
        print(f"warning: {line}", file=sys.stderr)
    for pattern, names in expansion.found.items():
        print(f"{pattern}: {len(names)} models now: {', '.join(names)}" if names else f"{pattern}: no model now")
    models = expansion.config.models
    canaries = sum(model.canary is not None for model in models)
    verified = sum(model.verify is not None for model in models)
    print(
        f"{options.file}: good; {len(models)} models, {canaries} with a canary, {verified} verified, "
        f"{len(config.services)} services"
    )
    return 0
