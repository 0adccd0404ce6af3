"""What a process says of itself in the journal: boot, pid namespace, pod. Each is read once; none can fail a load."""

from __future__ import annotations

import os
from functools import lru_cache

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    from typing import Any


@lru_cache(maxsize=1)
def boot_id() -> str:
    """The kernel's id of this boot, or '' where there is none (no Linux)."""
    return _first_line("/proc/sys/kernel/random/boot_id")


@lru_cache(maxsize=1)
def pid_namespace() -> int | None:
    """The inode of this process's pid namespace: the daemon believes a pid only of its own namespace."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return None


@lru_cache(maxsize=1)
def runtime() -> dict[str, Any]:
    """Interpreter version and, in Kubernetes, the pod, by the variables and files that a container has."""
    import sys

    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        found["pod"] = os.environ.get("POD_NAME") or os.environ.get("HOSTNAME", "")
        found["namespace"] = os.environ.get("POD_NAMESPACE") or _first_line(
            "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
        )
        found["container"] = os.environ.get("CONTAINER_NAME", "")
    return found


def identity() -> dict[str, Any]:
    """The keys that begin and hold carry of the process that writes them."""
    return {"pid": os.getpid(), "boot_id": boot_id(), "pid_namespace": pid_namespace()}


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline(200).strip()
    except OSError:
        return ""


# A forked child may live in another pid namespace (unshare); the other two do not change.
os.register_at_fork(after_in_child=pid_namespace.cache_clear)
