"""`history`: past loads from the ledger, beside a running daemon or without one."""

import argparse
import json
import sys
import time
from dataclasses import asdict

from model_load_exporter.commands.folders import STATE
from model_load_exporter.ledger import LedgerError, Row, read_only


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the verb and its flags."""
    parser = verbs.add_parser("history", help="past loads", description="Past loads from the ledger, newest first.")
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("--state.dir", dest="state", default=STATE, metavar="DIR", help="the exporter's state folder (%(default)s)")
    add("--model", metavar="NAME", help="only loads of this model")
    add("--limit", type=int, default=20, metavar="N", help="how many (default: %(default)s)")
    add("--json", action="store_true", help="one JSON document instead of text")


def run(options: argparse.Namespace) -> int:
    """Prints the latest loads; 2 where there is no ledger."""
    try:
        ledger = read_only(options.state)
    except LedgerError as error:
        print(f"model-load-exporter: {error}", file=sys.stderr)
        return 2
    try:
        rows = ledger.history(options.model, None, max(options.limit, 1))
    finally:
        ledger.close()
    if options.json:
        print(json.dumps({"schema": 1, "loads": [asdict(row) for row in rows]}, indent=2))
    elif not rows:
        print("no loads yet")
    else:
        for row in rows:
            print(_line(row))
    return 0


def _line(row: Row) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.began))
    took = f"{row.seconds:.2f} s" if row.seconds is not None else ""
    name = f"{row.model} in {row.target}" if row.target else row.model
    why = f"{row.reason} at {row.stage}: {row.message}" if row.reason else ""
    return f"{when}  {row.kind:<7}  {row.outcome or 'open':<9}  {took:>10}  {name}  {why}".rstrip()
