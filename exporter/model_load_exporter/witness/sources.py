"""The sources of evidence, by name: `--evidence.disable` and model_load_exporter_evidence_available use these."""

from collections.abc import Mapping

HOW: Mapping[str, str] = {
    "exit_status": "a kernel that tells it (PIDFD_INFO_EXIT, from about 6.15); needs no rights",
    "proc_connector": "root (CAP_NET_ADMIN) in the host's network and pid namespaces: exit codes on older kernels",
    "zombie": "root (CAP_SYS_PTRACE): exit codes of processes that nobody reaped yet",
    "kernel_log": "/dev/kmsg readable (CAP_SYSLOG where dmesg_restrict is 1) and the host's pid namespace",
    "cgroup": "/sys/fs/cgroup of the host, with the memory controller",
    "vmstat": "/proc/vmstat; needs no rights",
    "systemd_oomd": "/sys/fs/cgroup of the host, cgroup v2, with extended attributes",
    "locks": "/proc/locks and the pid namespace of the services, or the host's",
    "faulthandler": "services started with MODEL_LOAD_EXPORTER_FAULTHANDLER=1",
    "parent_status": "services started by `model-load-exporter run`",
    "kill_note": "supervisors that tell before they kill: `run`, or model_load_exporter.journal.kill.tell_kill",
}
"""What each needs, for a person who wants more of it."""

SOURCES = tuple(HOW)
