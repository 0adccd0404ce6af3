"""huggingface_hub: downloads are the stage `download` of a load; alone, what fails is told, and only of models.

A file that is missing on the hub is often only asked for to see whether it is there; so a single file counts only
where its name is that of weights.
"""

from types import ModuleType
from typing import Any

from model_load_exporter.identity import looks_like_file
from model_load_exporter.instrument import patch
from model_load_exporter.instrument.calls import Asked, Point, argument


def _snapshot(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Asked | None:
    repo = argument(args, kwargs, 0, "repo_id")
    if not isinstance(repo, str) or kwargs.get("repo_type") not in (None, "model"):
        return None
    return None, repo


def _file(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Asked | None:
    return _snapshot(args, kwargs) if looks_like_file(str(argument(args, kwargs, 1, "filename"))) else None


def hook(module: ModuleType) -> None:
    """The module of one of the two functions is there."""
    patch.apply(
        module,
        (
            Point("hf_hub_download", _file, "download", part=True),
            Point("snapshot_download", _snapshot, "download", part=True),
        ),
    )
