"""Mount points."""

import os


def mount_point(path: str) -> str:
    """The mount point that a path lies on, or will lie on once its folder is made."""
    current = os.path.realpath(os.path.expanduser(path))
    while not os.path.ismount(current):
        current = os.path.dirname(current)
    return current
