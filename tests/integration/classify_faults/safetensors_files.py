"""safetensors, by torch."""

import os
import struct
from pathlib import Path

from registry import PAGE, POINTER, Load, as_nobody, fault, tmpfs


def safetensors_file(folder: Path, content: bytes | None = None) -> tuple[Load, Path]:
    import torch
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    if content is None:
        save_file({"weight": torch.zeros(4096)}, path)
    else:
        path.write_bytes(content)
    return lambda: load_file(path), path


@fault("file_missing")
def safetensors_missing(folder: Path) -> tuple[Load, Path]:
    load, path = safetensors_file(folder)
    path.unlink()
    return load, path


@fault("file_empty")
def safetensors_empty(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder, b"")


@fault("lfs_pointer")
def safetensors_lfs_pointer(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder, POINTER)


@fault("file_corrupted")
def safetensors_html_page(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder, PAGE)


@fault("file_corrupted")
def safetensors_header_too_small(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder, b"\x02")


@fault("file_corrupted")
def safetensors_header_longer_than_the_file(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder, struct.pack("<Q", 5000) + b"{}" + bytes(40))


@fault("file_corrupted")
def safetensors_header_not_json(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder, struct.pack("<Q", 8) + b"{'a': 1}" + bytes(40))


@fault("file_corrupted")
def safetensors_header_not_text(folder: Path) -> tuple[Load, Path]:
    return safetensors_file(folder, struct.pack("<Q", 8) + b'{"\xff\xfe": ' + bytes(40))


@fault("file_corrupted")
def safetensors_invalid_dtype(folder: Path) -> tuple[Load, Path]:
    header = b'{"weight":{"dtype":"Q99","shape":[1],"data_offsets":[0,4]}}'
    return safetensors_file(folder, struct.pack("<Q", len(header)) + header + bytes(4))


@fault("file_corrupted")
def safetensors_shape_against_offsets(folder: Path) -> tuple[Load, Path]:
    header = b'{"weight":{"dtype":"F32","shape":[7],"data_offsets":[0,4]}}'
    return safetensors_file(folder, struct.pack("<Q", len(header)) + header + bytes(4))


@fault("file_corrupted")
def safetensors_truncated(folder: Path) -> tuple[Load, Path]:
    load, path = safetensors_file(folder)
    os.truncate(path, path.stat().st_size - 1000)
    return load, path


@fault("permission_denied")
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
