"""The recording rules of MIGRATION.md, by the real promtool."""

import subprocess
from pathlib import Path

from docs_pages import fenced

_TESTS = """
rule_files: [rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: model_load_failures_total{job="model-load-exporter", instance="a", model="nllb", reason="timeout"}
        values: 0 1 1
      - series: model_load_failures_total{job="model-load-exporter", instance="b", model="nllb", reason="timeout"}
        values: 0 0 2
      - series: model_load_failures_total{job="app", model_name="nllb", error_type="OOM"}
        values: 7 7 7
      - series: model_load_success_duration_seconds_count{job="model-load-exporter", instance="a", model="nllb"}
        values: 4 5 6
      - series: model_load_last_duration_seconds{job="model-load-exporter", instance="a", model="nllb"}
        values: 12 12 30
      - series: model_loaded{job="model-load-exporter", instance="a", model="nllb"}
        values: 2 2 2
      - series: model_loaded{job="model-load-exporter", instance="a", model="aya"}
        values: 0 0 0
    promql_expr_test:
      - expr: app:model_load_failures_total
        eval_time: 2m
        exp_samples:
          - {labels: 'app:model_load_failures_total{model_name="nllb", error_type="timeout"}', value: 3}
      - expr: app:model_load_success_total
        eval_time: 2m
        exp_samples: [{labels: 'app:model_load_success_total{model_name="nllb"}', value: 6}]
      - expr: app:model_load_time_seconds
        eval_time: 2m
        exp_samples: [{labels: 'app:model_load_time_seconds{model_name="nllb"}', value: 30}]
      - expr: app:model_up
        eval_time: 2m
        exp_samples:
          - {labels: 'app:model_up{model_name="nllb"}', value: 1}
          - {labels: 'app:model_up{model_name="aya"}', value: 0}
"""


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def test_rules_give_the_old_names(tmp_path: Path) -> None:
    """Old names and labels come from the new series of all hosts, and not from the old service's own."""
    (block,) = fenced("yaml", "rules")
    (tmp_path / "rules.yml").write_text(block.text)
    (tmp_path / "test.yml").write_text(_TESTS)
    checked = promtool("check", "rules", tmp_path / "rules.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    tested = promtool("test", "rules", tmp_path / "test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert block.text.count("- record:") == _TESTS.count("- expr:")
