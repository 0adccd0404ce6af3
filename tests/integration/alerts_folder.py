"""The alerts folder as data: rules, their promtool tests, runbooks and the commands in these."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

ALERTS = Path(__file__).parents[2] / "alerts"
RULE_FILES = sorted((ALERTS / "rules").glob("*.yml"))
TEST_FILES = sorted((ALERTS / "tests").glob("*_test.yml"))
RUNBOOKS = sorted((ALERTS / "runbooks").glob("*.md"))
ALERTMANAGER = ALERTS / "alertmanager" / "alertmanager.yml"

CASES = ("firing", "silent", "missing data", "resolving")
"""What each alert is tested for. A test's name begins with the alert and the case: `ModelLoadTime silent: ...`."""


@dataclass(frozen=True)
class Rule:
    """One alerting rule: the keys of its YAML, and its file."""

    alert: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]
    file: Path


@dataclass(frozen=True)
class Case:
    """One test of a promtool file. test: its YAML as it stands."""

    alert: str
    case: str
    test: dict[str, Any]
    file: Path

    @property
    def series(self) -> str:
        """All values of the input series, in promtool's notation."""
        return " ".join(str(series["values"]) for series in self.test["input_series"])

    def expectations(self) -> list[tuple[float, bool]]:
        """(Minutes, is it expected to fire), in order of time; a range over ALERTS counts at its end."""
        found = [(minutes(t["eval_time"]), bool(t["exp_alerts"])) for t in self.test.get("alert_rule_test", [])]
        found += [
            (minutes(t["eval_time"]), bool(t["exp_samples"]))
            for t in self.test.get("promql_expr_test", [])
            if "ALERTS" in t["expr"]
        ]
        return sorted(found)


@dataclass(frozen=True)
class Block:
    """A fenced shell block of a runbook.

    kind: what it needs. Empty: a Linux host with its usual tools; these run in the tests. `setup` names the variables
    that the others use. exporter, host, kubernetes, network, prometheus, gpu: needs that.
    """

    runbook: str
    section: str
    kind: str
    script: str


def minutes(duration: str) -> float:
    """A Prometheus duration of h, m and s, in minutes."""
    return sum(int(n) * {"h": 60, "m": 1, "s": 1 / 60}[unit] for n, unit in re.findall(r"(\d+)([hms])", str(duration)))


def rules() -> list[Rule]:
    """Each alerting rule of each rule file."""
    return [
        Rule(rule["alert"], rule["expr"], rule["labels"], rule["annotations"], file)
        for file in RULE_FILES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    ]


def cases() -> list[Case]:
    """Each test of each promtool file. A name that does not follow the convention has an empty case."""
    found = []
    for file in TEST_FILES:
        for test in yaml.safe_load(file.read_text())["tests"]:
            name = re.fullmatch(rf"(\w+) ({'|'.join(CASES)}): .+", test.get("name", ""))
            found.append(Case(name[1] if name else "", name[2] if name else "", test, file))
    return found


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool; standard output and error together."""
    return subprocess.run(
        ["promtool", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )


def _sections(markdown: str) -> Iterator[tuple[str, Token]]:
    heading, tokens = "", MarkdownIt("commonmark").enable("table").parse(markdown)
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = tokens[number + 1].content
        yield heading, token


def headings(runbook: Path, level: int | None = None) -> list[str]:
    """The headings of a runbook, in order; of one level, or of all."""
    return [
        heading
        for heading, token in _sections(runbook.read_text())
        if token.type == "heading_open" and (level is None or token.tag == f"h{level}")
    ]


def links(runbook: Path) -> list[str]:
    """The addresses of all links of a runbook."""
    return [
        str(child.attrs["href"])
        for _, token in _sections(runbook.read_text())
        for child in token.children or []
        if child.type == "link_open"
    ]


def blocks() -> list[Block]:
    """Each fenced shell block of each runbook; the word after `sh` is its kind."""
    found = []
    for runbook in RUNBOOKS:
        for heading, token in _sections(runbook.read_text()):
            language, _, kind = token.info.partition(" ") if token.type == "fence" else ("", "", "")
            if language == "sh":
                found.append(Block(runbook.stem, heading, kind, token.content))
    return found
