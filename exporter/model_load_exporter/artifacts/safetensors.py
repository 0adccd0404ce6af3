"""safetensors: eight bytes of length, a JSON header, then the tensors. Only the header is ever read.

The length is the writer's word: it is compared with the limit and with the file before a byte is read for it.
"""

import json
import math
import os
from pathlib import Path
from typing import Any

from model_load_exporter.artifacts.summary import ArtifactError, Summary

MAX_HEADER = 100_000_000
"""Bytes of a header; the library refuses larger ones too."""

SUFFIXES = (".safetensors",)

DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U64": "uint64", "U32": "uint32", "U16": "uint16", "U8": "uint8", "BOOL": "bool",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "C64": "complex64",
}  # fmt: skip
_LFS = b"version https://git-lfs"


def read(path: Path) -> Summary:
    """The header of one file. Raises ArtifactError, or OSError where it cannot be read."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        first = file.read(8)
        if size == 0:
            raise ArtifactError("file_empty", f"{path} is empty")
        if _LFS.startswith(first) and len(first) == 8:
            raise ArtifactError("lfs_pointer", f"{path} is a Git LFS pointer, not the weights")
        length = int.from_bytes(first, "little")
        if len(first) < 8 or length > size - 8:
            raise ArtifactError("file_corrupted", f"{path} ends within its header: {size} bytes, header of {length}")
        if length > MAX_HEADER:
            raise ArtifactError(
                "file_corrupted", f"{path} claims a header of {length} bytes; {MAX_HEADER} is the limit"
            )
        raw = file.read(length)
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        raise ArtifactError("file_corrupted", f"{path} has a header that is not JSON") from None
    if not isinstance(header, dict):
        raise ArtifactError("file_corrupted", f"{path} has a header that is no JSON object")
    try:
        return _summary(header, size, size - 8 - length)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError("file_corrupted", f"{path}: {error}") from None


def _summary(header: dict[str, Any], size: int, room: int) -> Summary:
    metadata = header.pop("__metadata__", None) or {}
    parameters, end, sizes = 0, 0, dict[str, int]()
    for name, tensor in header.items():
        begin, stop = tensor["data_offsets"]
        shape = tensor["shape"]
        if not (type(begin) is type(stop) is int and 0 <= begin <= stop and all(type(n) is int for n in shape)):
            raise ValueError(f"tensor {name[:100]} has no valid place in the file")
        parameters += math.prod(shape)
        dtype = DTYPES.get(tensor["dtype"], str(tensor["dtype"])[:20].lower())
        sizes[dtype] = sizes.get(dtype, 0) + stop - begin
        end = max(end, stop)
    if end != room:
        verb = "is truncated" if end > room else "has bytes after its last tensor"
        raise ValueError(f"the file {verb}: its tensors take {end} bytes, it has {room}")
    return Summary(
        format="safetensors",
        file_bytes=size,
        tensor_bytes=sum(sizes.values()),
        parameters=parameters,
        dtypes=dict(sorted(sizes.items(), key=lambda item: -item[1])),
        metadata={str(k): v for k, v in metadata.items() if isinstance(v, str)} if isinstance(metadata, dict) else {},
    )
