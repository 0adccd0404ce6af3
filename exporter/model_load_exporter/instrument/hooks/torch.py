"""torch.load: a checkpoint. What it returns is no model yet, so the model is held until the process ends."""

from types import ModuleType

from model_load_exporter.instrument import patch
from model_load_exporter.instrument.calls import Point, file
from model_load_exporter.instrument.hooks.held import whole_model


def hook(module: ModuleType) -> None:
    """torch.serialization is there."""
    patch.apply(module, (Point("load", file(0, "f"), "weights", held=whole_model),))
