"""torch and joblib files that are cut, flipped, too new or hostile: today's zip, the bare pickles of torch 1.5."""

import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

from registry import (
    FAULTS,
    PAGE,
    POINTER,
    Fault,
    Load,
    Prepare,
    as_nobody,
    fault,
    flip,
    healthy,
    with_little_memory,
    write_manifest,
)  # fmt: skip
from torch_files import Evil, rebuild_zip, torch_file


def legacy_file(folder: Path) -> tuple[Load, Path]:
    import torch

    path = folder / "model.pt"
    torch.save({"weight": torch.ones(4096)}, path, _use_new_zipfile_serialization=False)
    return lambda: torch.load(path, weights_only=True), path


def cut(make: Callable[[Path], tuple[Load, Path]], size: Callable[[int], int]) -> Prepare:
    def prepare(folder: Path) -> tuple[Load, Path]:
        load, path = make(folder)
        os.truncate(path, size(path.stat().st_size))
        return load, path

    return prepare


CUTS: dict[str, Callable[[int], int]] = {
    "at_its_first_bytes": lambda size: 30,
    "at_a_tenth": lambda size: size // 10,
    "at_nine_tenths": lambda size: size * 9 // 10,
    "by_one_byte": lambda size: size - 1,
}
for _where, _size in CUTS.items():
    FAULTS[f"torch_cut_{_where}"] = Fault("file_corrupted", cut(torch_file, _size), "header")
    # A bare pickle has no directory: that its storages end too early is known once they are counted.
    FAULTS[f"torch_legacy_cut_{_where}"] = Fault("file_corrupted", cut(legacy_file, _size), "checksum")


@fault("file_corrupted", verify="checksum", silent=True)
def torch_flipped_bit(folder: Path) -> tuple[Load, Path]:
    load, path = torch_file(folder)
    flip(path, path.stat().st_size // 2)
    return load, path


@fault("file_corrupted", verify="checksum", silent=True)
def torch_flipped_bit_mapped(folder: Path) -> tuple[Load, Path]:
    import torch

    _, path = torch_file(folder)
    flip(path, path.stat().st_size // 2)
    return lambda: torch.load(path, weights_only=True, mmap=True), path


@fault("file_corrupted", verify="checksum", silent=True)
def torch_legacy_flipped_bit(folder: Path) -> tuple[Load, Path]:
    load, path = legacy_file(folder)
    write_manifest(folder)
    flip(path, -1000)
    return load, path


@fault("file_corrupted", verify="checksum", silent=True)
def torch_swapped_for_another(folder: Path) -> tuple[Load, Path]:
    """A whole and valid checkpoint of the same shapes, which is not the one that was published."""
    import torch

    load, path = torch_file(folder)
    write_manifest(folder)
    torch.save({"weight": torch.ones(4096)}, path)
    return load, path


@fault("file_corrupted", verify="header")
def torch_random_bytes(folder: Path) -> tuple[Load, Path]:
    return torch_file(folder, bytes(range(7, 256)) * 40)


@fault("file_corrupted", verify="header")
def torch_zero_bytes(folder: Path) -> tuple[Load, Path]:
    return torch_file(folder, bytes(20_000))


@fault("file_missing", verify="stat")
def torch_dangling_link(folder: Path) -> tuple[Load, Path]:
    load, path = torch_file(folder)
    path.rename(folder / "blob")
    path.symlink_to("blobs/gone")
    return load, path


@fault("version_incompatible", verify="header")
def torch_pickle_protocol_of_tomorrow(folder: Path) -> tuple[Load, Path]:
    import torch

    path = folder / "model.pt"
    torch.save({"weight": torch.zeros(16)}, path, pickle_protocol=2, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes().replace(b"\x80\x02", b"\x80\x63"))
    return lambda: torch.load(path, weights_only=False), path


@fault("version_incompatible", verify="header")
def torch_script_of_tomorrow(folder: Path) -> tuple[Load, Path]:
    import torch

    path, newer = folder / "script.pt", folder / "newer.pt"
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(path))
    rebuild_zip(path, newer, lambda name, body: b"9999\n" if name.endswith("/version") else body)
    return lambda: torch.jit.load(str(newer)), newer


@fault("unsafe_pickle", verify="header", silent=True)
def torch_malicious_pickle_that_is_trusted(folder: Path) -> tuple[Load, Path]:
    import torch

    path = folder / "model.pth"
    torch.save({"weight": Evil()}, path)
    return lambda: torch.load(path, weights_only=False), path


@fault("permission_denied", verify="header")
def torch_legacy_unreadable(folder: Path) -> tuple[Load, Path]:
    load, path = legacy_file(folder)
    path.chmod(0o600)
    return as_nobody(load), path


@fault("host_memory_error")
def torch_with_little_memory(folder: Path) -> tuple[Load, Path]:
    import torch

    path = folder / "model.pth"
    torch.save({"weight": torch.zeros(24 << 20)}, path)  # more than malloc may have kept of what others freed
    return with_little_memory(lambda: torch.load(path, weights_only=True), 16 << 20), path


@fault("host_memory_error")
def safetensors_with_little_memory(folder: Path) -> tuple[Load, Path]:
    import torch
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    save_file({"weight": torch.zeros(8 << 20)}, path)
    return with_little_memory(lambda: load_file(path), 16 << 20), path


# joblib and pickle


def joblib_file(folder: Path, compress: int = 0) -> tuple[Load, Path]:
    import joblib
    import numpy

    path = folder / "model.joblib"
    joblib.dump({"coefficients": numpy.ones(5000), "classes": ["a", "b"]}, path, compress=compress)
    return lambda: joblib.load(path), path


def joblib_content(content: bytes) -> Prepare:
    def prepare(folder: Path) -> tuple[Load, Path]:
        load, path = joblib_file(folder)
        path.write_bytes(content)
        return load, path

    return prepare


FAULTS["joblib_empty"] = Fault("file_empty", joblib_content(b""), "stat")
FAULTS["joblib_lfs_pointer"] = Fault("lfs_pointer", joblib_content(POINTER), "header")
FAULTS["joblib_html_page"] = Fault("file_corrupted", joblib_content(PAGE), "header")
FAULTS["joblib_cut_in_its_pickle"] = Fault("file_corrupted", cut(joblib_file, lambda size: 60), "header")
FAULTS["joblib_cut_in_its_array"] = Fault("file_corrupted", cut(joblib_file, lambda size: size // 2), "header")


@fault("file_missing", verify="stat")
def joblib_missing(folder: Path) -> tuple[Load, Path]:
    load, path = joblib_file(folder)
    path.unlink()
    return load, path


@fault("permission_denied", verify="header")
def joblib_unreadable(folder: Path) -> tuple[Load, Path]:
    load, path = joblib_file(folder)
    path.chmod(0o600)
    return as_nobody(load), path


@fault("file_corrupted", verify="checksum")
def joblib_compressed_and_cut(folder: Path) -> tuple[Load, Path]:
    load, path = joblib_file(folder, compress=3)
    os.truncate(path, path.stat().st_size // 2)
    return load, path


@fault("file_corrupted", verify="checksum")
def joblib_compressed_and_flipped(folder: Path) -> tuple[Load, Path]:
    load, path = joblib_file(folder, compress=3)
    flip(path, path.stat().st_size // 2)
    return load, path


@fault("unsafe_pickle", verify="header", silent=True)
def joblib_malicious(folder: Path) -> tuple[Load, Path]:
    load, path = joblib_file(folder)
    path.write_bytes(pickle.dumps(Evil(), protocol=2))
    return load, path


@fault("dependency_missing")
def joblib_of_a_package_that_is_gone(folder: Path) -> tuple[Load, Path]:
    load, path = joblib_file(folder)
    path.write_bytes(b"cpackage_of_the_training.steps\nScaler\n)R.")
    return load, path


@fault("version_incompatible")
def joblib_of_a_class_that_is_gone(folder: Path) -> tuple[Load, Path]:
    load, path = joblib_file(folder)
    path.write_bytes(b"csklearn.linear_model._base\nLinearRegressionOfTomorrow\n)R.")
    return load, path


@fault("version_incompatible", verify="header")
def pickle_protocol_of_tomorrow(folder: Path) -> tuple[Load, Path]:
    path = folder / "model.pkl"
    path.write_bytes(pickle.dumps({"weight": [1.0]}, protocol=4).replace(b"\x80\x04", b"\x80\x63", 1))
    return lambda: pickle.loads(path.read_bytes()), path


@fault("file_corrupted", verify="header")
def pickle_cut(folder: Path) -> tuple[Load, Path]:
    path = folder / "model.pkl"
    path.write_bytes(pickle.dumps({"weight": list(range(1000))}, protocol=4)[:700])
    return lambda: pickle.loads(path.read_bytes()), path


@fault("file_corrupted", verify="header")
def pickle_with_an_opcode_nobody_has(folder: Path) -> tuple[Load, Path]:
    path = folder / "model.pkl"
    path.write_bytes(b"\x80\x04\xff" + struct.pack("<Q", 7) + b".")
    return lambda: pickle.loads(path.read_bytes()), path


@healthy
def torch_checkpoint_with_more_than_is_needed(folder: Path) -> tuple[Load, Path]:
    import warnings

    import torch

    path = folder / "model.pth"
    torch.save({**torch.nn.Linear(4, 4).state_dict(), "optimizer": torch.zeros(3)}, path)

    def load() -> None:
        print(torch.nn.Linear(4, 4).load_state_dict(torch.load(path, weights_only=True), strict=False))
        warnings.warn("Failed to load image Python extension: could not find libjpeg.so.8", stacklevel=1)

    return load, path


@healthy
def sklearn_model_of_another_version(folder: Path) -> tuple[Load, Path]:
    import joblib
    import sklearn
    from sklearn.linear_model import LinearRegression

    path, version = folder / "model.joblib", sklearn.__version__
    sklearn.base.__version__ = "0.24.2"
    try:
        joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0]), path)
    finally:
        sklearn.base.__version__ = version
    return lambda: joblib.load(path), path
