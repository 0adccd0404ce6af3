"""The interpreters that models are loaded under: versions, and whether the packages fit together."""

import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client import Metric

from model_load_exporter.collectors.base import NoData, gauge
from model_load_exporter.config import Config

if TYPE_CHECKING:
    from model_load_exporter.doctor.inspection import Interpreter

_FRESH_SECONDS = 3600.0
_SHOWN = ("torch", "transformers", "tokenizers", "safetensors", "accelerate", "huggingface-hub", "numpy")

_LABELS = ("target", "python", "torch", "transformers", "tokenizers", "cuda")


class EnvironmentCollector:
    """Asks each configured interpreter once an hour, in a process of its own. Never runs on the loop."""

    name = "environment"
    blocking = True

    def __init__(
        self, config: Callable[[], Config], clock: Callable[[], float] = time.monotonic,
        inspect: "Callable[[str], Interpreter] | None" = None,
    ) -> None:  # fmt: skip
        self.config, self._clock, self._inspect = config, clock, inspect
        self._known: dict[str, tuple[float, Interpreter, set[str]]] = {}

    def collect(self) -> Iterable[Metric]:
        """One info a target and interpreter. Raises InspectionError where one of them cannot be asked."""
        pythons = interpreters(self.config())
        if not pythons:
            raise NoData("no model has a canary")
        info = gauge("model_environment_info", "The interpreter that a target's models are loaded under.")
        fits = gauge("model_environment_compatible", "1 if the package's requirements, and known pairs, are met.")
        rows: dict[tuple[str, ...], None] = {}
        fitting: dict[tuple[str, str], int] = {}
        for target, path in pythons:
            interpreter, bad = self._ask(path)
            versions = (interpreter.version(name) for name in ("torch", "transformers", "tokenizers"))
            rows[target, interpreter.python, *versions, interpreter.cuda] = None
            for name in _SHOWN:
                if interpreter.version(name):
                    # Of several interpreters of one target the worst counts.
                    fitting[target, name] = min(fitting.get((target, name), 1), int(name not in bad))
        for row in rows:
            info.add_sample(info.name, dict(zip(_LABELS, row, strict=True)), 1)
        for (target, name), good in fitting.items():
            fits.add_sample(fits.name, {"target": target, "package": name}, good)
        self._known = {path: known for path, known in self._known.items() if path in {path for _, path in pythons}}
        return [info, fits]

    def _ask(self, path: str) -> "tuple[Interpreter, set[str]]":
        known = self._known.get(path)
        if known is not None and self._clock() - known[0] < _FRESH_SECONDS:
            return known[1], known[2]
        # Here: the daemon is scraped before the first answer, and packaging takes 40 ms to import.
        from model_load_exporter.doctor import compatibility, inspection

        interpreter = (self._inspect or inspection.inspect)(path)
        bad = compatibility.incompatible(compatibility.check(interpreter))
        self._known[path] = (self._clock(), interpreter, bad)
        return interpreter, bad


def interpreters(config: Config) -> list[tuple[str, str]]:
    """(target, interpreter) of every model with a canary: the services that hold it, or the empty target."""
    found = []
    for model in config.models:
        if model.canary is None:
            continue
        targets = [service.target for service in config.services if model.name in service.models]
        found += [(target, model.canary.python or sys.executable) for target in targets or [""]]
    return sorted(set(found))
