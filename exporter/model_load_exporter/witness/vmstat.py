"""/proc/vmstat: how many processes the kernel's OOM killer ended on this host, in any cgroup. Everybody may read it."""


def oom_kills(procfs: str) -> int | None:
    """The count since the boot; None where the kernel does not tell it."""
    try:
        with open(f"{procfs}/vmstat", "rb") as file:
            for line in file:
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
    except (OSError, ValueError, IndexError):
        pass
    return None
