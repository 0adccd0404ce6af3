"""Disk space below every cache path, against what the models take."""

import os
from collections.abc import Sequence

from model_load_exporter.doctor.finding import Finding, fine
from model_load_exporter.doctor.memory import Need
from model_load_exporter.mounts import mount_point
from model_load_exporter.units import format_size

AREA = "disk"
_LITTLE = 0.05


def check(paths: Sequence[str], needs: Sequence[Need]) -> list[Finding]:
    """One finding a file system: room for another copy of the largest model, which an update needs for a while."""
    largest = max((need.disk or 0 for need in needs), default=0)
    found = []
    for point, below in sorted(_by_mount(paths).items()):
        try:
            space = os.statvfs(point)
        except OSError as error:
            found.append(Finding("problem", AREA, f"{point}: {error.strerror}", "no model loads from there", ""))
            continue
        size, free = space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize
        inodes = space.f_favail / space.f_files if space.f_files else 1.0
        what = f"{point} (for {', '.join(below[:3])}): {format_size(_round(free))} of {format_size(_round(size))} free"
        if free < largest:
            found.append(Finding(
                "problem", AREA, f"{what}; a download of the largest model needs {format_size(_round(largest))}",
                "a download breaks off and leaves a truncated file: disk_full, then file_corrupted",
                f"du -xh --max-depth=3 {point} | sort -h | tail; or move the cache: HF_HOME=",
            ))  # fmt: skip
        elif size and (free / size < _LITTLE or inodes < _LITTLE):
            short = "inodes" if inodes < _LITTLE else "space"
            found.append(Finding(
                "warning", AREA, f"{what}; less than 5 % of its {short} is left",
                "the next download or log fills it", f"du -xh --max-depth=3 {point} | sort -h | tail",
            ))  # fmt: skip
        else:
            found.append(fine(AREA, what))
    return found


def _by_mount(paths: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in dict.fromkeys(paths):
        found.setdefault(mount_point(path), []).append(path)
    return found


def _round(size: int) -> int:
    return size // 10_000_000 * 10_000_000 if size > 100_000_000 else size
