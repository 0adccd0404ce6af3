"""From evidence to verdict, in one pure function.

The wait status comes first: a bus error, an abort and a foreign SIGKILL leave nothing in the kernel log. What cannot
be known is `killed` or `process_died`, never a guess.
"""

import signal

from model_load_exporter.witness.evidence import Evidence, ExitStatus, Verdict

_CRASHES = {
    signal.SIGSEGV: "segfault",
    signal.SIGBUS: "bus_error",
    signal.SIGILL: "illegal_instruction",
    signal.SIGABRT: "aborted",
    signal.SIGXCPU: "resource_limit",
    signal.SIGXFSZ: "resource_limit",
}
# Sent by people and supervisors; the rest (SIGFPE, SIGSYS, ...) are crashes that the closed set has no name for.
_SENT = {
    signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM, signal.SIGUSR1,
    signal.SIGUSR2, signal.SIGPIPE,
}  # fmt: skip


def attribute(evidence: Evidence) -> Verdict:
    """The verdict on one death."""
    lines = tuple(_lines(evidence))
    if evidence.other_boot:
        return Verdict("host_rebooted", "the host restarted while the load was open", "high", lines)
    ended = evidence.exit
    if evidence.oom_kill is not None and (ended is None or ended.signal == signal.SIGKILL):
        reason = "host_oom_killed" if evidence.oom_kill.scope == "host" else "cgroup_oom_killed"
        return Verdict(reason, evidence.oom_kill.text, "high" if ended else "medium", lines)
    if ended is None:
        return _without_status(evidence, lines)
    if ended.signal is not None:
        return _by_signal(ended.signal, evidence, lines)
    return Verdict("process_died", f"the process exited with status {ended.code}, before its time", "high", lines)


def _by_signal(number: int, evidence: Evidence, lines: tuple[str, ...]) -> Verdict:
    name = _signal_name(number)
    if number in _CRASHES:
        message = evidence.fault.text if evidence.fault is not None else f"the process ended by {name}"
        return Verdict(_CRASHES[signal.Signals(number)], message, "high", lines)
    if number not in _SENT:
        return Verdict("process_died", f"the process ended by {name}", "high", lines)
    # Without the kernel log the counter of the process's own cgroup still tells, if that cgroup has a limit to hit.
    counted = evidence.oom_kills_of_cgroup or 0
    if number == signal.SIGKILL and not evidence.kernel_log and counted > 0 and evidence.cgroup_limited:
        return Verdict("cgroup_oom_killed", "SIGKILL, and its cgroup counted an OOM kill", "medium", lines)
    message = f"the process was ended by {name}"
    if number == signal.SIGKILL and not evidence.kernel_log:
        return Verdict(
            "killed", f"{message}; the kernel log, which would name the OOM killer, is not readable", "low", lines
        )
    return Verdict("killed", message, "high", lines)


def _without_status(evidence: Evidence, lines: tuple[str, ...]) -> Verdict:
    if evidence.fault is not None and evidence.fault.kind in ("segfault", "illegal_instruction"):
        return Verdict(evidence.fault.kind, evidence.fault.text, "medium", lines)
    return Verdict("process_died", "the process ended, and nothing says how", "low", lines)


def _lines(evidence: Evidence) -> list[str]:
    lines = []
    if evidence.exit is not None:
        lines.append(f"{evidence.exit.source}: {_status_text(evidence.exit)}")
    if evidence.oom_kill is not None:
        lines.append(f"kernel log: {evidence.oom_kill.text}")
    if evidence.fault is not None:
        lines.append(f"kernel log: {evidence.fault.text}")
    if evidence.oom_kills_of_cgroup is not None:
        lines.append(f"cgroup: {evidence.oom_kills_of_cgroup} OOM kills while the load was open")
    return lines


def _status_text(ended: ExitStatus) -> str:
    return f"signal {_signal_name(ended.signal)}" if ended.signal is not None else f"exit status {ended.code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
