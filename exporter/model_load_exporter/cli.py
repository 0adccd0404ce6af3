"""The command line: one file a verb in commands/; each answers its exit code. No traceback ever reaches a user."""

import argparse
import errno
import os
import signal
import sys
from collections.abc import Callable, Sequence

from model_load_exporter.commands import analyze, check_config, doctor, history, probe, run, serve, verify
from model_load_exporter.version import VERSION

VERBS = (serve, run, probe, verify, analyze, doctor, history, check_config)

_DEBUG = "MODEL_LOAD_EXPORTER_DEBUG"
_SIGPIPE = 128 + signal.SIGPIPE
"""As of a program that the signal ends: its reader went away before all was found."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb. Exit codes are the contract's: 0 good, 1 found or failed, 2 usage, 3 skipped."""
    _reopen_closed()
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    code = _SIGPIPE
    try:
        code = run(options)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _close_output()  # `| head` has seen enough; what was found stays the answer
        return code
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
            _close_output()
            print(f"model-load-exporter: the output cannot be written: {error.strerror}", file=sys.stderr)
            return 1
        if os.environ.get(_DEBUG):
            raise
        print(
            f"model-load-exporter: internal error, {type(error).__name__}: {error}; "
            f"this is a bug: run again with {_DEBUG}=1 and report what it prints",
            file=sys.stderr,
        )
        return 1


def _reopen_closed() -> None:
    """A stream that the caller closed (`>&-`) is None to Python; what is written to it shall go nowhere."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as above


def _close_output() -> None:
    """The interpreter must not complain about it at exit either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
