"""The queries of dashboards/fleet.json, as a data source sends them: variables replaced, steps set."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
FLEET = REPOSITORY / "dashboards" / "fleet.json"

SCRAPE_INTERVAL = 30
"""What the data source is told, and the made-up fleets have: the least step of a graph that asks for no other."""

SELECTED = {"job": "model-load-exporter", "instance": ".*", "target": ".*", "model": ".*"}
"""What Grafana puts for the variables when all stand on All."""


@dataclass(frozen=True)
class Query:
    """One query of a panel or an annotation. at_end: asked for one moment, not for a range. step: seconds."""

    owner: str
    ref: str
    expr: str
    at_end: bool
    step: int = SCRAPE_INTERVAL

    def __str__(self) -> str:
        return f"{self.owner}/{self.ref}"


def dashboard() -> dict[str, Any]:
    """The file as it is installed."""
    return dict(json.loads(FLEET.read_text(encoding="utf-8")))


def panels() -> list[dict[str, Any]]:
    """Every panel but the rows' headers."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def panel_queries() -> list[Query]:
    """The queries of all panels."""
    found = []
    for panel in panels():
        step = max(SCRAPE_INTERVAL, _seconds(panel.get("interval", "0s")))
        for target in panel["targets"]:
            expr = replaced(target["expr"], step)
            found.append(Query(panel["title"], target["refId"], expr, bool(target.get("instant")), step))
    return found


def _seconds(interval: str) -> int:
    return int(interval[:-1]) * {"s": 1, "m": 60}[interval[-1]]


def annotation_queries() -> list[Query]:
    """The queries that draw marks on every graph."""
    marks = dashboard()["annotations"]["list"]
    return [Query(mark["name"], "annotation", replaced(mark["expr"]), False) for mark in marks]


def variable_queries() -> Iterator[tuple[str, str, str]]:
    """Of each variable that asks Prometheus: its name, the series it looks at, the label whose values it offers."""
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert found, f"${variable['name']}: not a label_values(series, label)"
            yield variable["name"], replaced(found[1]), found[2]


def replaced(expr: str, step: int = SCRAPE_INTERVAL) -> str:
    """The query without Grafana's variables, as Grafana replaces them at that step."""
    rate_interval = max(step + SCRAPE_INTERVAL, 4 * SCRAPE_INTERVAL)
    expr = expr.replace("$__rate_interval", f"{rate_interval}s").replace("$__interval", f"{step}s")
    for name, value in SELECTED.items():
        expr = re.sub(rf"\${name}\b", value, expr)
    assert "$" not in expr.replace('"$1"', ""), f"a variable is left in {expr}"
    return expr
