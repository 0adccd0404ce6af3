"""diffusers: from_pretrained of pipelines, whose components are their stages, and of single models."""

from types import ModuleType

from model_load_exporter.instrument import patch
from model_load_exporter.instrument.calls import Point, named

_asked = named(1, "pretrained_model_name_or_path", "pretrained_model_or_path")

POINTS: dict[str, tuple[Point, ...]] = {
    "pipeline_utils": (Point("DiffusionPipeline.from_pretrained", _asked, "pipeline", own_stage=False),),
    "auto_pipeline": tuple(
        Point(f"AutoPipelineFor{kind}.from_pretrained", _asked, "pipeline", own_stage=False)
        for kind in ("Text2Image", "Image2Image", "Inpainting", "Text2Audio")
    ),
    "modeling_utils": (Point("ModelMixin.from_pretrained", _asked, "weights"),),
}


def hook(module: ModuleType) -> None:
    """One of the modules is there."""
    patch.apply(module, POINTS[module.__name__.rpartition(".")[2]])
