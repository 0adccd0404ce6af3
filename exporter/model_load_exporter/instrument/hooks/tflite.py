"""Interpreter(model_path=...) of ai_edge_litert, tflite_runtime and tensorflow.lite."""

from types import ModuleType

from model_load_exporter.instrument import patch
from model_load_exporter.instrument.calls import Point, file
from model_load_exporter.instrument.hooks.held import itself


def hook(module: ModuleType) -> None:
    """The module of Interpreter is there."""
    patch.apply(module, (Point("Interpreter.__init__", file(1, "model_path"), "weights", held=itself),))
