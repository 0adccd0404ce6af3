"""A pickle's weights written as safetensors to a temporary folder, to see how the model would load from there.

Only what weights_only lets through is read, in a child like any other load; the model's own folder is not touched.
"""

import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from model_load_exporter.canary.run import run_canary
from model_load_exporter.config.schema import Canary, Model
from model_load_exporter.units import format_size

_SPARE_DISK = 2**30
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


class ConversionError(Exception):
    """The weights cannot be had as safetensors here; the message says why."""


@dataclass(frozen=True, slots=True)
class _Source:
    folder: Path | None
    pickles: tuple[Path, ...]

    @property
    def size(self) -> int:
        return sum(file.stat().st_size for file in self.pickles)


@contextlib.asynccontextmanager
async def converted(model: Model, path: str) -> AsyncIterator[Model]:
    """The model, to be loaded from a temporary folder with safetensors, which is removed afterwards.

    Raises ConversionError where the disk has no room or the pickle holds more than tensors by name.
    """
    source = _source(Path(path))
    with tempfile.TemporaryDirectory(prefix="model-load-exporter-") as name:
        free = shutil.disk_usage(name).free
        if source.size + _SPARE_DISK > free:
            raise ConversionError(f"{format_size(source.size)} of weights do not fit beside what is in {name}")
        canary = model.canary or Canary()
        reading = replace(model, path=path, loader="torch", canary=replace(canary, memory_limit=None, expect=None))
        result = await run_canary(reading, stages=("weights",), options={"save": name})
        if result.outcome != "loaded":
            raise ConversionError(f"the pickle could not be converted: {result.message}")
        if source.folder is None:
            yield replace(model, path=str(Path(name) / "model.safetensors"), loader="safetensors")
            return
        for file in source.folder.iterdir():
            if file not in source.pickles and not file.name.endswith(".bin.index.json"):
                (Path(name) / file.name).symlink_to(file.resolve())
        yield replace(model, path=name)


def _source(path: Path) -> _Source:
    if not path.is_dir():
        return _Source(None, (path,))
    return _Source(path, tuple(file for file in path.iterdir() if file.suffix in _PICKLES and file.is_file()))
