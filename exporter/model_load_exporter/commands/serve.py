"""`serve`: the daemon."""

import argparse
import asyncio
import sys

from model_load_exporter.collectors.names import COLLECTOR_NAMES
from model_load_exporter.commands.folders import SPOOL, STATE
from model_load_exporter.witness.sources import SOURCES

DEFAULT_LISTEN = ":9877"


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the verb and its flags."""
    parser = verbs.add_parser(
        "serve",
        help="run the exporter",
        description="Runs the exporter until SIGTERM or Ctrl-C. SIGHUP reads the config file again.",
        epilog=f"Each collector can be switched off with --no-collector.NAME: {', '.join(COLLECTOR_NAMES)}.",
    )
    parser.set_defaults(run=run, collectors_disabled=[])
    add = parser.add_argument
    add(
        "--config.file",
        dest="config_file",
        metavar="FILE",
        help="models, canaries and thresholds; without it only instrumented services are seen",
    )
    add(
        "--web.listen-address",
        dest="listen",
        action="append",
        metavar="[HOST]:PORT",
        help=f"address to serve on; may be given again (default: {DEFAULT_LISTEN})",
    )
    add(
        "--spool.dir",
        dest="spool",
        default=SPOOL,
        metavar="DIR",
        help="folder that services write journals to; made if missing (default: %(default)s)",
    )
    add(
        "--state.dir",
        dest="state",
        default=STATE,
        metavar="DIR",
        help="folder of the ledger; made if missing (default: %(default)s)",
    )
    add("--path.procfs", dest="procfs", default="/proc", metavar="DIR", help="where procfs is mounted (%(default)s)")
    add("--path.sysfs", dest="sysfs", default="/sys", metavar="DIR", help="where sysfs is mounted (%(default)s)")
    add(
        "--evidence.disable",
        dest="evidence_disabled",
        action="append",
        default=[],
        choices=SOURCES,
        metavar="SOURCE",
        help=f"do without a source of evidence: {', '.join(SOURCES)}; may be given again",
    )
    add("--log.format", dest="log_format", default="logfmt", choices=("logfmt", "json"), help="default: %(default)s")
    add(
        "--log.level",
        dest="log_level",
        default="info",
        choices=("debug", "info", "warn", "error"),
        help="default: %(default)s",
    )
    for name in COLLECTOR_NAMES:
        flag = f"--no-collector.{name}"
        add(flag, dest="collectors_disabled", action="append_const", const=name, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Runs the daemon; 0 after a clean stop, 1 where it cannot start, with a line that says why."""
    from model_load_exporter import logs
    from model_load_exporter.config import ConfigError
    from model_load_exporter.daemon import StartError
    from model_load_exporter.journal.spool import SpoolError
    from model_load_exporter.ledger import LedgerError

    logs.configure(options.log_format, options.log_level)
    try:
        asyncio.run(_serve(options))
    except (ConfigError, SpoolError, LedgerError, StartError) as error:
        for line in str(error).splitlines():
            print(f"model-load-exporter: {line}", file=sys.stderr)
        return 1
    return 0


async def _serve(options: argparse.Namespace) -> None:
    from model_load_exporter.daemon import Daemon, Options

    daemon = Daemon(
        Options(
            config_file=options.config_file,
            listen=options.listen or [DEFAULT_LISTEN],
            spool=options.spool,
            state=options.state,
            procfs=options.procfs,
            sysfs=options.sysfs,
            evidence_disabled=options.evidence_disabled,
            collectors_disabled=options.collectors_disabled,
        )
    )
    await daemon.serve()
