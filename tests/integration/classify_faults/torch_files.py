"""torch.load and torch itself."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from registry import PAGE, POINTER, Load, as_nobody, fault, tmpfs


def torch_file(folder: Path, content: bytes | None = None, name: str = "model.pth") -> tuple[Load, Path]:
    import torch

    path = folder / name
    if content is None:
        torch.save({"weight": torch.zeros(4096)}, path)
    else:
        path.write_bytes(content)
    return lambda: torch.load(path, weights_only=True), path


@fault("file_missing", verify="stat")
def torch_missing(folder: Path) -> tuple[Load, Path]:
    load, path = torch_file(folder)
    path.unlink()
    return load, path


@fault("file_empty", verify="stat")
def torch_empty(folder: Path) -> tuple[Load, Path]:
    return torch_file(folder, b"")


@fault("file_corrupted", verify="header")
def torch_truncated(folder: Path) -> tuple[Load, Path]:
    load, path = torch_file(folder)
    os.truncate(path, path.stat().st_size // 2)
    return load, path


@fault("file_corrupted", verify="header")
def torch_cut_to_a_few_bytes(folder: Path) -> tuple[Load, Path]:
    load, path = torch_file(folder)
    os.truncate(path, 3)
    return load, path


@fault("file_corrupted", verify="header")
def torch_middle_overwritten(folder: Path) -> tuple[Load, Path]:
    load, path = torch_file(folder)
    data = bytearray(path.read_bytes())
    data[-200:-80] = bytes(120)
    path.write_bytes(data)
    return load, path


@fault("lfs_pointer", verify="header")
def torch_lfs_pointer(folder: Path) -> tuple[Load, Path]:
    return torch_file(folder, POINTER)


@fault("file_corrupted", verify="header")
def torch_html_page(folder: Path) -> tuple[Load, Path]:
    return torch_file(folder, PAGE)


@fault("lfs_pointer", verify="header")
def torch_lfs_pointer_without_weights_only(folder: Path) -> tuple[Load, Path]:
    import torch

    _, path = torch_file(folder, POINTER)
    return lambda: torch.load(path, weights_only=False), path


@fault("file_corrupted", verify="header")
def torch_html_page_without_weights_only(folder: Path) -> tuple[Load, Path]:
    import torch

    _, path = torch_file(folder, PAGE)
    return lambda: torch.load(path, weights_only=False), path


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


@fault("unsafe_pickle", verify="header")
def torch_malicious_pickle(folder: Path) -> tuple[Load, Path]:
    import torch

    path = folder / "model.pth"
    torch.save({"weight": Evil()}, path)
    return lambda: torch.load(path, weights_only=True), path


@fault("unsafe_pickle", verify="header")
def torch_malicious_legacy_pickle(folder: Path) -> tuple[Load, Path]:
    import torch

    path = folder / "model.pt"
    torch.save({"weight": Evil()}, path, _use_new_zipfile_serialization=False)
    return lambda: torch.load(path, weights_only=True), path


class Settings:
    """A class of the model's author, as a checkpoint with its training arguments holds one."""


@fault("unsafe_pickle", verify="header")
def torch_unlisted_class(folder: Path) -> tuple[Load, Path]:
    import torch

    path = folder / "model.pt"
    torch.save({"weight": Settings()}, path)
    return lambda: torch.load(path, weights_only=True), path


@fault("unsafe_pickle", verify="header")
def torch_bare_malicious_pickle(folder: Path) -> tuple[Load, Path]:
    return torch_file(folder, pickle.dumps(Evil(), protocol=2), "model.pt")


@fault("permission_denied", verify="header")
def torch_unreadable(folder: Path) -> tuple[Load, Path]:
    load, path = torch_file(folder)
    path.chmod(0o600)
    return as_nobody(load), path


@fault("permission_denied", verify="stat")
def torch_in_a_closed_folder(folder: Path) -> tuple[Load, Path]:
    load, path = torch_file(folder)
    folder.chmod(0o700)
    return as_nobody(load), path


@fault("config_invalid")
def torch_given_a_folder(folder: Path) -> tuple[Load, Path]:
    import torch

    return lambda: torch.load(folder, weights_only=True), folder


@fault("architecture_mismatch")
def torch_wrong_shape(folder: Path) -> tuple[Load, Path]:
    import torch

    path = folder / "model.pth"
    torch.save(torch.nn.Linear(4, 8).state_dict(), path)
    return lambda: torch.nn.Linear(4, 4).load_state_dict(torch.load(path, weights_only=True)), path


@fault("architecture_mismatch")
def torch_wrong_names(folder: Path) -> tuple[Load, Path]:
    import torch

    path = folder / "model.pth"
    torch.save({"decoder.weight": torch.zeros(4, 4)}, path)
    return lambda: torch.nn.Linear(4, 4).load_state_dict(torch.load(path, weights_only=True)), path


@fault("architecture_mismatch")
def torch_wrong_dtype(folder: Path) -> tuple[Load, Path]:
    import torch

    _, path = torch_file(folder)
    layer = torch.nn.Linear(4, 4, dtype=torch.bfloat16)
    return lambda: layer(torch.zeros(1, 4)), path


@fault("architecture_mismatch")
def torch_shapes_that_cannot_multiply(folder: Path) -> tuple[Load, Path]:
    import torch

    _, path = torch_file(folder)
    return lambda: torch.nn.Linear(4, 4)(torch.zeros(1, 5)), path


@fault("gpu_unavailable")
def torch_no_cuda(folder: Path) -> tuple[Load, Path]:
    import torch

    _, path = torch_file(folder)
    return lambda: torch.zeros(1, device="cuda"), path


@fault("gpu_unavailable")
def torch_checkpoint_from_cuda(folder: Path) -> tuple[Load, Path]:
    import torch

    _, path = torch_file(folder)
    relocated = folder / "cuda.pth"
    # A storage's place in the pickle is a short string: `cpu` and its length become `cuda:0` with the archive rebuilt.
    rebuild_zip(path, relocated, lambda name, body: body.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"))
    return lambda: torch.load(relocated, weights_only=True), relocated


@fault("host_memory_error")
def torch_too_large(folder: Path) -> tuple[Load, Path]:
    import torch

    _, path = torch_file(folder)
    return lambda: torch.empty(1 << 48), path


@fault("gpu_out_of_memory")
def torch_cuda_out_of_memory_type(folder: Path) -> tuple[Load, Path]:
    import torch

    _, path = torch_file(folder)

    def load() -> None:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ..."
        )

    return load, path


@fault("file_missing", verify="stat")
def torch_jit_missing(folder: Path) -> tuple[Load, Path]:
    import torch

    path = folder / "model.pt"
    return lambda: torch._C.PyTorchFileReader(str(path)), path


def rebuild_zip(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> None:
    import zipfile

    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))


@fault("file_corrupted", verify="header")
def torch_flipped_pickle(folder: Path) -> tuple[Load, Path]:
    import torch

    _, path = torch_file(folder)
    damaged = folder / "damaged.pth"
    rebuild_zip(path, damaged, lambda name, body: b"\x80\x02\xff" + body[3:] if name.endswith("data.pkl") else body)
    return lambda: torch.load(damaged, weights_only=True), damaged


@fault("file_corrupted", verify="header")
def torch_storage_shortened(folder: Path) -> tuple[Load, Path]:
    import torch

    _, path = torch_file(folder)
    damaged = folder / "damaged.pth"
    rebuild_zip(path, damaged, lambda name, body: body[:100] if "/data/" in name else body)
    return lambda: torch.load(damaged, weights_only=True), damaged


@fault("disk_full")
def torch_save_on_a_full_disk(folder: Path) -> tuple[Load, Path | None]:
    import torch

    mounted = tmpfs(folder)
    return lambda: torch.save({"weight": torch.zeros(1 << 20)}, mounted / "model.pth"), None
