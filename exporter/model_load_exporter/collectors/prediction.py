"""Memory that each configured model will take, from its files' headers: known before the first load."""

import os
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import Metric

from model_load_exporter.artifacts.locate import locate
from model_load_exporter.artifacts.predict import predict_memory
from model_load_exporter.collectors.base import gauge
from model_load_exporter.config import Model


class PredictionCollector:
    """Reads headers only, and again only when a folder changed. The files may be on a slow disk: never on the loop."""

    name = "prediction"
    blocking = True

    def __init__(self, models: Callable[[], Sequence[Model]]) -> None:
        self._models = models
        self._known: dict[str, tuple[tuple[int, int], int | None]] = {}

    def collect(self) -> Iterable[Metric]:
        """One sample a model whose files are there and tell their size."""
        metric = gauge(
            "model_memory_predicted_bytes", "Memory that loading the model will take, from its files' headers."
        )
        for model in self._models():
            size = self._predict(model)
            if size is not None:
                metric.add_sample(metric.name, {"model": model.name}, size)
        return [metric]

    def _predict(self, model: Model) -> int | None:
        location = locate(model.path) if model.path else None
        if location is None:
            return None
        path = str(location.path)
        try:
            state = os.stat(path)
        except OSError:
            return None
        stamp = (state.st_mtime_ns, state.st_size)
        known = self._known.get(path)
        if known is None or known[0] != stamp:
            prediction = predict_memory(path, model.loader)
            known = self._known[path] = (stamp, prediction.bytes if prediction is not None else None)
        return known[1]
