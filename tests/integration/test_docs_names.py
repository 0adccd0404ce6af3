"""What the pages name exists: series, reasons, alerts, sources of evidence, formats."""

import re
from pathlib import Path

import pytest
import yaml
from docs_pages import PAGES, ROOT, words

from model_load_exporter.reasons import REASONS

# Between backquotes or in code, whole or with the suffix that prometheus_client adds to a histogram or summary.
_SERIES = re.compile(r"(?<![\w/.:-])(model_[a-z][a-z_0-9]*[a-z0-9])(?![\w(/.:-]|=True)")
_SUFFIXES = ("", "_bucket", "_count", "_sum", "_total")
# Names of other people's series, of parameters and of keys, which begin alike.
_OTHERS = {
    "model_load_exporter", "model_loads_total", "model_name", "model_type", "model_url", "model_version",
    "model_memory_bytes", "model_status", "model_up", "model_last_load_timestamp", "model_load_success_total",
    "model_load_time_seconds",
}  # fmt: skip
_ALERT = re.compile(r"\b(Model[A-Z]\w+)\b")
_NO_ALERT = {"ModelLoadCollector"}


def documented() -> set[str]:
    """Every series that docs/METRICS.md explains; another test makes that page from the code."""
    return set(re.findall(r"^\| `(model_\w+)`", words(ROOT / "docs" / "METRICS.md"), re.MULTILINE))


def alerts() -> set[str]:
    """Every alert of the rule files."""
    files = sorted((ROOT / "alerts" / "rules").glob("*.yml"))
    return {
        rule["alert"]
        for file in files
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_series_exist(page: Path) -> None:
    """Each series that a page names is one that the exporter has."""
    known = {name + suffix for name in documented() for suffix in _SUFFIXES} | _OTHERS
    unknown = {name for name in _SERIES.findall(words(page)) if name not in known}
    # `model_load_*`: a prefix of series.
    prefixes = {name for name in unknown if re.search(rf"\b{name}_?\*", words(page))}
    assert {name for name in prefixes if not any(one.startswith(name) for one in known)} == set()
    assert sorted(unknown - prefixes) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_alerts_exist(page: Path) -> None:
    """Each alert that a page names is in a rule file."""
    assert sorted(set(_ALERT.findall(words(page))) - alerts() - _NO_ALERT) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_reasons_exist(page: Path) -> None:
    """What a page gives as the value of the label `reason` is of the closed set."""
    given = re.findall(r'reason="(\w+)"', words(page)) + re.findall(r"\(reason `(\w+)`\)", words(page))
    assert sorted(set(given) - set(REASONS)) == []


def test_migration_names_reasons() -> None:
    """The table from error types to reasons has nothing but reasons on its right."""
    rows = re.findall(
        r"^\| .*? \| (.*) \|$",
        words(ROOT / "docs" / "MIGRATION.md").partition("| error_type |")[2].partition("\n## ")[0],
        re.MULTILINE,
    )
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) > 10
    assert sorted(named - set(REASONS)) == []


def test_evidence_is_told_in_full() -> None:
    """INSTALL.md explains every source of evidence, and none that is not there."""
    from model_load_exporter.witness.sources import SOURCES

    table = words(ROOT / "docs" / "INSTALL.md").partition("| source (")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(SOURCES)


def test_formats_are_told_in_full() -> None:
    """VERIFY.md has a row for every format."""
    from model_load_exporter.artifacts.registry import FOLDER_FORMATS, FORMATS

    table = words(ROOT / "docs" / "VERIFY.md").partition("## Formats")[2].partition("\n\nIn a")[0]
    told = {
        name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`([\w-]+)`", row)
    }
    assert ({form.name for form in FORMATS} | {form.name for form in FOLDER_FORMATS}) - told == set()


def test_security_says_what_is_not_there() -> None:
    """SECURITY.md says that there is no --web.config.file for as long as serve has none."""
    import argparse

    from model_load_exporter.commands import serve

    parser = argparse.ArgumentParser()
    serve.add_parser(parser.add_subparsers())
    there = "--web.config.file" in parser._subparsers._group_actions[0].choices["serve"].format_help()  # type: ignore[union-attr, index]  # argparse has no other way
    assert there != ("is planned and not implemented" in words(ROOT / "docs" / "SECURITY.md"))
