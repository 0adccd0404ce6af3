"""Witness of ML model loads, outside the process that loads.

What a service imports from here needs the standard library alone:

    from model_load_exporter import instrument, record_inference, track_load, unloaded
    from model_load_exporter import health_app, load_with_recovery, serve_health

ModelLoadCollector needs prometheus_client beside it.
"""

# The function takes the place of the package of the same name as the attribute `instrument`; imports find the package.
from model_load_exporter.instrument.auto import instrument
from model_load_exporter.instrument.inferences import record_inference
from model_load_exporter.instrument.track import track_load, unloaded

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    from model_load_exporter.health.app import health_app as health_app
    from model_load_exporter.health.side import serve_health as serve_health
    from model_load_exporter.inprocess import ModelLoadCollector as ModelLoadCollector
    from model_load_exporter.instrument.recovery import LoadFailedError as LoadFailedError
    from model_load_exporter.instrument.recovery import load_with_recovery as load_with_recovery

__all__ = [
    "LoadFailedError",
    "health_app",
    "instrument",
    "load_with_recovery",
    "record_inference",
    "serve_health",
    "track_load",
    "unloaded",
]

_LATER = {
    "LoadFailedError": "model_load_exporter.instrument.recovery",
    "load_with_recovery": "model_load_exporter.instrument.recovery",
    "ModelLoadCollector": "model_load_exporter.inprocess",
    "health_app": "model_load_exporter.health.app",
    "serve_health": "model_load_exporter.health.side",
}
"""What is imported on its first use: not every service needs it, and it costs milliseconds."""


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    try:
        return getattr(importlib.import_module(_LATER[name]), name)
    except ModuleNotFoundError as error:
        raise ImportError(f"{name} needs {error.name}: pip install {str(error.name).replace('_', '-')}") from None
