"""GGUF files, by the gguf package of llama.cpp."""

import os
import struct
from pathlib import Path

from registry import FAULTS, PAGE, POINTER, Fault, Load, Prepare, as_nobody, fault, flip, healthy, write_manifest


def gguf_file(folder: Path) -> tuple[Load, Path]:
    import gguf
    import numpy

    path = folder / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_token_list(["<s>", "</s>", "a"])
    writer.add_tensor("token_embd.weight", numpy.ones((64, 32), numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return lambda: gguf.GGUFReader(path), path


def content(data: bytes) -> Prepare:
    def prepare(folder: Path) -> tuple[Load, Path]:
        load, path = gguf_file(folder)
        path.write_bytes(data)
        return load, path

    return prepare


FAULTS["gguf_empty"] = Fault("file_empty", content(b""), "stat")
FAULTS["gguf_lfs_pointer"] = Fault("lfs_pointer", content(POINTER), "header")
FAULTS["gguf_html_page"] = Fault("file_corrupted", content(PAGE), "header")
FAULTS["gguf_zero_bytes"] = Fault("file_corrupted", content(bytes(4096)), "header")
for _where, _size in {"in_its_keys": 60, "in_its_tensors": 2000, "by_one_byte": -1}.items():

    def _cut(folder: Path, size: int = _size) -> tuple[Load, Path]:
        load, path = gguf_file(folder)
        os.truncate(path, size % path.stat().st_size)
        return load, path

    FAULTS[f"gguf_cut_{_where}"] = Fault("file_corrupted", _cut, "header")


@fault("file_missing", verify="stat")
def gguf_missing(folder: Path) -> tuple[Load, Path]:
    load, path = gguf_file(folder)
    path.unlink()
    return load, path


@fault("permission_denied", verify="header")
def gguf_unreadable(folder: Path) -> tuple[Load, Path]:
    load, path = gguf_file(folder)
    path.chmod(0o600)
    return as_nobody(load), path


@fault("version_incompatible", verify="header")
def gguf_of_tomorrow(folder: Path) -> tuple[Load, Path]:
    load, path = gguf_file(folder)
    data = bytearray(path.read_bytes())
    data[4:8] = struct.pack("<I", 99)
    path.write_bytes(data)
    return load, path


@fault("file_corrupted", verify="checksum", silent=True)
def gguf_flipped_bit(folder: Path) -> tuple[Load, Path]:
    load, path = gguf_file(folder)
    write_manifest(folder)
    flip(path, -50)
    return load, path


@healthy
def gguf_whole(folder: Path) -> tuple[Load, Path]:
    return gguf_file(folder)
