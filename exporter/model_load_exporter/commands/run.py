"""`run -- CMD...`: a service instrumented without code, and supervised. The supervisor takes this process's place."""

import argparse
import os
import sys
from typing import Any, NoReturn

from model_load_exporter.units import parse_duration

_OWN_ERROR = 125
_EXAMPLE = """\
  model-load-exporter run --name translation -- uvicorn app:app --workers 2
  model-load-exporter run --model llama-3-8b --ready-url http://127.0.0.1:8080/health -- llama-server -m llama.gguf

Every signal is handed on; the exit status is the service's own. docs/RUN.md has the rest."""


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the verb and its flags."""
    parser = verbs.add_parser(
        "run",
        help="start a service instrumented without code, and supervise it",
        usage="%(prog)s [--name S] [--model M --ready-url URL|--ready-log REGEX [--ready-timeout D]] -- CMD...",
        description="Starts a service whose model loads are witnessed without a change of its code.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.__class__ = _Parser  # all verbs' parsers are made of one class, and this one's exit status is its own
    parser.set_defaults(run=run, refuse=parser.error)
    add = parser.add_argument
    add("--name", metavar="S", help="the service's name: label `target` of its loads")
    add("--model", metavar="M", help="the start of the service, until it is ready, is one load of this model")
    add("--ready-url", metavar="URL", help="with --model: it is ready when this address answers 2xx")
    add("--ready-log", metavar="REGEX", help="with --model: it is ready when a line of its output matches")
    add(
        "--ready-timeout",
        metavar="D",
        help="with --model: not ready by then is a failure; the service goes on",
    )
    add("command", nargs=argparse.REMAINDER, metavar="-- CMD...", help="the service")


class _Parser(argparse.ArgumentParser):
    """Ends with 125 on a mistake, as env(1), nohup(1), timeout(1) do: what is below is the command's own."""

    def error(self, message: str) -> NoReturn:
        """Says how it is used and what was wrong."""
        self.print_usage(sys.stderr)
        self.exit(_OWN_ERROR, f"model-load-exporter: {message}\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Knows all that it gets: what stands before the command is not for others to judge."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown


def run(options: argparse.Namespace) -> int:
    """Becomes the supervisor; returns only where it cannot."""
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    wrong = _wrong(options, command)
    if wrong is not None:
        options.refuse(wrong)
    from model_load_exporter.run.options import Options

    try:
        timeout = parse_duration(options.ready_timeout) if options.ready_timeout is not None else None
    except ValueError as error:
        options.refuse(f"--ready-timeout: {error}")
    asked = Options(command, options.name, options.model, options.ready_url, options.ready_log, timeout)
    from model_load_exporter import run as package

    program = os.path.join(os.path.dirname(os.path.abspath(package.__file__)), "__main__.py")
    sys.stdout.flush()
    try:
        # A bare interpreter: this one has argparse and the other verbs in its memory, for the service's whole life.
        os.execv(sys.executable, [sys.executable, "-I", "-S", program, *asked.to_arguments()])  # noqa: S606 - on purpose
    except OSError as error:
        print(f"model-load-exporter: cannot start {sys.executable}: {error.strerror}", file=sys.stderr)
        return _OWN_ERROR


def _wrong(options: argparse.Namespace, command: list[str]) -> str | None:
    """What does not go together, or None."""
    if not command:
        return "say what to run: model-load-exporter run -- CMD..."
    ready = [flag for flag in ("ready_url", "ready_log") if getattr(options, flag) is not None]
    if options.model is None and (ready or options.ready_timeout is not None):
        return "--ready-url, --ready-log and --ready-timeout need --model: whose load is it?"
    if options.model is not None and len(ready) != 1:
        return "--model needs one of --ready-url and --ready-log: when is the service ready?"
    if options.model == "":
        return "--model: an empty name names nothing"
    if options.ready_url is not None and not options.ready_url.startswith(("http://", "https://")):
        return f"--ready-url: {options.ready_url!r} is no http:// or https:// address"
    if options.ready_log is not None:
        from model_load_exporter.run.output import check_pattern

        problem = check_pattern(options.ready_log)
        if problem is not None:
            return f"--ready-log: {problem}"
    return None
