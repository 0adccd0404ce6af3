"""safetensors, by torch."""

import os
import struct
from pathlib import Path

from registry import FAULTS, PAGE, POINTER, Fault, Load, as_nobody, fault, flip, healthy, tmpfs, write_manifest


def safetensors_file(folder: Path, content: bytes | None = None) -> tuple[Load, Path]:
    import torch
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    if content is None:
        save_file({"weight": torch.zeros(4096)}, path)
    else:
        path.write_bytes(content)
    return lambda: load_file(path), path


@fault("file_missing", verify="stat")
def safetensors_missing(folder: Path) -> tuple[Load, Path]:
    load, path = safetensors_file(folder)
    path.unlink()
    return load, path


@fault("file_empty", verify="stat")
def safetensors_empty(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder, b"")


@fault("lfs_pointer", verify="header")
def safetensors_lfs_pointer(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder, POINTER)


@fault("file_corrupted", verify="header")
def safetensors_html_page(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder, PAGE)


@fault("file_corrupted", verify="header")
def safetensors_header_too_small(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder, b"\x02")


@fault("file_corrupted", verify="header")
def safetensors_header_longer_than_the_file(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder, struct.pack("<Q", 5000) + b"{}" + bytes(40))


@fault("file_corrupted", verify="header")
def safetensors_header_not_json(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder, struct.pack("<Q", 8) + b"{'a': 1}" + bytes(40))


@fault("file_corrupted", verify="header")
def safetensors_header_not_text(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder, struct.pack("<Q", 8) + b'{"\xff\xfe": ' + bytes(40))


@fault("file_corrupted", verify="header")
def safetensors_invalid_dtype(folder: Path) -> tuple[Load, Path]:
    header = b'{"weight":{"dtype":"Q99","shape":[1],"data_offsets":[0,4]}}'
    return safetensors_file(folder, struct.pack("<Q", len(header)) + header + bytes(4))


@fault("file_corrupted", verify="header")
def safetensors_shape_against_offsets(folder: Path) -> tuple[Load, Path]:
    header = b'{"weight":{"dtype":"F32","shape":[7],"data_offsets":[0,4]}}'
    return safetensors_file(folder, struct.pack("<Q", len(header)) + header + bytes(4))


@fault("file_corrupted", verify="header")
def safetensors_truncated(folder: Path) -> tuple[Load, Path]:
    load, path = safetensors_file(folder)
    os.truncate(path, path.stat().st_size - 1000)
    return load, path


@fault("permission_denied", verify="header")
def safetensors_unreadable(folder: Path) -> tuple[Load, Path]:
    load, path = safetensors_file(folder)
    path.chmod(0o600)
    return as_nobody(load), path


@fault("disk_full")
def safetensors_save_on_a_full_disk(folder: Path) -> tuple[Load, Path | None]:
    import torch
    from safetensors.torch import save_file

    mounted = tmpfs(folder)
    return lambda: save_file({"weight": torch.zeros(1 << 20)}, mounted / "model.safetensors"), None


CUTS = {"in_its_length": 5, "after_its_length": 8, "in_its_header": 40, "after_its_header": 200, "in_its_tensors": 9000}
for _where, _size in CUTS.items():

    def _cut(folder: Path, size: int = _size) -> tuple[Load, Path]:
        load, path = safetensors_file(folder)
        os.truncate(path, size)
        return load, path

    FAULTS[f"safetensors_cut_{_where}"] = Fault("file_corrupted", _cut, "header")


@fault("file_corrupted", verify="checksum", silent=True)
def safetensors_flipped_bit(folder: Path) -> tuple[Load, Path]:
    load, path = safetensors_file(folder)
    write_manifest(folder)
    flip(path, -100)
    return load, path


@fault("file_corrupted", verify="header")
def safetensors_flipped_bit_of_its_header(folder: Path) -> tuple[Load, Path]:
    load, path = safetensors_file(folder)
    flip(path, 8)
    return load, path


@fault("file_corrupted", verify="header")
def safetensors_random_bytes(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder, bytes(range(7, 256)) * 40)


@fault("file_corrupted", verify="header")
def safetensors_zero_bytes(folder: Path) -> tuple[Load, Path]:
    """What a download that reserves its room leaves when it is cut off."""
    return safetensors_file(folder, bytes(16_384))


@fault("file_corrupted", verify="header")
def safetensors_bytes_after_the_last_tensor(folder: Path) -> tuple[Load, Path]:
    load, path = safetensors_file(folder)
    with path.open("ab") as file:
        file.write(bytes(64))
    return load, path


@fault("file_corrupted", verify="header")
def safetensors_is_a_torch_checkpoint(folder: Path) -> tuple[Load, Path]:
    import torch

    load, path = safetensors_file(folder)
    torch.save({"weight": torch.zeros(16)}, path)
    return load, path


@fault("architecture_mismatch")
def safetensors_without_the_tensor(folder: Path) -> tuple[Load, Path]:
    from safetensors import safe_open

    _, path = safetensors_file(folder)

    def load() -> object:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor("encoder.weight")

    return load, path


@fault("architecture_mismatch")
def safetensors_of_another_shape(folder: Path) -> tuple[Load, Path]:
    import torch
    from safetensors.torch import load_model, save_file

    path = folder / "model.safetensors"
    save_file({"weight": torch.zeros(8, 8), "bias": torch.zeros(8)}, path)
    return lambda: load_model(torch.nn.Linear(4, 4), path), path


@fault("gpu_unavailable")
def safetensors_onto_a_gpu_that_is_not_there(folder: Path) -> tuple[Load, Path]:
    from safetensors.torch import load_file

    _, path = safetensors_file(folder)
    return lambda: load_file(path, device="cuda:0"), path


@healthy
def safetensors_whole(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder)
