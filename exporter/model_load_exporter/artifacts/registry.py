"""Formats by file name. A new format is one module with SUFFIXES and read(), and its line here."""

from collections.abc import Callable
from pathlib import Path

from model_load_exporter.artifacts import safetensors, torch_zip
from model_load_exporter.artifacts.summary import Summary

READERS: dict[str, Callable[[Path], Summary]] = {
    **dict.fromkeys(safetensors.SUFFIXES, safetensors.read),
    **dict.fromkeys(torch_zip.SUFFIXES, torch_zip.read),
}


def summarize(path: Path) -> Summary | None:
    """What the file says of itself; None for a format that is not known by its name.

    Raises ArtifactError where it is not of that format, OSError where it cannot be read.
    """
    reader = READERS.get(path.suffix.lower())
    return reader(path) if reader is not None else None
