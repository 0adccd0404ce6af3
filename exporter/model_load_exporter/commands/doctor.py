"""`doctor`: what is wrong with this machine and the service's interpreter before a model is loaded there."""

import argparse
import json
import sys


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the verb and its flags."""
    parser = verbs.add_parser(
        "doctor",
        help="packages, memory, disks, limits and rights: what to do about each",
        description="Looks at the packages of the service's interpreter, and at memory, GPU, disks, limits, file "
        "rights and evidence on this host. Exits 0 when nothing has to be done, 1 with findings, 2 usage.",
        epilog="Run it where the service runs: same container, same user, same limits.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("--config.file", dest="config_file", metavar="FILE", help="the models and caches to look at")
    add("--python", action="append", default=[], metavar="P", help="an interpreter to check: the service's; repeatable")
    add("--user", metavar="U", help="the service's user, whose rights to the files are checked (as root)")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="one JSON document instead of text")
    shape.add_argument("--markdown", action="store_true", help="a report to paste")


def run(options: argparse.Namespace) -> int:
    """0 fine, 1 findings, 2 usage."""
    from model_load_exporter.config import Config, ConfigError, load_config
    from model_load_exporter.doctor import report
    from model_load_exporter.doctor.examination import examine

    try:
        config = load_config(options.config_file) if options.config_file else Config()
    except ConfigError as error:
        print(f"model-load-exporter: {error}", file=sys.stderr)
        return 2

    if options.user is not None and not _exists(options.user):
        print(f"model-load-exporter: --user {options.user}: there is no such user on this host", file=sys.stderr)
        return 2

    def progress(what: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[Klooking at {what} ...", end="", file=sys.stderr, flush=True)

    found = examine(config, options.python, options.user, progress=progress)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps(found.to_json(), indent=2))
    elif options.markdown:
        sys.stdout.write(report.markdown(found))
    else:
        sys.stdout.write(report.text(found, terminal=sys.stdout.isatty()))
    return 0 if found.healthy else 1


def _exists(user: str) -> bool:
    import pwd

    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
