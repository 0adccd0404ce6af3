"""Which mount a path lies on, by its text and the kernel's table alone: a look at a dead one never comes back."""

import os


def mount_of(path: str, mountinfo: str = "/proc/self/mountinfo") -> str | None:
    """The mount point of an absolute path; None where that cannot be told. Links are not followed."""
    if not path.startswith("/"):
        return None
    path = os.path.normpath(path)
    best: str | None = None
    try:
        with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                point = _plain(line.split(" ")[4])
                if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(best or ""):
                    best = point
    except (OSError, IndexError):
        return None
    return best


def _plain(point: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(code, char)
    return point
