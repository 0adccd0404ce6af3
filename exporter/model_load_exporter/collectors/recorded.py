"""What the collectors over the recorder's state have in common."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from typing import cast

from prometheus_client import Metric

from model_load_exporter.loads import Key, Loads


class RecordedCollector(ABC):
    """A slice a {target, model}. Reads the state that the recorder keeps; touches no disk."""

    name: str
    blocking = False

    def __init__(self, loads: Loads) -> None:
        self._loads = loads

    def version(self) -> Hashable:
        """Another value with each event."""
        with self._loads.lock:
            return self._loads.version

    @abstractmethod
    def slices(self) -> Iterable[tuple[Hashable, Hashable]]:
        """(key, version) of each {target, model} that has samples."""

    def collect(self) -> Iterable[Metric]:
        """Every family of every {target, model}, a slice at a time."""
        return [metric for name, _ in self.slices() for metric in self.collect_slice(name)]

    def collect_slice(self, name: Hashable) -> Iterable[Metric]:
        """Every family of one {target, model}."""
        key = cast(Key, name)
        return self._families(key, {"target": key[0], "model": key[1]})

    @abstractmethod
    def _families(self, key: Key, labels: dict[str, str]) -> Iterable[Metric]:
        """The same families in the same order for each key; without samples where there is nothing to say."""
