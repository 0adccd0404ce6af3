"""A folder with checkpoints of TensorFlow, as tf.train.Checkpoint and Estimators leave them."""

from collections.abc import Callable
from pathlib import Path

from model_load_exporter.artifacts.format import FolderFormat
from model_load_exporter.artifacts.summary import Summary
from model_load_exporter.artifacts.tensor_bundle import Bundle, check, read_bundle

MAX_CHECKPOINTS = 64


def matches(folder: Path) -> bool:
    """By an index with a data file beside it, or with the list of checkpoints: FAISS has .index files too."""
    return any(
        (folder / "checkpoint").is_file() or any(folder.glob(f"{_escaped(index.stem)}.data-?????-of-?????"))
        for index in _indexes(folder)
    )


def read(folder: Path) -> Summary:
    """All checkpoints of the folder. Raises ArtifactError, OSError."""
    indexes = _indexes(folder)
    return summary("tf_checkpoint", [read_bundle(index) for index in indexes], indexes, {})


def deep(folder: Path, advance: Callable[[int], None]) -> None:
    """Every variable of every checkpoint against its CRC."""
    for index in _indexes(folder):
        check(read_bundle(index), advance)


def summary(name: str, bundles: list[Bundle], others: list[Path], notes: dict[str, str]) -> Summary:
    """What the checkpoints add up to, with the sizes of other files that belong to them."""
    parameters, sizes = 0, dict[str, int]()
    for variable in (variable for bundle in bundles for variable in bundle.variables):
        if variable.dtype not in ("string", "variant"):
            parameters += variable.elements
            sizes[variable.dtype] = sizes.get(variable.dtype, 0) + variable.size
    return Summary(
        format=name,
        file_bytes=sum(bundle.data_bytes for bundle in bundles) + sum(path.stat().st_size for path in others),
        tensor_bytes=sum(sizes.values()),
        parameters=parameters,
        dtypes=dict(sorted(sizes.items(), key=lambda item: -item[1])),
        metadata=notes,
    )


def _indexes(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.index"))[:MAX_CHECKPOINTS]


def _escaped(stem: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in stem)


FORMAT = FolderFormat("tf_checkpoint", matches, read, deep)
