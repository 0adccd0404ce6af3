"""Every format, one line each. A new format is one module with its FORMAT, and its line here."""

from pathlib import Path

from model_load_exporter.artifacts import (
    gguf,
    hdf5,
    joblib_files,
    json_files,
    keras,
    mlmodel,
    mlpackage,
    npy,
    npz,
    onnx,
    pickles,
    safetensors,
    saved_model,
    shard_index,
    tf_checkpoint,
    tflite,
    torch_zip,
    vocabulary,
)
from model_load_exporter.artifacts.format import FolderFormat, Format
from model_load_exporter.artifacts.summary import Summary

FORMATS: tuple[Format, ...] = (
    safetensors.FORMAT,
    torch_zip.FORMAT,
    pickles.FORMAT,
    joblib_files.FORMAT,
    npy.FORMAT,
    npz.FORMAT,
    shard_index.FORMAT,
    json_files.FORMAT,
    vocabulary.FORMAT,
    vocabulary.TEXT_FORMAT,
    gguf.FORMAT,
    onnx.FORMAT,
    tflite.FORMAT,
    keras.FORMAT,
    hdf5.FORMAT,
    mlmodel.FORMAT,
)

FOLDER_FORMATS: tuple[FolderFormat, ...] = (
    saved_model.FORMAT,
    mlpackage.FORMAT,
    tf_checkpoint.FORMAT,
)

LONGEST_MAGIC = 64
"""First bytes that are enough for every format's magic."""


def format_of(path: Path, head: bytes = b"") -> Format | None:
    """The format of a file by its name, the longest suffix first; else by its first bytes; None for an unknown one."""
    name = path.name.lower()
    named = [(len(suffix), form) for form in FORMATS for suffix in form.suffixes if name.endswith(suffix)]
    if named:
        return max(named, key=lambda pair: pair[0])[1]
    return next((form for form in FORMATS if form.magics and head.startswith(form.magics)), None)


def folder_format_of(path: Path) -> FolderFormat | None:
    """The format that a whole folder is; None for a folder of files."""
    return next((form for form in FOLDER_FORMATS if form.matches(path)), None)


def summarize(path: Path) -> Summary | None:
    """What the file says of itself; None for a format that is not known by its name.

    Raises ArtifactError where it is not of that format, OSError where it cannot be read.
    """
    form = format_of(path)
    return form.read(path) if form is not None else None
