"""From evidence to verdict: what is known gets its name, what is not known is never guessed."""

import signal

import pytest

from model_load_exporter.reasons import REASONS
from model_load_exporter.witness.attribution import attribute
from model_load_exporter.witness.evidence import Evidence, ExitStatus, Fault, OomKill

CGROUP_OOM = OomKill("cgroup", 7, 5, 1.0, "Memory cgroup out of memory: Killed process 7 (python3)")
HOST_OOM = OomKill("host", 7, 5, 1.0, "Out of memory: Killed process 7 (python3)")
SEGFAULT = Fault("segfault", 7, 5, 1.0, "python3[7]: segfault at 0")
ILLEGAL = Fault("illegal_instruction", 7, 5, 1.0, "traps: python3[7] trap invalid opcode")
OTHER_TRAP = Fault("other", 7, 5, 1.0, "traps: python3[7] trap divide error")


def by(number: int) -> ExitStatus:
    return ExitStatus(None, number, "pidfd")


def exited(code: int) -> ExitStatus:
    return ExitStatus(code, None, "pidfd")


@pytest.mark.parametrize(
    ("evidence", "reason", "confidence"),
    [
        (Evidence(other_boot=True), "host_rebooted", "high"),
        (Evidence(other_boot=True, oom_kill=CGROUP_OOM), "host_rebooted", "high"),
        (Evidence(exit=by(9), oom_kill=CGROUP_OOM, kernel_log=True), "cgroup_oom_killed", "high"),
        (Evidence(exit=by(9), oom_kill=HOST_OOM, kernel_log=True), "host_oom_killed", "high"),
        (Evidence(oom_kill=HOST_OOM, kernel_log=True), "host_oom_killed", "medium"),
        # The OOM killer chose it, but it ended of something else before the signal came.
        (Evidence(exit=by(11), oom_kill=CGROUP_OOM, kernel_log=True), "segfault", "high"),
        (Evidence(exit=exited(1), oom_kill=CGROUP_OOM, kernel_log=True), "process_died", "high"),
        (Evidence(exit=by(9), kernel_log=True), "killed", "high"),
        (Evidence(exit=by(9)), "killed", "low"),
        (Evidence(exit=by(9), oom_kills_of_cgroup=1, cgroup_limited=True), "cgroup_oom_killed", "medium"),
        (Evidence(exit=by(9), oom_kills_of_cgroup=1), "killed", "low"),
        (Evidence(exit=by(9), oom_kills_of_cgroup=0, cgroup_limited=True), "killed", "low"),
        # The log was read and names nobody: a sibling of the cgroup was killed, not this one.
        (Evidence(exit=by(9), oom_kills_of_cgroup=1, cgroup_limited=True, kernel_log=True), "killed", "high"),
        *((Evidence(exit=by(number), kernel_log=True), "killed", "high")
          for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)),
        (Evidence(exit=by(signal.SIGSEGV), fault=SEGFAULT), "segfault", "high"),
        (Evidence(exit=by(signal.SIGSEGV)), "segfault", "high"),
        (Evidence(exit=by(signal.SIGBUS)), "bus_error", "high"),
        (Evidence(exit=by(signal.SIGILL), fault=ILLEGAL), "illegal_instruction", "high"),
        (Evidence(exit=by(signal.SIGABRT)), "aborted", "high"),
        (Evidence(exit=by(signal.SIGXCPU)), "resource_limit", "high"),
        (Evidence(exit=by(signal.SIGXFSZ)), "resource_limit", "high"),
        (Evidence(exit=by(signal.SIGFPE), fault=OTHER_TRAP), "process_died", "high"),
        (Evidence(exit=by(signal.SIGSYS)), "process_died", "high"),
        (Evidence(exit=by(64)), "process_died", "high"),
        (Evidence(exit=exited(0)), "process_died", "high"),
        (Evidence(exit=exited(3)), "process_died", "high"),
        (Evidence(fault=SEGFAULT), "segfault", "medium"),
        (Evidence(fault=ILLEGAL), "illegal_instruction", "medium"),
        (Evidence(fault=OTHER_TRAP), "process_died", "low"),
        (Evidence(), "process_died", "low"),
    ],
)  # fmt: skip
def test_a_verdict_follows_from_the_evidence(evidence: Evidence, reason: str, confidence: str) -> None:
    """One row a combination: the reason, and how sure it is."""
    verdict = attribute(evidence)
    assert (verdict.reason, verdict.confidence) == (reason, confidence)
    assert reason in REASONS
    assert verdict.message
    assert "\n" not in verdict.message


@pytest.mark.parametrize("number", range(1, 65))
def test_every_signal_has_a_verdict(number: int) -> None:
    """Whatever ends a process, its reason is of the closed set."""
    assert attribute(Evidence(exit=by(number))).reason in REASONS


def test_a_verdict_names_what_it_rests_on() -> None:
    """A line for each source that said something."""
    verdict = attribute(Evidence(exit=by(9), oom_kill=CGROUP_OOM, fault=SEGFAULT, oom_kills_of_cgroup=1))
    assert verdict.evidence == (
        "pidfd: signal SIGKILL",
        f"kernel log: {CGROUP_OOM.text}",
        f"kernel log: {SEGFAULT.text}",
        "cgroup: 1 OOM kills while the load was open",
    )
    assert attribute(Evidence(exit=by(64))).evidence == ("pidfd: signal SIGRTMAX",)
    assert attribute(Evidence(exit=exited(3))).evidence == ("pidfd: exit status 3",)


def test_a_wait_status_is_a_signal_or_a_code() -> None:
    """As wait(2) packs it, with and without a core dump."""
    assert ExitStatus.from_wait(9, "x") == ExitStatus(None, 9, "x")
    assert ExitStatus.from_wait(139, "x") == ExitStatus(None, 11, "x")
    assert ExitStatus.from_wait(3 << 8, "x") == ExitStatus(3, None, "x")
    assert ExitStatus.from_wait(0, "x") == ExitStatus(0, None, "x")
