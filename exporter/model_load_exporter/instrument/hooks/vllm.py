"""vLLM, by its plugins: it calls `register` in each of its processes before they load (group `vllm.general_plugins`).

The point is the method that vLLM's loaders inherit. The tests do not run vLLM, a GPU build of some gigabytes.
"""

from types import ModuleType
from typing import Any

from model_load_exporter.instrument import patch
from model_load_exporter.instrument.calls import Asked, Point, argument, place


def register() -> None:
    """The plugin."""
    from model_load_exporter.instrument.auto import instrument

    instrument()


def _asked(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Asked | None:
    config = argument(args, kwargs, 2, "model_config") or argument(args, kwargs, 1, "vllm_config").model_config
    return place(config.model)


def hook(module: ModuleType) -> None:
    """vLLM's base loader is there."""
    patch.apply(module, (Point("BaseModelLoader.load_model", _asked, "weights"),))
