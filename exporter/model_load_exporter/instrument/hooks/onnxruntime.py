"""onnxruntime.InferenceSession(path). A model in memory (bytes) has no name: it is told only inside of a load."""

from types import ModuleType

from model_load_exporter.instrument import patch
from model_load_exporter.instrument.calls import Point, file
from model_load_exporter.instrument.hooks.held import itself


def hook(module: ModuleType) -> None:
    """The module of InferenceSession is there."""
    patch.apply(module, (Point("InferenceSession.__init__", file(1, "path_or_bytes"), "weights", held=itself),))
