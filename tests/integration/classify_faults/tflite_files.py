"""TFLite models, by LiteRT; the file itself was converted by tensorflow, in the other interpreter."""

import os
from pathlib import Path

from registry import (
    FAULTS,
    PAGE,
    POINTER,
    Fault,
    Load,
    NotHereError,
    Prepare,
    as_nobody,
    fault,
    flip,
    healthy,
    write_manifest,
)

SEED = "tflite_seed/model.tflite"
"""Where keras_files.py left one, in the folder of all faults."""


def tflite_file(folder: Path) -> tuple[Load, Path]:
    from ai_edge_litert.interpreter import Interpreter

    seed = folder.parent / SEED
    if not seed.exists():
        raise NotHereError("no converter made a .tflite file: .venv-formats has it")
    path = folder / "model.tflite"
    path.write_bytes(seed.read_bytes())

    def load() -> object:
        interpreter = Interpreter(model_path=str(path))
        interpreter.allocate_tensors()
        return interpreter

    return load, path


def content(data: bytes) -> Prepare:
    def prepare(folder: Path) -> tuple[Load, Path]:
        load, path = tflite_file(folder)
        path.write_bytes(data)
        return load, path

    return prepare


FAULTS["tflite_empty"] = Fault("file_empty", content(b""), "stat")
FAULTS["tflite_lfs_pointer"] = Fault("lfs_pointer", content(POINTER), "header")
FAULTS["tflite_html_page"] = Fault("file_corrupted", content(PAGE), "header")
FAULTS["tflite_zero_bytes"] = Fault("file_corrupted", content(bytes(4096)), "header")
for _where, _size in {"at_its_first_bytes": 6, "after_its_magic": 40, "in_the_middle": 500}.items():

    def _cut(folder: Path, size: int = _size) -> tuple[Load, Path]:
        load, path = tflite_file(folder)
        os.truncate(path, size)
        return load, path

    FAULTS[f"tflite_cut_{_where}"] = Fault("file_corrupted", _cut, "header")


@fault("file_missing", verify="stat")
def tflite_missing(folder: Path) -> tuple[Load, Path]:
    load, path = tflite_file(folder)
    path.unlink()
    return load, path


@fault("permission_denied", verify="header")
def tflite_unreadable(folder: Path) -> tuple[Load, Path]:
    load, path = tflite_file(folder)
    path.chmod(0o600)
    return as_nobody(load), path


@fault("file_corrupted", verify="checksum", silent=True)
def tflite_flipped_bit(folder: Path) -> tuple[Load, Path]:
    load, path = tflite_file(folder)
    write_manifest(folder)
    flip(path, path.read_bytes().index(b"\x00\x00\x80\x3f"))
    return load, path


@fault("architecture_mismatch")
def tflite_input_of_another_shape(folder: Path) -> tuple[Load, Path]:
    import numpy

    load, path = tflite_file(folder)
    return lambda: load().set_tensor(0, numpy.ones((1, 9), numpy.float32)), path  # type: ignore[attr-defined]  # an Interpreter


@healthy
def tflite_whole(folder: Path) -> tuple[Load, Path]:
    return tflite_file(folder)
