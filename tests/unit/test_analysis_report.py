"""How the answer is told: JSON for machines, text for a terminal, Markdown for an incident."""

import json
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from model_load_exporter.analysis import markdown, text
from model_load_exporter.attempt import STAGES
from model_load_exporter.reasons import REASONS
from support.logs import told

LOGS = (
    "2026-01-31T10:00:05Z INFO Loading checkpoint shards:  50%\n"
    "2026-01-31T10:00:20Z [ERROR] Worker (pid:66) was sent SIGKILL! Perhaps out of memory?\n",
    "2026-01-31T10:00:20,000000+00:00 Memory cgroup out of memory: Killed process 50624 (gunicorn) total-vm:1kB\n",
)


def test_the_json_has_the_contracts_keys(tmp_path: Path) -> None:
    """schema 1, a reason of the closed set, a stage of the closed set, evidence with source and line."""
    found = json.loads(json.dumps(told(tmp_path, *LOGS).to_json()))
    assert found["schema"] == 1
    assert found["reason"] in REASONS
    assert found["stage"] in STAGES
    assert found["confidence"] in ("high", "medium", "low")
    assert found["evidence"][0] == {
        "source": str(tmp_path / "1.log"),
        "line": 1,
        "text": LOGS[1].strip(),
        "why": "",
    }
    assert {"time", "source", "line", "text", "what", "count"} <= set(found["timeline"][0])
    assert found["advice"][0] == REASONS["cgroup_oom_killed"].remedy


def test_nothing_failed_has_no_advice_and_no_runbook(tmp_path: Path) -> None:
    """`none` is no reason of the set: there is nothing to do, and no section to read."""
    found = told(tmp_path, "model loaded in 3.0s\n").to_json()
    assert (found["reason"], found["stage"], found["advice"], found["runbook"]) == ("none", None, [], "")


def test_the_text_begins_with_the_cause(tmp_path: Path) -> None:
    """A tired person reads one line, then one sentence; the runbook's address is there."""
    lines = text.render(told(tmp_path, *LOGS)).splitlines()
    assert lines[0].startswith("cgroup_oom_killed at stage weights (confidence high")
    assert lines[1].startswith("The kernel killed the process because its container")
    assert any("/runbooks/ModelLoadFailure#cgroup_oom_killed" in line for line in lines)


def test_gunicorns_guess_is_not_followed(tmp_path: Path) -> None:
    """After a timeout the advice says to leave the memory alone."""
    log = (
        "[2026-01-31 10:00:31 +0000] [10] [CRITICAL] WORKER TIMEOUT (pid:66)\n"
        "[2026-01-31 10:00:32 +0000] [10] [ERROR] Worker (pid:66) was sent SIGKILL! Perhaps out of memory?\n"
    )
    analysis = told(tmp_path, log)
    assert analysis.reason == "timeout"
    assert any("is a guess" in step for step in analysis.advice)


@pytest.mark.parametrize(
    "hostile",
    [
        "OSError: [Errno 28] No space left on device \x1b[2J\x1b]0;owned\x07 \u202e",
        "OSError: [Errno 28] No space left on device ``` `x` ```` <script>alert(1)</script>",
        "OSError: [Errno 28] No space left on device | a | b | \\| <img src=x>",
    ],
)
def test_foreign_text_stays_in_its_place(hostile: str, tmp_path: Path) -> None:
    """No escape sequence reaches the terminal, and no markup or cell of a table the incident's page."""
    analysis = told(tmp_path, f"Loading checkpoint shards:  50%\n{hostile}\n")
    shown = text.render(analysis)
    assert analysis.reason == "disk_full"
    assert all(character.isprintable() or character == "\n" for character in shown)
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown.render(analysis))
    assert "<script>" not in page
    assert "<img" not in page
    rows = [row for row in page.split("<tr>") if "<td>" in row]
    assert rows
    assert {row.count("<td>") for row in rows} == {4}


def test_the_markdown_has_every_part(tmp_path: Path) -> None:
    """Summary, cause and evidence, timeline, what to do, what is missing."""
    report = markdown.render(told(tmp_path, LOGS[0]))
    for part in ("## Summary", "## Cause and evidence", "## Timeline", "## What to do", "## What is missing"):
        assert f"\n{part}\n" in report


def test_evidence_is_short_and_without_repetition(tmp_path: Path) -> None:
    """At most eight lines, each once, however often the log says it."""
    log = "".join(f"OSError: [Errno 28] No space left on device: '/models/{n}'\n" for n in range(100))
    evidence = told(tmp_path, log + "Killed\n" * 50).evidence
    assert len(evidence) <= 8
    assert len({row.text for row in evidence}) == len(evidence)


def test_what_could_not_be_read_is_told(tmp_path: Path) -> None:
    """One file that is not there does not hide what the others tell."""
    from model_load_exporter.analysis.analyze import analyze

    log = tmp_path / "a.log"
    log.write_text("Killed\n")
    analysis = analyze([str(log), str(tmp_path / "nowhere.log")])
    assert analysis.reason == "killed"
    assert any("nowhere.log" in note for note in analysis.missing)


def test_a_killed_process_asks_for_the_kernels_log(tmp_path: Path) -> None:
    """Exit status 137 alone cannot tell an OOM kill: the note says which log would."""
    analysis = told(tmp_path, "app-1 exited with code 137\n")
    assert analysis.reason == "killed"
    assert any("kernel's log" in note for note in analysis.missing)
