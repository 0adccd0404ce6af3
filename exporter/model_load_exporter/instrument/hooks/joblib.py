"""joblib.load(path): scikit-learn's models, usually. A file object has no name: told only inside of a load."""

from types import ModuleType

from model_load_exporter.instrument import patch
from model_load_exporter.instrument.calls import Point, file
from model_load_exporter.instrument.hooks.held import whole_model


def hook(module: ModuleType) -> None:
    """joblib.numpy_pickle is there."""
    patch.apply(module, (Point("load", file(0, "filename"), "weights", held=whole_model),))
