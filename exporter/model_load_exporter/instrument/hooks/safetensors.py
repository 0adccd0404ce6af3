"""safetensors.torch.load_file and load_model. The tensors are no model yet: held until the process ends."""

from types import ModuleType

from model_load_exporter.instrument import patch
from model_load_exporter.instrument.calls import Point, file


def hook(module: ModuleType) -> None:
    """safetensors.torch is there."""
    patch.apply(
        module,
        (
            Point("load_file", file(0, "filename"), "weights", held=lambda args, result: None),
            Point("load_model", file(1, "filename"), "weights", held=lambda args, result: args[0] if args else None),
        ),
    )
