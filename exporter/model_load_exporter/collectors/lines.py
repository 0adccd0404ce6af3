"""Sample lines whose labels were rendered before: only the value is new.

prometheus_client renders each line once, with the value 0, so that its escaping and its formats are its own; what
stands before the value is kept. Most series of the collectors that run at every scrape are of this kind.
"""

from collections.abc import Callable

from prometheus_client import Metric
from prometheus_client.utils import floatToGoString

_PLAIN = ("gauge", "counter")
"""Types whose samples are one line each, in the order in which they were added."""

Render = Callable[[Metric], tuple[bytes, bytes]]
"""A family to its # lines and its sample lines."""


class Lines:
    """What one collector said last, in one format, ready to be said again with other values."""

    def __init__(self, render: Render) -> None:
        """render: what the lines are made by where they are new."""
        self._render = render
        self._heads: dict[tuple[str, str, str], bytes] = {}
        self._starts: dict[tuple[str, tuple[tuple[str, str], ...]], bytes] = {}

    def family(self, metric: Metric) -> bytes:
        """The whole family."""
        if metric.type not in _PLAIN or any(sample.timestamp or sample.exemplar for sample in metric.samples):
            return b"".join(self._render(metric))
        head = metric.name, metric.type, metric.documentation
        if head not in self._heads:
            self._heads[head] = self._render(Metric(metric.name, metric.documentation, metric.type))[0]
        parts = [self._heads[head]]
        for sample in metric.samples:
            key = sample.name, tuple(sample.labels.items())
            start = self._starts.get(key)
            if start is None:
                start = self._starts[key] = self._start(metric, sample.name, sample.labels)
            value: str = floatToGoString(sample.value)  # type: ignore[no-untyped-call]  # prometheus_client has no types there
            parts.append(start + value.encode() + b"\n")
        return b"".join(parts)

    def __len__(self) -> int:
        return len(self._starts)

    def _start(self, metric: Metric, name: str, labels: dict[str, str]) -> bytes:
        one = Metric(metric.name, metric.documentation, metric.type)
        one.add_sample(name, labels, 0)
        return self._render(one)[1].removesuffix(b"0.0\n")
