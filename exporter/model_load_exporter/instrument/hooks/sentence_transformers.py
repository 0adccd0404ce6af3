"""SentenceTransformer(path) and CrossEncoder(path): what they load inside are their stages."""

from types import ModuleType

from model_load_exporter.instrument import patch
from model_load_exporter.instrument.calls import Point, named
from model_load_exporter.instrument.hooks.held import itself


def hook(module: ModuleType) -> None:
    """A module with one of the classes is there; its place has changed with the versions."""
    patch.apply(
        module,
        tuple(
            Point(f"{name}.__init__", named(1, argument, "model_name"), "pipeline", own_stage=False, held=itself)
            for name, argument in (
                ("SentenceTransformer", "model_name_or_path"),
                ("CrossEncoder", "model_name_or_path"),
            )
        ),
    )
