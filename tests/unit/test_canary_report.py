"""A result for a terminal and for a machine."""

import json
from dataclasses import replace

from model_load_exporter.canary.report import render
from model_load_exporter.canary.result import CanaryResult, StageResult

LOADED = CanaryResult(
    model="nllb-200",
    path="/models/nllb",
    attempt_id="abc",
    outcome="loaded",
    started=1_700_000_000.0,
    duration_seconds=4.0,
    stages=(StageResult("other", 1.0, 300_000_000), StageResult("weights", 3.0, 1_500_000_000)),
    peak_rss_bytes=1_500_000_000,
    peak_anonymous_bytes=400_000_000,
    output="Bonjour",
    output_match=True,
    notes=("network not isolated",),
)
FAILED = replace(
    LOADED, outcome="failed", reason="cgroup_oom_killed", stage="weights", message="needs more", evidence=("SIGKILL",)
)


def test_a_load_is_a_waterfall() -> None:
    """Each bar begins where the one before ends."""
    lines = render(LOADED).splitlines()

    assert lines[0] == "nllb-200: loaded in 4s  /models/nllb"
    bars = [line for line in lines if "#" in line]
    assert [bar.split()[0] for bar in bars] == ["other", "weights"]
    assert bars[0].rindex("#") + 1 == bars[1].index("#")
    assert bars[1].count("#") == 3 * bars[0].count("#")
    assert "peak 1.5GB resident, of which 400MB anonymous" in render(LOADED)
    assert "as expected" in render(LOADED)
    assert "note: network not isolated" in render(LOADED)


def test_a_failure_says_what_to_do() -> None:
    """The reason in words, the remedy, the runbook, the evidence."""
    text = render(FAILED, runbooks="http://localhost:9877/runbooks/")

    assert "hit its memory limit" in text
    assert "Raise the container's memory limit" in text
    assert "http://localhost:9877/runbooks/ModelLoadFailure#cgroup_oom_killed" in text
    assert "evidence:  SIGKILL" in text


def test_a_skip_says_why() -> None:
    """A skip is no failure and has no remedy."""
    text = render(replace(LOADED, outcome="skipped", skip_cause="memory", stages=(), message="not tried: too large"))

    assert "skipped (memory)" in text
    assert "not tried: too large" in text
    assert "runbook" not in text


def test_colours_are_for_terminals() -> None:
    """Elsewhere the text is plain ASCII but for what the model said."""
    assert "\x1b[32m" in render(LOADED, terminal=True)
    assert "\x1b" not in render(LOADED)
    assert render(LOADED).isascii()


def test_the_machine_gets_the_contracts_shape() -> None:
    """`probe --json`, schema 1."""
    data = json.loads(json.dumps(FAILED.to_json()))

    assert data["schema"] == 1
    assert set(data) >= {
        "model", "path", "outcome", "reason", "stage", "duration_seconds", "stages", "peak_memory", "message",
        "log_tail",
    }  # fmt: skip
    assert data["peak_memory"] == {"rss_bytes": 1_500_000_000, "anonymous_bytes": 400_000_000}
    assert data["stages"][1] == {"name": "weights", "seconds": 3.0, "peak_rss_bytes": 1_500_000_000}
