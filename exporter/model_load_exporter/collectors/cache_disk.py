"""The disks that model files lie on: size and space, by mount point, for the config's cache_paths."""

import os
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import Metric

from model_load_exporter.collectors.base import NoData, gauge


class CacheDiskCollector:
    """Space on the file systems below the cache paths. A network mount may hang: never runs on the loop."""

    name = "cache_disk"
    blocking = True

    def __init__(self, paths: Callable[[], Sequence[str]]) -> None:
        self._paths = paths

    def collect(self) -> Iterable[Metric]:
        """One sample a file system, however many paths are on it. Raises OSError for a disk that does not answer."""
        size = gauge("model_host_cache_disk_size_bytes", "Size of a file system that models are kept on.")
        available = gauge("model_host_cache_disk_available_bytes", "Space on it that an unprivileged user may take.")
        points = {mount_point(path) for path in self._paths()}
        if not points:
            raise NoData("no cache_paths are configured")
        for point in sorted(points):
            space = os.statvfs(point)
            size.add_sample(size.name, {"mountpoint": point}, space.f_blocks * space.f_frsize)
            available.add_sample(available.name, {"mountpoint": point}, space.f_bavail * space.f_frsize)
        return [size, available]


def mount_point(path: str) -> str:
    """The mount point that a path lies on, or will lie on once its folder is made."""
    current = os.path.realpath(os.path.expanduser(path))
    while not os.path.ismount(current):
        current = os.path.dirname(current)
    return current
