"""systemd-oomd: it ends a cgroup as a whole, from user space, and counts that in extended attributes of its folder.

`user.oomd_ooms` rises before it sends SIGKILL, `user.oomd_kill` after. The cgroup it chose may be one above.
"""

import os

from model_load_exporter.witness.cgroup import MemoryCgroup

_ATTRIBUTES = ("user.oomd_ooms", "user.oomd_kill")


def kills(cgroup: MemoryCgroup) -> int | None:
    """The counts of a cgroup and of all above it, added up; None on cgroup v1, where systemd-oomd does not work.

    A folder that has no attribute counts 0: systemd-oomd sets them with its first kill.
    """
    if not cgroup.v2:
        return None
    return sum(_count(folder, name) for folder in cgroup.line() for name in _ATTRIBUTES)


def _count(folder: str, name: str) -> int:
    try:
        return int(os.getxattr(folder, name).decode("ascii", "replace"))
    except (OSError, ValueError):
        return 0
