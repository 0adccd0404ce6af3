"""Witness of ML model loads, outside the process that loads.

What a service imports from here needs the standard library alone:

    from model_load_exporter import instrument, track_load, unloaded

ModelLoadCollector needs prometheus_client beside it.
"""

# The function takes the place of the package of the same name as the attribute `instrument`; imports find the package.
from model_load_exporter.instrument.auto import instrument
from model_load_exporter.instrument.track import track_load, unloaded

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    from model_load_exporter.inprocess import ModelLoadCollector as ModelLoadCollector

__all__ = ["instrument", "track_load", "unloaded"]


def __getattr__(name: str) -> object:
    """ModelLoadCollector, on its first use: it needs prometheus_client, which a service need not have."""
    if name == "ModelLoadCollector":
        try:
            from model_load_exporter.inprocess import ModelLoadCollector
        except ModuleNotFoundError as error:
            raise ImportError(f"{name} needs {error.name}: pip install prometheus-client") from None
        return ModelLoadCollector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
