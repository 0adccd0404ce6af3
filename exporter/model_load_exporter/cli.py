"""The command line: one file a verb in commands/; each answers its exit code. No traceback ever reaches a user."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from model_load_exporter.commands import analyze, check_config, doctor, history, probe, run, serve, verify
from model_load_exporter.version import VERSION

VERBS = (serve, run, probe, verify, analyze, doctor, history, check_config)

_DEBUG = "MODEL_LOAD_EXPORTER_DEBUG"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb. Exit codes are the contract's: 0 good, 1 found or failed, 2 usage, 3 skipped."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # `| head` has seen enough; the interpreter must not complain about it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get(_DEBUG):
            raise
        print(
            f"model-load-exporter: internal error, {type(error).__name__}: {error}; "
            f"this is a bug: run again with {_DEBUG}=1 and report what it prints",
            file=sys.stderr,
        )
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="model-load-exporter",
        description="Witnesses ML model loads from outside the process: who failed to load, where, and why.",
        epilog="A service is witnessed by `from model_load_exporter import track_load`; docs/ has the rest.",
    )
    parser.add_argument("--version", action="version", version=f"model-load-exporter {VERSION}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for verb in VERBS:
        verb.add_parser(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
