"""dashboards/fleet.json as a file: built by its code, complete, and true to the contract's names."""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
from dashboard_contract import CONTRACT
from dashboard_fleet import incident
from dashboard_queries import (
    REPOSITORY,
    Query,
    annotation_queries,
    dashboard,
    panel_queries,
    panels,
    variable_queries,
)

from model_load_exporter.reasons import REASONS

OF_A_SCRAPE = {"job", "instance"}
"""Labels that Prometheus adds to every series."""

MADE_HERE = {"what", "first"}
"""Labels that a query itself makes by label_replace."""

EVERY_EXPR = [*panel_queries(), *annotation_queries()]


def test_the_file_is_what_the_code_builds() -> None:
    """`--check` exits 0 on the committed file."""
    command = [sys.executable, "dashboards/fleet.py", "--check"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_check_tells_a_file_that_differs(tmp_path: Any) -> None:
    """`--check` exits 1 with one line that names the file and the command, and leaves the file alone."""
    copy = tmp_path / "dashboards"
    subprocess.run(["cp", "-r", REPOSITORY / "dashboards", copy], check=True)
    (copy / "fleet.json").write_text("{}\n", encoding="utf-8")
    command = [sys.executable, copy / "fleet.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == f"{copy}/fleet.json: not what fleet.py builds; run: make dashboards\n"
    assert (copy / "fleet.json").read_text(encoding="utf-8") == "{}\n"


@pytest.mark.parametrize("query", EVERY_EXPR, ids=str)
def test_a_query_uses_the_contracts_names(query: Query) -> None:
    """Every query parses; its metrics, matchers and join labels are of the contract."""
    tree = promql_parser.parse(query.expr)
    found = list(_selectors(tree))
    assert found, "a query that reads no series"
    labels: set[str] = set(OF_A_SCRAPE | MADE_HERE)
    for selector in found:
        assert selector.name in CONTRACT
        own = CONTRACT[selector.name] | OF_A_SCRAPE
        labels |= own
        assert {matcher.name for matcher in selector.matchers.matchers} <= own
    assert set(_named(query.expr)) <= labels


@pytest.mark.parametrize(("name", "series", "label"), list(variable_queries()))
def test_a_variable_uses_the_contracts_names(name: str, series: str, label: str) -> None:
    """Every variable asks for a label that its metric has."""
    (selector,) = _selectors(promql_parser.parse(series))
    assert label in CONTRACT[selector.name] | OF_A_SCRAPE
    assert label == name


def test_the_made_up_fleet_is_true_to_the_contract() -> None:
    """The data of the tests have the contract's labels, no more and no fewer."""
    for name, labels, _ in incident().at(300):
        assert set(labels) == CONTRACT[name] | OF_A_SCRAPE, name


def test_every_panel_has_a_place_of_its_own() -> None:
    """Ids and titles are unique, and no two panels overlap on the grid of 24 columns."""
    everything = dashboard()["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in panels()}) == len(panels())
    taken: dict[tuple[int, int], str] = {}
    for panel in everything:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            assert x < 24, panel["title"]
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_explains_itself(panel: dict[str, Any]) -> None:
    """Every panel says what it shows, in which unit, and what it means when there is nothing to show."""
    defaults = panel["fieldConfig"]["defaults"]
    assert len(panel["description"]) > 40
    assert defaults["unit"] in {"none", "s", "bytes", "percentunit"}
    assert defaults["noValue"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


def test_a_table_names_each_of_its_columns_once() -> None:
    """Overrides go by the header: two columns of one name would share them."""
    for panel in panels():
        if panel["type"] == "table":
            names = list(panel["transformations"][-1]["options"]["renameByName"].values())
            overridden = [override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]]
            assert len(set(names)) == len(names)
            assert sorted(overridden) == sorted(names)


def test_every_runbook_that_is_named_is_that_of_an_alert() -> None:
    """A description sends nobody to a runbook that no alert has."""
    alerts = set()
    for rules in (REPOSITORY / "alerts" / "rules").glob("*.yml"):
        alerts |= set(re.findall(r"- alert: (\w+)", rules.read_text(encoding="utf-8")))
    text = " ".join(panel["description"] for panel in panels())
    named = {name for group in re.findall(r"Runbooks?: ([\w, ]+)\.", text) for name in group.split(", ")}
    linked = set(re.findall(r"/runbooks/(\w+)", str(dashboard())))
    assert named
    assert linked
    assert named | linked <= alerts


def test_every_reason_is_told_in_words() -> None:
    """The table of failures has a sentence and a first step for each reason of the closed set."""
    (table,) = (panel for panel in panels() if panel["title"] == "Last failure of each kind")
    mapped = {
        override["matcher"]["options"]: option["value"][0]["options"]
        for override in table["fieldConfig"]["overrides"]
        for option in override["properties"]
        if option["id"] == "mappings"
    }
    assert {name: words["text"] for name, words in mapped["What happened"].items()} == {
        name: reason.sentence for name, reason in REASONS.items()
    }
    assert set(mapped["First thing to do"]) == set(REASONS)


def _selectors(node: Any) -> Iterator[Any]:
    """Every series selector below a node of the parsed query."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        if (child := getattr(node, name, None)) is not None:
            yield from _selectors(child)
    for child in getattr(node, "args", ()):
        yield from _selectors(child)


def _named(expr: str) -> Iterator[str]:
    """Every label in a by, without, on, ignoring or group list."""
    for group in re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right) ?\(([^()]*)\)", expr):
        yield from (label.strip() for label in group.split(",") if label.strip())
