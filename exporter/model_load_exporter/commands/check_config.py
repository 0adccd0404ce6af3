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

    try:
        config = load_config(options.file)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    for line in warnings(config):
        print(f"warning: {line}", file=sys.stderr)
    canaries = sum(model.canary is not None for model in config.models)
    print(
        f"{options.file}: good; {len(config.models)} models, {canaries} with a canary, {len(config.services)} services"
    )
    return 0
