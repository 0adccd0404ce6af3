"""From evidence to verdict: what is known gets its name, what is not known is never guessed."""

import signal

import pytest

from model_load_exporter.reasons import REASONS
from model_load_exporter.witness.attribution import attribute
from model_load_exporter.witness.evidence import Counters, Dump, Evidence, ExitStatus, Fault, Note, OomKill

CGROUP_OOM = OomKill("cgroup", 7, 5, 1.0, "Memory cgroup out of memory: Killed process 7 (python3)")
HOST_OOM = OomKill("host", 7, 5, 1.0, "Out of memory: Killed process 7 (python3)")
SEGFAULT = Fault("segfault", 7, 5, 1.0, "python3[7]: segfault at 0")
ILLEGAL = Fault("illegal_instruction", 7, 5, 1.0, "traps: python3[7] trap invalid opcode")
ALONE = Counters(cgroup=1, limited=True, alone=True, host=1)
TIMEOUT = Note("timeout")
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
        # Counters name nobody: they count where no other process can have been meant.
        (Evidence(exit=by(9), counted=ALONE), "cgroup_oom_killed", "medium"),
        (Evidence(counted=ALONE), "cgroup_oom_killed", "medium"),
        (Evidence(exit=by(9), counted=Counters(cgroup=1, limited=True, host=1)), "killed", "low"),
        (Evidence(exit=by(9), counted=Counters(cgroup=1, alone=True)), "killed", "low"),
        (Evidence(exit=by(9), counted=Counters(cgroup=0, limited=True, alone=True)), "killed", "low"),
        (Evidence(exit=by(9), counted=Counters(cgroup=0, host=2)), "killed", "low"),
        (Evidence(exit=by(9), counted=Counters(host=0)), "killed", "high"),
        (Evidence(exit=by(9), counted=Counters(group=True)), "cgroup_oom_killed", "medium"),
        (Evidence(exit=by(9), counted=Counters(oomd=True), kernel_log=True), "host_oom_killed", "medium"),
        (Evidence(counted=Counters(oomd=True)), "host_oom_killed", "medium"),
        (Evidence(exit=by(15), counted=Counters(oomd=True, cgroup=1, limited=True, alone=True)), "killed", "high"),
        (Evidence(exit=exited(1), counted=ALONE), "process_died", "high"),
        # The log was read and names nobody: a sibling of the cgroup was killed, not this one.
        (Evidence(exit=by(9), counted=ALONE, kernel_log=True), "killed", "high"),
        (Evidence(counted=ALONE, kernel_log=True), "process_died", "low"),
        (Evidence(exit=by(9), collateral=("the OOM killer ended its child 8",), kernel_log=True), "killed", "high"),
        # A supervisor's own word counts for the signals that it sends.
        (Evidence(exit=by(9), note=TIMEOUT), "timeout", "high"),
        (Evidence(exit=by(6), note=TIMEOUT), "timeout", "high"),
        (Evidence(exit=by(15), note=Note("shutdown")), "killed", "high"),
        (Evidence(note=TIMEOUT), "timeout", "medium"),
        (Evidence(note=TIMEOUT, dump=Dump("aborted", "f (x:1)")), "timeout", "medium"),
        (Evidence(note=TIMEOUT, dump=Dump("segfault", "f (x:1)")), "segfault", "medium"),
        (Evidence(exit=by(11), note=TIMEOUT), "segfault", "high"),
        (Evidence(exit=exited(1), note=TIMEOUT), "process_died", "high"),
        (Evidence(exit=by(9), note=TIMEOUT, oom_kill=CGROUP_OOM, kernel_log=True), "cgroup_oom_killed", "high"),
        # faulthandler saw it; a wait status that says otherwise is right.
        (Evidence(dump=Dump("bus_error", "load (m.py:3)")), "bus_error", "medium"),
        (Evidence(exit=by(11), dump=Dump("segfault", "load (m.py:3)")), "segfault", "high"),
        (Evidence(exit=by(9), dump=Dump("segfault", "load (m.py:3)"), kernel_log=True), "killed", "high"),
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
    verdict = attribute(
        Evidence(
            exit=by(9), oom_kill=CGROUP_OOM, fault=SEGFAULT, dump=Dump("segfault", "load (m.py:3)"), note=TIMEOUT,
            counted=Counters(cgroup=1, group=True, host=2, oomd=True), collateral=("a sibling",),
        )
    )  # fmt: skip
    assert verdict.evidence == (
        "pidfd: signal SIGKILL",
        f"kernel log: {CGROUP_OOM.text}",
        f"kernel log: {SEGFAULT.text}",
        "faulthandler: segfault in load (m.py:3)",
        "kill note: timeout",
        "cgroup: 1 OOM kills as it died",
        "cgroup: ended as a whole by the OOM killer",
        "systemd-oomd: counted a kill of its cgroup",
        "vmstat: 2 OOM kills on this host as it died",
        "collateral: a sibling",
    )
    assert attribute(Evidence(exit=by(64))).evidence == ("pidfd: signal SIGRTMAX",)
    assert attribute(Evidence(exit=exited(3))).evidence == ("pidfd: exit status 3",)


def test_what_befell_others_explains_and_decides_nothing() -> None:
    """In the message of a death that needs it, with the reason as it is without."""
    others = ("the OOM killer ended its child 8",)
    died = attribute(Evidence(exit=exited(1), collateral=others))
    assert died.reason == "process_died"
    assert others[0] in died.message
    assert others[0] not in attribute(Evidence(exit=by(11), collateral=others)).message


def test_the_place_of_a_fault_is_in_the_message() -> None:
    """As faulthandler wrote it, where it saw the same fault."""
    dump = Dump("segfault", "load (m.py:3)")
    assert "load (m.py:3)" in attribute(Evidence(exit=by(11), dump=dump)).message
    assert "load (m.py:3)" not in attribute(Evidence(exit=by(7), dump=dump)).message


def test_a_wait_status_is_a_signal_or_a_code() -> None:
    """As wait(2) packs it, with and without a core dump."""
    assert ExitStatus.from_wait(9, "x") == ExitStatus(None, 9, "x")
    assert ExitStatus.from_wait(139, "x") == ExitStatus(None, 11, "x")
    assert ExitStatus.from_wait(3 << 8, "x") == ExitStatus(3, None, "x")
    assert ExitStatus.from_wait(0, "x") == ExitStatus(0, None, "x")
