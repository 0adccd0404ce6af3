"""From evidence to verdict, in one pure function.

The wait status comes first: a bus error, an abort and a foreign SIGKILL leave nothing in the kernel log. Then what
names this very process (kernel log, kill note), then what was only counted. What cannot be known is `killed` or
`process_died`, never a guess; what befell a sibling or a child explains a verdict and makes none.
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
_TIMEOUT = "timeout"


def attribute(evidence: Evidence) -> Verdict:
    """The verdict on one death."""
    if evidence.other_boot:
        return _verdict("host_rebooted", "the host restarted while the load was open", "high", evidence)
    ended = evidence.exit
    if evidence.oom_kill is not None and (ended is None or ended.signal == signal.SIGKILL):
        reason = "host_oom_killed" if evidence.oom_kill.scope == "host" else "cgroup_oom_killed"
        return _verdict(reason, evidence.oom_kill.text, "high" if ended else "medium", evidence)
    if ended is None:
        return _without_status(evidence)
    if ended.signal is not None:
        return _by_signal(ended.signal, evidence)
    return _verdict("process_died", f"the process exited with status {ended.code}, before its time", "high", evidence)


def _by_signal(number: int, evidence: Evidence) -> Verdict:
    # A supervisor's own kill: gunicorn sends SIGABRT before it sends SIGKILL.
    if evidence.note is not None and (number in _SENT or number == signal.SIGABRT):
        return _as_told(evidence.note.cause, f"by {_signal_name(number)}", "high", evidence)
    if number in _CRASHES:
        return _crashed(_CRASHES[signal.Signals(number)], f"the process ended by {_signal_name(number)}", evidence)
    if number not in _SENT:
        return _verdict("process_died", f"the process ended by {_signal_name(number)}", "high", evidence)
    if number == signal.SIGKILL:
        return _sigkill(evidence)
    return _verdict("killed", f"the process was ended by {_signal_name(number)}", "high", evidence)


def _crashed(reason: str, message: str, evidence: Evidence) -> Verdict:
    if evidence.fault is not None:
        message = evidence.fault.text
    if evidence.dump is not None and evidence.dump.kind == reason:
        message = f"{message}, in {evidence.dump.where}"
    return _verdict(reason, message, "high", evidence)


def _sigkill(evidence: Evidence) -> Verdict:
    """SIGKILL, and neither the kernel log nor a note names this process."""
    counted = evidence.counted
    if counted.oomd:
        return _verdict("host_oom_killed", "systemd-oomd ended its cgroup for want of memory", "medium", evidence)
    message = "the process was ended by SIGKILL"
    if evidence.kernel_log:
        return _verdict("killed", message, "high", evidence)
    if (by_count := _by_count(evidence)) is not None:
        return by_count
    if counted.cgroup:
        message += f"; its cgroup counted {counted.cgroup} OOM kills, and other processes of it ended too"
    elif counted.host == 0:
        return _verdict("killed", f"{message}; the kernel counted no OOM kill then", "high", evidence)
    elif counted.host:
        message += f"; {counted.host} OOM kills were counted on this host, and the kernel log is not readable"
    else:
        message += "; the kernel log, which would name the OOM killer, is not readable"
    return _verdict("killed", message, "low", evidence)


def _by_count(evidence: Evidence) -> Verdict | None:
    """What the counters of the cgroup alone say; they name nobody, so no other process may have ended with it."""
    if evidence.counted.group:
        return _verdict("cgroup_oom_killed", "the OOM killer ended its whole cgroup", "medium", evidence)
    if evidence.counted.cgroup and evidence.counted.limited and evidence.counted.alone:
        message = "it was ended as its cgroup counted an OOM kill, and no other process of it ended"
        return _verdict("cgroup_oom_killed", message, "medium", evidence)
    return None


def _without_status(evidence: Evidence) -> Verdict:
    if evidence.fault is not None and evidence.fault.kind in ("segfault", "illegal_instruction"):
        return _verdict(evidence.fault.kind, evidence.fault.text, "medium", evidence)
    aborted = evidence.dump is not None and evidence.dump.kind == "aborted"
    if evidence.dump is not None and not (aborted and evidence.note is not None):
        return _verdict(evidence.dump.kind, f"faulthandler saw it, in {evidence.dump.where}", "medium", evidence)
    if evidence.note is not None:
        return _as_told(evidence.note.cause, "", "medium", evidence)
    if evidence.counted.oomd:
        return _verdict("host_oom_killed", "systemd-oomd ended its cgroup for want of memory", "medium", evidence)
    if not evidence.kernel_log and (by_count := _by_count(evidence)) is not None:
        return by_count
    return _verdict("process_died", "the process ended, and nothing says how", "low", evidence)


def _as_told(cause: str, how: str, confidence: str, evidence: Evidence) -> Verdict:
    """The killer wrote down beforehand that, and why, it ends the process."""
    if cause == _TIMEOUT:
        return _verdict("timeout", f"its supervisor ended it{' ' * bool(how)}{how} for a timeout", confidence, evidence)
    return _verdict("killed", f"its supervisor ended it{' ' * bool(how)}{how}: {cause}", confidence, evidence)


def _verdict(reason: str, message: str, confidence: str, evidence: Evidence) -> Verdict:
    if evidence.collateral and reason in ("killed", "process_died", "aborted"):
        message = f"{message}; also, {evidence.collateral[0]}"
    return Verdict(reason, message, confidence, tuple(_lines(evidence)))


def _lines(evidence: Evidence) -> list[str]:
    lines = []
    if evidence.exit is not None:
        lines.append(f"{evidence.exit.source}: {_status_text(evidence.exit)}")
    if evidence.oom_kill is not None:
        lines.append(f"kernel log: {evidence.oom_kill.text}")
    if evidence.fault is not None:
        lines.append(f"kernel log: {evidence.fault.text}")
    if evidence.dump is not None:
        lines.append(f"faulthandler: {evidence.dump.kind} in {evidence.dump.where}")
    if evidence.note is not None:
        lines.append(f"kill note: {evidence.note.cause}")
    counted = evidence.counted
    if counted.cgroup is not None:
        lines.append(f"cgroup: {counted.cgroup} OOM kills as it died")
    if counted.group:
        lines.append("cgroup: ended as a whole by the OOM killer")
    if counted.oomd:
        lines.append("systemd-oomd: counted a kill of its cgroup")
    if counted.host is not None:
        lines.append(f"vmstat: {counted.host} OOM kills on this host as it died")
    return [*lines, *(f"collateral: {line}" for line in evidence.collateral)]


def _status_text(ended: ExitStatus) -> str:
    return f"signal {_signal_name(ended.signal)}" if ended.signal is not None else f"exit status {ended.code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
