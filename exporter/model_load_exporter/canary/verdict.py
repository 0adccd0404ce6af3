"""From a child's ending to one outcome and, where it failed, one reason of the closed set.

What we did ourselves comes first, then what the child said, then what the kernel says of its death; its own output
may only sharpen what those leave open.
"""

import os
import signal
from dataclasses import dataclass

from model_load_exporter.canary.launch import Ending
from model_load_exporter.canary.sandbox import Sandbox
from model_load_exporter.classify.chain import links_from_json
from model_load_exporter.classify.exceptions import classify, without_advice
from model_load_exporter.classify.text import classify_text
from model_load_exporter.reasons import REASONS
from model_load_exporter.units import format_duration, format_size

_SIGNALS = {
    signal.SIGSEGV: "segfault",
    signal.SIGBUS: "bus_error",
    signal.SIGILL: "illegal_instruction",
    signal.SIGABRT: "aborted",
    signal.SIGKILL: "killed",
    signal.SIGTERM: "killed",
    signal.SIGINT: "killed",
    signal.SIGHUP: "killed",
    signal.SIGXCPU: "resource_limit",
    signal.SIGXFSZ: "resource_limit",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is None exactly when the model was loaded. `stage` is where it failed, `evidence` why we say so."""

    reason: str | None
    message: str
    stage: str | None = None
    evidence: tuple[str, ...] = ()


def judge(ending: Ending, sandbox: Sandbox, timeout: float, path: str | None) -> Verdict:
    """The verdict on one run of the child."""
    seen = ending.observed
    stage = seen.open_stage or seen.failed_stage
    if ending.timed_out:
        where = f" at stage {stage}" if stage else ""
        message = f"the load did not finish within {format_duration(timeout)}{where}"
        if ending.survivors:
            message += "; a process of it does not die (it waits in the kernel, for a disk or a network mount)"
        return Verdict("timeout", message, stage, ("ended by the canary's own time limit",))
    if seen.report is not None and seen.report.get("outcome") == "loaded":
        return Verdict(None, "")
    if seen.report is not None:
        return _told(ending, path, stage)
    if seen.over_limit:
        message = f"the load took more than {_size(sandbox)} of memory ({sandbox.limit_from})"
        return Verdict("resource_limit", message, stage, ("ended at the memory limit; no cgroup to enforce it here",))
    return _died(ending, sandbox, stage)


def _told(ending: Ending, path: str | None, stage: str | None) -> Verdict:
    """A failure that the child reported itself."""
    report = ending.observed.report or {}
    links = links_from_json(report.get("failure"))
    named = report.get("reason")
    evidence = tuple(f"{link.type}: {_first_line(without_advice(link.text))}" for link in links[:4])
    if isinstance(named, str) and named in REASONS and links:
        return Verdict(named, links[0].text, stage, evidence)
    if not links:
        return Verdict("unknown", "the load failed and did not say how", stage)
    found = classify(links, path)
    if found.reason == "unknown" and (sharper := classify_text(ending.observed.log_tail)) is not None:
        # llama.cpp and its like print why, and raise no more than that it failed.
        return Verdict(sharper.reason, sharper.message, stage, (*evidence, sharper.message))
    return Verdict(found.reason, found.message, stage, evidence)


def _died(ending: Ending, sandbox: Sandbox, stage: str | None) -> Verdict:
    """A child that ended without a word."""
    seen = ending.observed
    status = seen.wait_status
    number, code = _ended_by(status, ending.guard_status)
    told = f"ended by {_signal_name(number)}" if number else f"ended with exit status {code}"
    where = f" at stage {stage}" if stage else ""
    if number == signal.SIGKILL and ending.oom_kills:
        return _oom(ending, sandbox, stage, told)
    if number:
        reason = _SIGNALS.get(signal.Signals(number), "process_died") if number in _known() else "process_died"
        message = f"the loading process was {told}{where}"
        sharper = classify_text(seen.log_tail) if reason == "aborted" else None
        if sharper is not None and sharper.reason not in ("aborted", "unknown"):
            # A library aborts for a cause, and says it just before.
            return Verdict(sharper.reason, sharper.message, stage, (told, sharper.message))
        return Verdict(reason, message, stage, (told,))
    if seen.contained is None and status is None:
        return _never_started(ending, told)
    sharper = classify_text(seen.log_tail)
    if sharper is not None and sharper.reason != "unknown":
        return Verdict(sharper.reason, sharper.message, stage, (told, sharper.message))
    return Verdict("process_died", f"the loading process {told}{where} and reported nothing", stage, (told,))


def _oom(ending: Ending, sandbox: Sandbox, stage: str | None, told: str) -> Verdict:
    """Killed by an OOM killer: whose limit was it?"""
    counted = (
        f"its cgroup counts {ending.oom_kills} OOM kills" if ending.oom_kills > 1 else "its cgroup counts an OOM kill"
    )
    where = f" at stage {stage}" if stage else ""
    if ending.hit_limit:
        message = f"killed by the OOM killer{where}: the load needs more than {_size(sandbox)} ({sandbox.limit_from})"
        return Verdict("cgroup_oom_killed", message, stage, (told, counted, "it ran into its own memory limit"))
    if ending.hit_above:
        message = f"killed by the OOM killer{where}: the exporter's own container or cgroup hit its memory limit"
        return Verdict("cgroup_oom_killed", message, stage, (told, counted, "a cgroup above ran into its limit"))
    message = f"killed by the OOM killer{where}: the host ran out of memory"
    return Verdict("host_oom_killed", message, stage, (told, counted, "no cgroup limit was hit"))


def _never_started(ending: Ending, told: str) -> Verdict:
    """The interpreter ran, and could not run child.py."""
    tail = ending.observed.log_tail
    if "SyntaxError" in tail or "unknown option" in tail.lower():
        message = "canary.python is too old: the canary needs Python 3.8 or newer"
        return Verdict("version_incompatible", message, None, (told, _last_line(tail)))
    message = f"canary.python does not run as a Python interpreter: {_last_line(tail) or told}"
    return Verdict("dependency_missing", message, None, (told,))


def _ended_by(status: int | None, guard_status: int | None) -> tuple[int, int]:
    """(signal, exit code) of the loader, else of its guard."""
    if status is not None:
        return (os.WTERMSIG(status), 0) if os.WIFSIGNALED(status) else (0, os.waitstatus_to_exitcode(status))
    if guard_status is not None and guard_status < 0:
        return -guard_status, 0
    return 0, guard_status or 0


def _known() -> set[int]:
    return {int(one) for one in signal.Signals}


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in _known() else f"signal {number}"


def _size(sandbox: Sandbox) -> str:
    return format_size(sandbox.limit) if sandbox.limit is not None else "its limit"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0][:200]


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2][:200]
