"""What the parent takes from a child that it does not trust."""

import json
import os
import signal
from pathlib import Path

import pytest

from model_load_exporter.canary import cgroup
from model_load_exporter.canary.launch import Ending
from model_load_exporter.canary.observed import LOG_TAIL, Observed
from model_load_exporter.canary.sandbox import Sandbox
from model_load_exporter.canary.verdict import judge

BOX = Sandbox(None, 10**9, "canary.memory_limit", False, (), 0, cgroup.Own(None, None))


def lines(*events: object) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def ending(observed: Observed, **keys: object) -> Ending:
    facts = {
        "seconds": 1.0, "ended": 1.0, "timed_out": False, "survivors": False, "guard_status": 0, "oom_kills": 0,
        "hit_limit": False, "hit_above": False,
    }  # fmt: skip
    return Ending(observed, **{**facts, **keys})  # type: ignore[arg-type]  # spelled out above


def killed_by(number: int, **keys: object) -> Ending:
    observed = Observed()
    observed.take_reports(lines({"event": "contained", "cgroup": True}, {"event": "stage_begin", "stage": "weights"}))
    observed.take_reports(lines({"event": "exit", "status": int(number)}))
    return ending(observed, **keys)


def test_reports_may_come_in_any_pieces() -> None:
    """A line is taken when it is whole."""
    data = lines({"event": "stage_end", "stage": "weights", "seconds": 1.5, "peak_rss": 7})
    whole = Observed()
    for byte in data:
        assert whole.take_reports(bytes([byte]))

    assert [(s.name, s.seconds, s.peak_rss_bytes) for s in whole.stages] == [("weights", 1.5, 7)]


@pytest.mark.parametrize(
    "event",
    [
        [], 7, None, {"event": []}, {"event": "stage_end"}, {"event": "stage_end", "stage": {}, "seconds": "1"},
        {"event": "stage_end", "stage": "weights", "seconds": float("nan")}, {"event": "exit", "status": -1},
        {"event": "contained", "cgroup": 1, "notes": "x", "refused": 7}, {"event": "started", "versions": [1]},
    ],
)  # fmt: skip
def test_malformed_events_are_dropped(event: object) -> None:
    """Wrong types change nothing."""
    observed = Observed()

    assert observed.take_reports(lines(event))
    assert (observed.stages, observed.report, observed.wait_status, observed.notes) == ([], None, None, [])


def test_only_the_first_report_counts() -> None:
    """A child cannot take its word back."""
    observed = Observed()
    observed.take_reports(lines({"event": "report", "outcome": "failed"}, {"event": "report", "outcome": "loaded"}))

    assert observed.report == {"event": "report", "outcome": "failed"}


def test_a_child_that_says_too_much_is_not_heard_out() -> None:
    """Neither an endless line nor endless lines are kept."""
    assert not Observed().take_reports(b"x" * 300_000)
    talker = Observed()
    assert not all(talker.take_reports(lines({"event": "stage_begin"}) * 5000) for _ in range(100))


def test_the_log_is_its_tail_without_control_characters() -> None:
    """A terminal that shows it must not be steered by it."""
    observed = Observed()
    observed.take_log(b"y" * 20_000)
    observed.take_log("\x1b[2Jé\xff".encode("latin-1") + b"\n")

    assert len(observed.log) == LOG_TAIL
    assert "\x1b" not in observed.log_tail


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({}, "killed"),
        ({"oom_kills": 1, "hit_limit": True}, "cgroup_oom_killed"),
        ({"oom_kills": 1, "hit_above": True}, "cgroup_oom_killed"),
        ({"oom_kills": 1}, "host_oom_killed"),
        ({"timed_out": True}, "timeout"),
    ],
)
def test_a_sigkill_is_told_apart_by_its_evidence(facts: dict[str, object], reason: str) -> None:
    """Our own kill first, then whose memory limit was hit, else somebody."""
    verdict = judge(killed_by(signal.SIGKILL, **facts), BOX, 30.0, None)

    assert (verdict.reason, verdict.stage) == (reason, "weights")


def test_a_guard_that_was_killed_too_is_read_instead() -> None:
    """Where the OOM killer took the guard, its own end is what is known."""
    observed = Observed(contained=True)

    assert judge(ending(observed, guard_status=-9, oom_kills=1, hit_limit=True), BOX, 30.0, None).reason == (
        "cgroup_oom_killed"
    )


def test_an_unknown_signal_has_a_reason_too() -> None:
    """Real-time signals have no name in the table."""
    assert judge(killed_by(signal.SIGRTMIN), BOX, 30.0, None).reason == "process_died"


def test_a_reason_of_the_child_must_be_of_the_closed_set() -> None:
    """Foreign text never becomes a label value."""
    observed = Observed()
    link = {"type": "x.E", "bases": ["x.E"], "text": "boom", "errno": None, "filename": None, "module": None}
    observed.take_reports(lines({"event": "report", "outcome": "failed", "reason": "pwned", "failure": [link]}))

    assert judge(ending(observed), BOX, 30.0, None).reason == "unknown"


def test_a_survivor_is_told(tmp_path: Path) -> None:
    """A process in uninterruptible sleep outlives SIGKILL; the message says what that means."""
    verdict = judge(killed_by(os.EX_OK, timed_out=True, survivors=True), BOX, 30.0, str(tmp_path))

    assert "does not die" in verdict.message
