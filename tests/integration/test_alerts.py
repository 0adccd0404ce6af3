"""The alerting rules and their promtool tests, by the real promtool; and that these tests can fail."""

import re
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from alerts_folder import ALERTS, CASES, RULE_FILES, RUNBOOKS, TEST_FILES, Case, Rule, cases, promtool, rules

RULES = rules()
BY_NAME = {rule.alert: rule for rule in RULES}
ALL_CASES = cases()


def by_case(case: str) -> list[Case]:
    return [c for c in ALL_CASES if c.case == case]


def name(case: Case) -> str:
    return str(case.test.get("name", case.file))


def test_check_rules() -> None:
    """Promtool accepts every rule file, and finds no rule twice."""
    done = promtool("check", "rules", *RULE_FILES)
    assert done.returncode == 0, done.stdout
    assert "duplicate" not in done.stdout
    assert len(BY_NAME) == len(RULES)


@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: file.stem)
def test_promtool_tests(file: Path) -> None:
    """Each alert fires, stays silent, bridges gaps and resolves as its promtool tests say."""
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout, "promtool only warns of a rule file that is missing"


@pytest.mark.parametrize("file", TEST_FILES, ids=lambda file: file.stem)
def test_rule_files_of_tests_exist(file: Path) -> None:
    """A test names rule files that exist, and they hold the alert that the file is called after."""
    named = [(file.parent / f).resolve() for f in yaml.safe_load(file.read_text())["rule_files"]]
    assert all(path.is_file() for path in named)
    assert BY_NAME[file.stem.removesuffix("_test")].file in named


def test_every_alert_has_every_case() -> None:
    """Each alert has tests named `ALERT firing: ...`, silent, missing data and resolving; no test has another name."""
    assert {name(c): (c.alert, c.case) for c in ALL_CASES if c.case not in CASES} == {}
    assert {(c.alert, c.case) for c in ALL_CASES} == {(rule.alert, case) for rule in RULES for case in CASES}


@pytest.mark.parametrize("case", ALL_CASES, ids=name)
def test_alertnames_are_those_of_the_case(case: Case) -> None:
    """A test asks for the alert that its name says: for a misspelt one, silence would always hold."""
    asked = {test["alertname"] for test in case.test.get("alert_rule_test", [])}
    for test in case.test.get("promql_expr_test", []):
        asked.update(re.findall(r'alertname="(\w+)"', test["expr"]))
    assert asked == {case.alert}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.alert)
def test_firing_case_pins_labels_and_annotations(rule: Rule) -> None:
    """At least one firing case states every annotation, and the labels that people and routes go by."""
    expected = [
        alert
        for case in by_case("firing")
        if case.alert == rule.alert
        for test in case.test.get("alert_rule_test", [])
        for alert in test["exp_alerts"]
    ]
    assert expected
    assert all(alert["exp_annotations"].keys() == rule.annotations.keys() for alert in expected)
    assert all(alert["exp_labels"]["severity"] == rule.labels["severity"] for alert in expected)
    if rule.alert == "ModelLoadFailure":
        assert any(
            {"model", "target", "reason", "stage", "instance"} <= alert["exp_labels"].keys() for alert in expected
        )


@pytest.mark.parametrize("case", by_case("firing"), ids=name)
def test_firing_case_fires(case: Case) -> None:
    """A firing case expects the alert at some time."""
    assert any(fires for _, fires in case.expectations())


@pytest.mark.parametrize("case", by_case("silent"), ids=name)
def test_silent_case_is_silent(case: Case) -> None:
    """A silent case expects the alert at no time, though there are data."""
    assert case.expectations()
    assert not any(fires for _, fires in case.expectations())
    assert case.test["input_series"]


@pytest.mark.parametrize("case", by_case("resolving"), ids=name)
def test_resolving_case_resolves(case: Case) -> None:
    """A resolving case expects the alert, and later none."""
    order = [fires for _, fires in case.expectations()]
    assert (True, False) in pairwise(order)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.alert)
def test_missing_data_is_told_to_promtool(rule: Rule) -> None:
    """Gaps are written as `stale`, as Prometheus itself marks a failed scrape: `_` alone is bridged for 5 minutes."""
    assert any("stale" in case.series for case in by_case("missing data") if case.alert == rule.alert)


MUTATIONS = [
    *((alert, BY_NAME[alert].expr, "vector(0) > 1") for alert in BY_NAME),
    ("ModelLoadFailure", "< 900", "< 1200"),
    ("ModelLoadFailure", "< 900", "< 600"),
    ("ModelLoadFailure", "unless", "and"),
    ("ModelLoadFailure", "<= on (job, instance, target, model)", "<= on (job, target, model)"),
    ("ModelLoadFailure", "max by (job, instance, target, model) ", ""),
    (
        "ModelLoadFailure",
        "last_over_time(model_load_failure_timestamp_seconds[15m])",
        "model_load_failure_timestamp_seconds",
    ),
    (
        "ModelLoadFailure",
        "last_over_time(model_load_success_timestamp_seconds[15m])",
        "model_load_success_timestamp_seconds",
    ),
    ("ModelLoadFailure", "#{{ $labels.reason }}", ""),
    ("ModelLoadTime", "> on (job, instance, target, model)", ">= on (job, instance, target, model)"),
    ("ModelLoadTime", "last_over_time(model_load_duration_seconds[15m])", "model_load_duration_seconds"),
    ("ModelLoadTime", "for: 1m", "for: 0m"),
    (
        "ModelLoadTime",
        "max by (job, instance, target, model) (last_over_time(model_load_d",
        "(last_over_time(model_load_d",
    ),
    (
        "ModelLoadTime",
        "last_over_time(model_load_duration_threshold_seconds[15m])",
        "model_load_duration_threshold_seconds",
    ),
    ("ModelMemoryUsage", "last_over_time(model_memory_threshold_bytes[15m])", "model_memory_threshold_bytes"),
    ("ModelMemoryUsage", "last_over_time(model_memory_usage_bytes[15m])", "model_memory_usage_bytes"),
    ("ModelMemoryUsage", "for: 5m", "for: 1m"),
    ("ModelMemoryUsage", "humanize1024", "humanize"),
    ("ModelCanaryFailing", "last_over_time(model_canary_success[15m])", "model_canary_success"),
    ("ModelCanaryFailing", "== 0", "< 2"),
    ("ModelCanaryFailing", "for: 5m", "for: 1m"),
    ("ModelCanaryOutputMismatch", "last_over_time(model_canary_output_match[15m])", "model_canary_output_match"),
    ("ModelCanaryOutputMismatch", "== 0", "< 2"),
    ("ModelCanaryOutputMismatch", "for: 5m", "for: 1m"),
    ("ModelArtifactInvalid", "last_over_time(model_artifact_valid[15m])", "model_artifact_valid"),
    ("ModelArtifactInvalid", "== 0", "< 2"),
    ("ModelArtifactInvalid", "for: 5m", "for: 1m"),
    ("ModelArtifactInvalid", "{job=%q,instance=%q,model=%q} == 1", "{job=%q,instance=%q,model=%q}"),
    *(
        ("ModelArtifactChanged", f"last_over_time({name}[15m])", name)
        for name in (
            "model_artifact_changed_timestamp_seconds",
            "model_artifact_modified_timestamp_seconds",
            "model_load_success_timestamp_seconds",
            "model_loaded",
        )
    ),
    ("ModelArtifactChanged", "model_artifact_modified_timestamp_seconds", "model_artifact_changed_timestamp_seconds"),
    ("ModelArtifactChanged", "model_artifact_changed_timestamp_seconds", "model_artifact_modified_timestamp_seconds"),
    ("ModelArtifactChanged", "(last_over_time(model_loaded[15m]) > 0)", "(last_over_time(model_loaded[15m]) >= 0)"),
    (
        "ModelArtifactChanged",
        "(last_over_time(model_load_success_timestamp_seconds[15m]) > 0)",
        "(last_over_time(model_load_success_timestamp_seconds[15m]))",
    ),
    ("ModelArtifactChanged", "on (job, instance, target, model)", "on (job, instance, model)"),
    ("ModelArtifactChanged", "for: 1h", "for: 15m"),
    *(
        ("ModelArtifactUnverified", f"last_over_time({name}[15m])", name)
        for name in (
            "model_artifact_verified_timestamp_seconds",
            "model_artifact_verification_interval_seconds",
            "model_load_exporter_config_last_reload_success_timestamp_seconds",
        )
    ),
    ("ModelArtifactUnverified", "model_artifact_checksum_", "model_artifact_nothing_"),
    ("ModelArtifactUnverified", "3 * max by", "4 * max by"),
    ("ModelArtifactUnverified", "3 * max by", "2 * max by"),
    ("ModelArtifactUnverified", "for: 15m", "for: 1m"),
    *(
        ("ModelServiceDown", f"last_over_time({name}[15m])", name)
        for name in (
            "model_service_up",
            "model_load_in_progress",
            "model_load_started_timestamp_seconds",
            "model_load_duration_threshold_seconds",
        )
    ),
    ("ModelServiceDown", "unless on (job, instance, target)", "unless on (job, instance)"),
    ("ModelServiceDown", "unless on (job, instance, target)", "unless on (job, target)"),
    (
        "ModelServiceDown",
        "(last_over_time(model_load_in_progress[15m]) > 0)",
        "last_over_time(model_load_in_progress[15m])",
    ),
    ("ModelServiceDown", "<= on (job", "!= on (job"),
    ("ModelServiceDown", "max by (job, instance, target, model) (last_", "(last_"),
    ("ModelServiceDown", "for: 2m", "for: 1m"),
    ("ModelServiceDown", "sort_desc", "sort"),
    ("ModelConnectionResets", 'cause=~"refused|reset"', 'cause=~".+"'),
    ("ModelConnectionResets", 'cause=~"refused|reset"', 'cause=~"reset"'),
    ("ModelConnectionResets", "and on (job, instance, target)", "and on (job, instance)"),
    ("ModelConnectionResets", "and on (job, instance, target)", "and on (job, target)"),
    ("ModelConnectionResets", "< 600", "< 900"),
    ("ModelConnectionResets", "[10m]", "[1m]"),
    ("ModelConnectionResets", "topk(1", "bottomk(1"),
    ("ModelServiceUnresponsiveWhileLoading", "> 30", "> 20"),
    ("ModelServiceUnresponsiveWhileLoading", "> 30", "> 60"),
    ("ModelServiceUnresponsiveWhileLoading", "[10m]", "[5m]"),
    ("ModelLoadExporterDown", "(.+[/_-])?model-load-exporter", "model-load-exporter"),
    ("ModelLoadExporterDown", "(.+[/_-])?model-load-exporter", ".*model-load-exporter.*"),
    (
        "ModelLoadExporterDown",
        "(up == 0 and on (job, instance) last_over_time",
        "(up == 2 and on (job, instance) last_over_time",
    ),
    ("ModelLoadExporterDown", "[1d]", "[12h]"),
    ("ModelLoadExporterDown", "for: 5m", "for: 1m"),
]


@pytest.mark.parametrize(("alert", "old", "new"), MUTATIONS)
def test_a_broken_rule_fails_its_tests(alert: str, old: str, new: str, tmp_path: Path) -> None:
    """Each part of a rule is held by a test: without it, promtool fails."""
    shutil.copytree(ALERTS / "rules", tmp_path / "rules")
    shutil.copytree(ALERTS / "tests", tmp_path / "tests")
    file = tmp_path / "rules" / BY_NAME[alert].file.name
    document = yaml.safe_load(file.read_text())
    for group in document["groups"]:
        group["rules"] = [rule for rule in group["rules"] if rule["alert"] == alert]
        for rule in group["rules"]:
            before = yaml.safe_dump(rule)
            rule["expr"] = rule["expr"].replace(old, new)
            rule["annotations"] = {key: text.replace(old, new) for key, text in rule["annotations"].items()}
            if old.startswith("for:"):
                rule["for"] = new.removeprefix("for: ")
            assert yaml.safe_dump(rule) != before, f"{old!r} is not in the rule any more: change the mutation with it"
    file.write_text(yaml.safe_dump(document))
    checked = promtool("check", "rules", file)
    assert checked.returncode == 0, f"the mutation must be a valid rule: {checked.stdout}"
    done = promtool("test", "rules", tmp_path / "tests" / f"{alert}_test.yml")
    assert done.returncode != 0, f"no test notices {old!r} -> {new!r}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.alert)
def test_rule_is_complete(rule: Rule) -> None:
    """Each alert has a severity that is routed, a summary, a description, and a runbook of its own name."""
    assert rule.labels["severity"] in {"critical", "warning"}
    assert rule.annotations.keys() == {"summary", "description", "runbook_url"}
    assert re.search(rf"/runbooks/{rule.alert}(#\{{\{{ \$labels\.reason \}}\}})?$", rule.annotations["runbook_url"])
    assert ALERTS / "runbooks" / f"{rule.alert}.md" in RUNBOOKS


def test_no_runbook_without_an_alert() -> None:
    """A runbook that no alert links to is stale."""
    assert {runbook.stem for runbook in RUNBOOKS} == BY_NAME.keys()
