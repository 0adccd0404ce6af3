"""What a collector is: a name, a default, and `collect`.

A collector that has nothing to say on this host raises NoData and counts as well; one that fails raises anything else,
costs its own series only, and is reported by model_load_exporter_collector_success.
"""

from collections.abc import Hashable, Iterable
from typing import Protocol, runtime_checkable

from prometheus_client import Metric


class NoData(Exception):  # noqa: N818 - no error: this host has nothing of the kind
    """There is nothing to collect here; the message says why."""


class Collector(Protocol):
    """One source of series. `blocking`: its reading may wait for a disk or a driver, so it never runs on the loop."""

    name: str
    blocking: bool

    def collect(self) -> Iterable[Metric]:
        """The families as they are now."""


@runtime_checkable
class Versioned(Protocol):
    """A collector that knows whether anything changed: while `version` is the same, nothing is rendered again."""

    def version(self) -> Hashable:
        """Another value whenever `collect` would answer something else."""


@runtime_checkable
class Sliced(Protocol):
    """A collector whose families consist of slices (one a {target, model}) that change one at a time."""

    def slices(self) -> Iterable[tuple[Hashable, Hashable]]:
        """(name, version) of each slice, in the order of the exposition."""

    def collect_slice(self, name: Hashable) -> Iterable[Metric]:
        """The families of one slice; every slice has the same families in the same order."""


LOOK_SECONDS = 1.0
"""How long a collector waits for a look at a disk: less than a scrape does."""


def gauge(name: str, help_text: str) -> Metric:
    """A new gauge family."""
    return Metric(name, help_text, "gauge")


def counter(name: str, help_text: str) -> Metric:
    """A new counter family; the name without `_total`, the samples with it."""
    return Metric(name, help_text, "counter")
