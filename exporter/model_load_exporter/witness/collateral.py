"""What befell others just before a process died: children of it, siblings of its cgroup.

It goes with the verdict for a person to read, and decides nothing: a sibling's OOM kill is not the loader's.
"""

import signal

from model_load_exporter.witness.attachment import Attachment
from model_load_exporter.witness.evidence import ExitStatus
from model_load_exporter.witness.kernel_log import KernelLog, Span
from model_load_exporter.witness.proc_connector import Heard

_MOST_LINES = 8


def in_kernel_log(log: KernelLog, attachment: Attachment, span: Span, *, in_host: bool) -> list[str]:
    """OOM kills of children and of the cgroup's other processes, and faults of children, while it lived."""
    lines = []
    children = attachment.children if in_host else set()
    for kill in log.oom_kills(span):
        if kill.pid == attachment.host_pid:
            continue
        if kill.pid in children:
            lines.append(f"the OOM killer ended its child {kill.pid}")
        elif kill.cgroup and attachment.cgroup is not None and kill.cgroup == attachment.cgroup.path:
            lines.append(f"the OOM killer ended process {kill.pid} of the same cgroup, not this one")
    for child in sorted(children):
        fault = log.fault({child}, span)
        if fault is not None:
            lines.append(f"its child {child} faulted: {fault.text}")
    return lines[:_MOST_LINES]


def ended_first(heard: Heard) -> list[str]:
    """Children that ended badly before the process did, in the kernel's own order."""
    lines = [f"its child {child} ended first, {_how(status)}" for child, status in heard.children if status.code != 0]
    return lines[-_MOST_LINES:]


def _how(status: ExitStatus) -> str:
    if status.signal is None:
        return f"with status {status.code}"
    try:
        return f"by {signal.Signals(status.signal).name}"
    except ValueError:
        return f"by signal {status.signal}"
