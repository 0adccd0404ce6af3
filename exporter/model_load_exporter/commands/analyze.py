"""`analyze`: why a load failed, from any mix of logs."""

import argparse
import json
import sys
import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING

from model_load_exporter.units import parse_duration, shown

if TYPE_CHECKING:
    from model_load_exporter.analysis.analyze import Options


class _UsageError(Exception):
    """The command line cannot be followed; the message says why."""


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the verb and its flags."""
    parser = verbs.add_parser(
        "analyze",
        help="why a load failed, from logs",
        description="The root cause that service, client, kernel, container and Kubernetes logs tell together: reason, "
        "stage, evidence, timeline, what to do. Exits 0 nothing failed, 1 a cause found, 2 usage.",
        epilog="Examples: `analyze service.log kernel.log client.log`, `journalctl -u my-service | ... analyze -`.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("logs", metavar="LOG", nargs="+", help="files of any size, also gzip; - is standard input")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document instead of text")
    form.add_argument("--markdown", action="store_true", help="a report to paste into an incident")
    add("--since", metavar="T", help="leave out what is older: a time, or how long ago (30m)")
    add("--until", metavar="T", help="leave out what is newer")
    add(
        "--timezone",
        metavar="Z",
        help="of times without a zone: UTC, +02:00 or a name such as Europe/Berlin (this host's)",
    )
    add(
        "--boot-time",
        dest="boot",
        metavar="T",
        help="when the host of the kernel's lines started: a time, or `host` for this one",
    )
    add("--runbooks", metavar="URL", default="/runbooks/", help="where the runbooks are served (%(default)s)")
    add(
        "--engine",
        metavar="E",
        help="how lines are searched; the answer is the same with each (default: the fastest here)",
    )


def run(options: argparse.Namespace) -> int:
    """0 nothing failed, 1 a cause found, 2 usage."""
    from model_load_exporter.analysis import markdown, text
    from model_load_exporter.analysis.analyze import analyze
    from model_load_exporter.analysis.bar import bar
    from model_load_exporter.analysis.scan import EngineError, SourceError

    try:
        if options.logs.count("-") > 1:
            raise _UsageError("standard input can be read once: give - once")
        chosen = _options(options)
        if "-" in options.logs and sys.stdin.isatty():
            print("reading standard input; Ctrl-D ends it", file=sys.stderr)
        if "-" in options.logs and sys.stdin is None:
            raise _UsageError("standard input is closed")
        with bar("analyzing") as progress:
            found = analyze(options.logs, chosen, progress)
    except (_UsageError, EngineError, SourceError, ValueError) as error:
        print(f"model-load-exporter: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    elif options.markdown:
        sys.stdout.write(markdown.render(found))
    else:
        sys.stdout.write(text.render(found, terminal=sys.stdout.isatty()))
    # An all-clear that did not see everything is none.
    unread = any(source.problem for source in found.sources)
    return 1 if found.failed else 2 if unread else 0


def _options(options: argparse.Namespace) -> "Options":
    from model_load_exporter.analysis.analyze import Options

    zone = _zone(options.timezone)
    return Options(
        zone=zone,
        boot=_boot(options.boot, zone),
        since=_time(options.since, zone, "--since"),
        until=_time(options.until, zone, "--until"),
        engine=options.engine,
        runbooks=options.runbooks,
    )


def _zone(name: str | None) -> tzinfo | None:
    from model_load_exporter.analysis.timestamps import offset

    if name is None:
        return None
    if name in ("UTC", "Z"):
        return UTC
    if name[:1] in "+-" and name[1:].replace(":", "").isdigit() and len(name.replace(":", "")) == 5:
        return timezone(timedelta(seconds=offset(name)))
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _UsageError(f"--timezone: no zone {shown(name)}; write UTC, +02:00 or Europe/Berlin") from None


def _time(value: str | None, zone: tzinfo | None, flag: str) -> float | None:
    """A time as logs write it, a date, or a duration before now."""
    from model_load_exporter.analysis.timestamps import ABSOLUTE, NAIVE, parse

    if value is None:
        return None
    stamp = parse(f"{value} 00:00:00" if len(value) == 10 and value.count("-") == 2 else value)
    if stamp is not None and stamp.kind == ABSOLUTE:
        return stamp.value
    if stamp is not None and stamp.kind == NAIVE:
        return datetime.fromtimestamp(stamp.value, UTC).replace(tzinfo=zone).timestamp()
    try:
        return time.time() - parse_duration(value)
    except ValueError:
        raise _UsageError(
            f"{flag}: {shown(value)} is no time; write 2026-01-31T10:00:00, 2026-01-31 or how long ago: 30m, 2h"
        ) from None


def _boot(value: str | None, zone: tzinfo | None) -> float | None:
    if value != "host":
        return _time(value, zone, "--boot-time")
    try:
        with open("/proc/stat", encoding="ascii") as stat:
            return float(next(line.split()[1] for line in stat if line.startswith("btime ")))
    except (OSError, StopIteration):
        raise _UsageError("--boot-time host: this system does not tell it; write the time") from None
