"""Who holds a lock: /proc/locks names the pid of each lock's owner, in the pid namespace of the one who reads.

The journal's own `pid` is the writer's view, which another namespace may not share, and which anybody can write.
"""


def lock_owner(device: int, inode: int, procfs: str) -> int | None:
    """The pid of the process that took the flock on a file; None where none is seen.

    Raises OSError without /proc/locks.
    """
    # The device stands in two hexadecimal parts, the inode in decimal.
    wanted = f"{_major(device):02x}:{_minor(device):02x}:{inode}"
    with open(f"{procfs}/locks", encoding="ascii", errors="replace") as file:
        for line in file:
            fields = line.split()
            if len(fields) >= 6 and fields[1] == "FLOCK" and fields[5] == wanted:
                pid = int(fields[4])
                return pid if pid > 0 else None
    return None


def _major(device: int) -> int:
    return (device >> 8) & 0xFFF | (device >> 32) & ~0xFFF


def _minor(device: int) -> int:
    return device & 0xFF | (device >> 12) & ~0xFF
