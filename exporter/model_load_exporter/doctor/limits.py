"""Limits and settings of the kernel that end a load or hide why it ended: ulimits, core dumps, /dev/shm, overcommit."""

import os
import resource
from pathlib import Path

from model_load_exporter.doctor.finding import Finding, fine
from model_load_exporter.units import format_size

AREA = "limits"
_SHARED = "/dev/shm"  # noqa: S108 - the place itself is asked about
_FILES = 4096
_SHM = 64 * 2**20


def check(procfs: str = "/proc", shm: str = _SHARED) -> list[Finding]:
    """Those of this process: start it as the service is started (same user, same unit) to see the service's."""
    return [*_ulimits(), *_core(procfs), *_shm(shm), *_overcommit(procfs)]


def _ulimits() -> list[Finding]:
    found = []
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files != resource.RLIM_INFINITY and files < _FILES:
        found.append(Finding(
            "warning", AREA, f"at most {files} open files (ulimit -n)",
            "a model of many shards, or many workers' connections, end in `Too many open files`: resource_limit",
            "systemd: LimitNOFILE=65536; docker: --ulimit nofile=65536; shell: ulimit -n 65536",
        ))  # fmt: skip
    for name, limit, flag in (
        ("address space", resource.RLIMIT_AS, "-v"), ("data", resource.RLIMIT_DATA, "-d"),
        ("CPU time", resource.RLIMIT_CPU, "-t"), ("file size", resource.RLIMIT_FSIZE, "-f"),
    ):  # fmt: skip
        soft = resource.getrlimit(limit)[0]
        if soft != resource.RLIM_INFINITY:
            found.append(Finding(
                "warning", AREA, f"{name} is limited to {soft} (ulimit {flag})",
                "mapped weights count against it though they take no memory: a load that fits is refused",
                f"ulimit {flag} unlimited; limit memory by a cgroup instead (MemoryMax=, --memory)",
            ))  # fmt: skip
    return found or [fine(AREA, f"open files up to {files}; address space, data, CPU time and file size not limited")]


def _core(procfs: str) -> list[Finding]:
    soft = resource.getrlimit(resource.RLIMIT_CORE)[0]
    pattern = _read(f"{procfs}/sys/kernel/core_pattern")
    if soft == 0 and not pattern.startswith("|"):
        return [Finding(
            "warning", "core dumps", "a process that crashes leaves no core dump (ulimit -c is 0)",
            "a segmentation fault in a native library then has a name in the kernel log, and no stack",
            "for Python's stack without a dump: PYTHONFAULTHANDLER=1; for dumps: LimitCORE=infinity",
        )]  # fmt: skip
    if soft != 0 and not pattern.startswith("|"):
        return [Finding(
            "warning", "core dumps", f"a crash writes the whole process to {pattern or 'core'}",
            "writing gigabytes delays its end and its restart, and may fill the disk",
            "hand dumps to systemd-coredump, or: LimitCORE=0",
        )]  # fmt: skip
    return [fine("core dumps", f"handed to {pattern.split()[0].lstrip('|')}" if pattern else "none")]


def _shm(path: str) -> list[Finding]:
    try:
        space = os.statvfs(path)
    except OSError:
        return [Finding(
            "warning", _SHARED, f"there is no {path}",
            "loaders with worker processes share tensors through it", f"mount -t tmpfs tmpfs {path}",
        )]  # fmt: skip
    size = space.f_blocks * space.f_frsize
    if size <= _SHM:
        return [Finding(
            "warning", _SHARED, f"{path} has {format_size(size)}, Docker's default",
            "worker processes that share tensors die with a bus error when it is full",
            "docker: --shm-size=2g or --ipc=host; Kubernetes: an emptyDir of medium Memory at /dev/shm",
        )]  # fmt: skip
    return [fine(_SHARED, f"{format_size(size // 2**20 * 2**20)}")]


def _overcommit(procfs: str) -> list[Finding]:
    mode = _read(f"{procfs}/sys/vm/overcommit_memory")
    if mode == "2":
        return [Finding(
            "warning", "overcommit", "vm.overcommit_memory is 2: memory is refused before it is used up",
            "torch and CUDA reserve more address space than they use: loads fail with a MemoryError though RAM is free",
            "sysctl vm.overcommit_memory=0",
        )]  # fmt: skip
    return [fine("overcommit", {"0": "heuristic (0)", "1": "always (1)"}.get(mode, "not known"))]


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
