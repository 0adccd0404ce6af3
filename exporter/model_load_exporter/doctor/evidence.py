"""What the witness could see here: without evidence a death has no reason."""

from model_load_exporter.doctor.finding import Finding, fine
from model_load_exporter.journal.spool import SpoolError, find_spool
from model_load_exporter.witness.sources import HOW
from model_load_exporter.witness.witness import Witness

AREA = "evidence"

_STATUS = ("exit_status", "proc_connector", "zombie")
_OOM = ("kernel_log", "cgroup", "vmstat")


def check(procfs: str = "/proc", sysfs: str = "/sys") -> list[Finding]:
    """For an exporter that runs as this process does: same user, same namespaces."""
    witness = Witness(procfs, sysfs)
    try:
        there = witness.available()
    finally:
        witness.close()
    found = []
    if not any(there[source] for source in _STATUS):
        found.append(Finding(
            "warning", AREA, "nobody tells how a service's process ended",
            "a killed, a crashed and an exited process look alike: process_died",
            f"one of these: {'; '.join(HOW[source] for source in _STATUS)}; or start services by: "
            "model-load-exporter run",
        ))  # fmt: skip
    if not any(there[source] for source in _OOM[:2]):
        found.append(Finding(
            "warning", AREA, "an OOM kill cannot be told from a kill by hand",
            "the reason is `killed` where it should be cgroup_oom_killed or host_oom_killed",
            f"{HOW['kernel_log']}; or {HOW['cgroup']}",
        ))  # fmt: skip
    if not there["locks"]:
        found.append(Finding(
            "warning", AREA, "the pid behind a journal's lock cannot be found",
            "a load's process is not seen from outside: no progress, no memory, no exit status", HOW["locks"],
        ))  # fmt: skip
    try:
        found.append(fine("spool", f"services write to {find_spool().folder}"))
    except SpoolError as error:
        found.append(Finding(
            "warning", "spool", str(error), "loads of services on this host go unwitnessed",
            "model-load-exporter serve; or for tests: MODEL_LOAD_EXPORTER_SPOOL=",
        ))  # fmt: skip
    names = ", ".join(source for source in (*_STATUS, *_OOM) if there[source])
    return [*found, fine(AREA, f"to be had here: {names}" if names else "none to be had here")]
