"""Progress of a load as it is seen from outside: CPU time, page faults and bytes read of the loading process.

A load that uses no CPU, faults no page and reads nothing does not move, whatever its own threads would say.
"""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a process. work: a number that changes with any progress. rss, anonymous: bytes, None if unknown."""

    work: tuple[int, ...]
    rss: int | None
    anonymous: int | None


def sample(pid: int, procfs: str, children: Collection[int] = ()) -> Sample | None:
    """Looks at a process; None where it is gone or may not be seen. What its children do counts as its work."""
    work = _work(pid, procfs)
    if work is None:
        return None
    for child in sorted(children):
        # One that is gone is a change too, once.
        work += _work(child, procfs) or (child,)
    rss, anonymous = _memory(pid, procfs)
    return Sample(work, rss, anonymous)


def _work(pid: int, procfs: str) -> tuple[int, ...] | None:
    try:
        with open(f"{procfs}/{pid}/stat", "rb") as file:
            fields = file.read(1024).rpartition(b")")[2].split()
        # minor faults, major faults, user time, system time: fields 10, 12, 14, 15 of proc(5).
        return (*(int(fields[index]) for index in (7, 9, 11, 12)), _bytes_read(pid, procfs))
    except (OSError, ValueError, IndexError):
        return None


def _bytes_read(pid: int, procfs: str) -> int:
    try:
        with open(f"{procfs}/{pid}/io", "rb") as file:
            return int(file.readline().split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _memory(pid: int, procfs: str) -> tuple[int | None, int | None]:
    rss = anonymous = None
    try:
        with open(f"{procfs}/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"VmRSS:"):
                    rss = int(line.split()[1]) * 1024
                elif line.startswith(b"RssAnon:"):
                    anonymous = int(line.split()[1]) * 1024
                    break
    except (OSError, ValueError, IndexError):
        pass
    return rss, anonymous
