"""transformers: from_pretrained of models; and, as parts, of configurations, tokenizers and processors; pipeline()."""

from types import ModuleType
from typing import Any

from model_load_exporter.instrument import log, patch
from model_load_exporter.instrument.calls import Asked, Point, argument, named, place
from model_load_exporter.instrument.load import Load, NestedLoad

_INFO = "output_loading_info"
_NAMED = 20
"""Names of weights that a note carries; their number is told in any case."""

_COMMIT = 40
"""Characters of a commit's id."""

_asked = named(1, "pretrained_model_name_or_path")


def _with_info(kwargs: dict[str, Any]) -> dict[str, Any]:
    """transformers makes this report for every load: asking for it costs nothing."""
    return {**kwargs, _INFO: True}


def _told(result: Any, load: Load | NestedLoad, kwargs: dict[str, Any]) -> Any:
    """Notes weights that the files did not have, or have for nothing; gives back what the service asked for."""
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)):
        return result
    model, info = result
    try:
        _note(load, info)
        load.describe(format="transformers", dtype=str(model.dtype).removeprefix("torch."), **_revision(model, kwargs))
    except Exception:
        log.trouble("what a load found is not told")
    return result if kwargs.get(_INFO) else model


def _note(load: Load | NestedLoad, info: dict[str, Any]) -> None:
    found = {
        "newly_initialized": sorted(map(str, info.get("missing_keys") or ())),
        "unexpected": sorted(map(str, info.get("unexpected_keys") or ())),
        "mismatched": sorted(
            str(key[0] if isinstance(key, tuple) else key) for key in info.get("mismatched_keys") or ()
        ),
    }
    found = {kind: names for kind, names in found.items() if names}
    if found:
        said = [
            f"{len(names)} {kind.replace('_', ' ')} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
            for kind, names in found.items()
        ]
        notes = {kind: names[:_NAMED] for kind, names in found.items()}
        load.note(f"weights: {'; '.join(said)}", **notes, **{f"{kind}_count": len(found[kind]) for kind in found})


def _revision(model: Any, kwargs: dict[str, Any]) -> dict[str, str]:
    """The commit: of the configuration, and in newer versions of the argument that the Auto classes hand on."""
    commit = getattr(model.config, "_commit_hash", None) or kwargs.get("revision")
    # A branch's name says nothing of what was loaded.
    return {"revision": commit} if isinstance(commit, str) and len(commit) == _COMMIT else {}


def _pipeline(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Asked | None:
    """pipeline(task, model): without a model, the default of the task is known only later, by what is loaded."""
    return place(argument(args, kwargs, 1, "model"))


_MODEL = Point("PreTrainedModel.from_pretrained", _asked, "weights", ask=_with_info, told=_told)
_AUTO = Point("_BaseAutoModelClass.from_pretrained", _asked, "", own_stage=False)


def _part(class_name: str, stage: str) -> Point:
    return Point(f"{class_name}.from_pretrained", _asked, stage, part=True)


POINTS: dict[str, tuple[Point, ...]] = {
    "modeling_utils": (_MODEL,),
    "auto_factory": (_AUTO,),
    "pipelines": (Point("pipeline", _pipeline, "pipeline", own_stage=False),),
    "configuration_utils": (_part("PreTrainedConfig", "config"), _part("PretrainedConfig", "config")),
    "configuration_auto": (_part("AutoConfig", "config"),),
    "tokenization_utils_base": (_part("PreTrainedTokenizerBase", "tokenizer"),),
    "tokenization_auto": (_part("AutoTokenizer", "tokenizer"),),
    "processing_utils": (_part("ProcessorMixin", "tokenizer"),),
    "processing_auto": (_part("AutoProcessor", "tokenizer"),),
}


def hook(module: ModuleType) -> None:
    """One of the modules is there."""
    patch.apply(module, POINTS[module.__name__.rpartition(".")[2]])
