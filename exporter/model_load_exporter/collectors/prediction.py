"""Memory that each configured model will take, from its files' headers: known before the first load."""

import time
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import Metric

from model_load_exporter.collectors.base import LOOK_SECONDS, gauge
from model_load_exporter.config import Model
from model_load_exporter.looks.looker import Ask, Looker

AGE = 60.0
"""Seconds for which a prediction stands: files change seldom."""


class PredictionCollector:
    """Has headers read, by others: the files may be on a slow disk, or on a mount that hangs. Never on the loop."""

    name = "prediction"
    blocking = True

    def __init__(
        self, models: Callable[[], Sequence[Model]], looker: Looker, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._models = models
        self._looker = looker
        self._clock = clock
        self._known: dict[Ask, tuple[float, int | None]] = {}

    def collect(self) -> Iterable[Metric]:
        """One sample a model whose files are there and tell their size; the last one known where they do not answer."""
        metric = gauge(
            "model_memory_predicted_bytes", "Memory that loading the model will take, from its files' headers."
        )
        asks: dict[str, Ask] = {m.name: ("predicted", m.path, m.loader) for m in self._models() if m.path}
        self._look(set(asks.values()))
        for name, ask in asks.items():
            size = self._known.get(ask, (0.0, None))[1]
            if size is not None:
                metric.add_sample(metric.name, {"model": name}, size)
        return [metric]

    def _look(self, asks: set[Ask]) -> None:
        now = self._clock()
        known = {ask: row for ask, row in self._known.items() if ask in asks}
        due = [ask for ask in sorted(asks) if ask not in known or now - known[ask][0] >= AGE]
        for ask, answer in zip(due, self._looker.ask_all(due, LOOK_SECONDS), strict=True):
            try:
                told = answer.value()
            except TimeoutError:
                continue
            except OSError:
                told = None
            known[ask] = now, None if told is None else told[0]
        self._known = known
