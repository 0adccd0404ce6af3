"""The disks that model files lie on: size and space, by mount point, for the config's cache_paths."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import Metric

from model_load_exporter.collectors.base import LOOK_SECONDS, NoData, gauge
from model_load_exporter.looks.looker import Looker


class CacheDiskCollector:
    """Space on the file systems below the cache paths. A network mount may hang: others look, and not on the loop."""

    name = "cache_disk"
    blocking = True

    def __init__(self, paths: Callable[[], Sequence[str]], looker: Looker) -> None:
        self._paths = paths
        self._looker = looker

    def collect(self) -> Iterable[Metric]:
        """One sample a file system, however many paths are on it; none for one that does not answer.

        Raises OSError where none answers.
        """
        size = gauge("model_host_cache_disk_size_bytes", "Size of a file system that models are kept on.")
        available = gauge("model_host_cache_disk_available_bytes", "Space on it that an unprivileged user may take.")
        paths = self._paths()
        if not paths:
            raise NoData("no cache_paths are configured")
        found: dict[str, tuple[int, int]] = {}
        failed: OSError | None = None
        for answer in self._looker.ask_all([("space", path) for path in paths], LOOK_SECONDS):
            try:
                point, total, free = answer.value()
            except OSError as error:
                failed = error
            else:
                found[point] = total, free
        if failed is not None and not found:
            raise failed
        for point, (total, free) in sorted(found.items()):
            size.add_sample(size.name, {"mountpoint": point}, total)
            available.add_sample(available.name, {"mountpoint": point}, free)
        return [size, available]
