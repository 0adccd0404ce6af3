"""GGUF, the format of llama.cpp: counts, key-value metadata, a table of tensors, then their data, aligned.

The header is walked through a window; strings that are not shown are stepped over. Each tensor must begin where the one
before it ended, as llama.cpp wants it too; so the end of the last one tells a truncated file.
"""

import os
import re
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_load_exporter.artifacts.bounded import Damaged, Region, clip, name_of, note, opened
from model_load_exporter.artifacts.format import Format
from model_load_exporter.artifacts.gguf_types import FILE_TYPES, TENSOR_TYPES
from model_load_exporter.artifacts.summary import Summary

MAX_HEADER = 64 * 2**20
"""Bytes of metadata and tensor table: several times the largest vocabulary's."""
MAX_TENSORS = 200_000
MAX_KEYS = 65_536
_KEPT_KEY, _KEPT_NAME = 256, 80
_MAX_DIMENSIONS = 4

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_ORDER = "<" if sys.byteorder == "little" else ">"
_VERSIONS = (2, 3)
_OLD = {b"lmgg": "ggml", b"fmgg": "ggmf", b"tjgg": "ggjt", b"algg": "ggla"}
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.gguf")
_NOTED = {
    "context_length": "context", "block_count": "layers", "embedding_length": "embedding",
    "attention.head_count": "heads", "attention.head_count_kv": "kv_heads", "attention.key_length": "key_length",
    "attention.value_length": "value_length",
}  # fmt: skip


@dataclass
class _Tensors:
    """What the tensor table adds up to."""

    parameters: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    end: int = 0
    padded_end: int = 0


class _Header:
    """The header from front to back, behind magic and version."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self.position = 8
        self.scalars = {kind: struct.Struct(_ORDER + code) for kind, code in _SCALARS.items()}
        self.u32, self.u64 = self.scalars[4], self.scalars[10]

    def take(self, layout: struct.Struct) -> Any:
        (value,) = self.region.unpack(layout, self.position, "its header")
        self.step(layout.size)
        return value

    def step(self, length: int) -> None:
        self.region.require(self.position, length, "its header")
        self.position += length
        if self.position > MAX_HEADER:
            raise Damaged(f"has a header of more than {MAX_HEADER} bytes")

    def text(self, limit: int) -> bytes:
        """A string of which at most `limit` bytes are kept."""
        length = self.take(self.u64)
        self.region.require(self.position, length, "its header")
        kept = self.region.at(self.position, min(length, limit))
        self.step(length)
        return kept

    def skip_array(self) -> None:
        kind, count = self.take(self.u32), self.take(self.u64)
        if kind in self.scalars:
            self.step(count * self.scalars[kind].size)
        elif kind == _STRING:
            self._skip_strings(count)
        else:
            raise Damaged(f"has an array of an unknown type {kind} in its metadata")

    def _skip_strings(self, count: int) -> None:
        size, unpack = self.u64.size, self.u64.unpack_from
        self.region.require(self.position, count * size, "its header")
        at, end = self.position, min(MAX_HEADER, self.region.size)
        base, window = 0, b""
        for _ in range(count):
            index = at - base
            if index + size > len(window):
                self.region.require(at, size, "its header")
                base, window = self.region.window(at)
                index = at - base
            at += size + unpack(window, index)[0]
            if at > end:
                break
        self.step(at - self.position)


def read(path: Path) -> Summary:
    """One file, and whether the other files of its split are there. Raises ArtifactError, OSError."""
    with opened(path) as region:
        version, header = _version(region), _Header(region)
        tensor_count, key_count = header.take(header.u64), header.take(header.u64)
        if tensor_count > MAX_TENSORS or key_count > MAX_KEYS:
            raise Damaged(f"claims {clip(tensor_count)} tensors and {clip(key_count)} keys")
        values = dict(filter(None, (_key_value(header) for _ in range(key_count))))
        alignment = values.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1) or alignment > 2**20:
            raise Damaged("has an alignment that is no power of two")
        tensors = _tensors(header, tensor_count, alignment)
        needed = -(-header.position // alignment) * alignment + tensors.end
        if tensor_count and needed > region.size:
            raise Damaged(f"is truncated: its tensors end at byte {clip(needed)}, and it has {region.size}")
        _others_of_split(path, values.get("split.count"))
        metadata = _notes(values, version)
        if region.size > (padded := needed - tensors.end + tensors.padded_end):
            # llama.cpp reads each tensor by its place, and never what lies behind the last one.
            metadata["note"] = f"{region.size - padded} bytes behind its last tensor, which no loader reads"
        return Summary(
            format="gguf",
            file_bytes=region.size,
            tensor_bytes=sum(tensors.sizes.values()),
            parameters=tensors.parameters,
            dtypes=dict(sorted(tensors.sizes.items(), key=lambda item: -item[1])),
            metadata=metadata,
        )


def _version(region: Region) -> int:
    """The version, where llama.cpp of today reads it on this host; it refuses the other byte order."""
    magic = region.at(0, 4, "its header")
    if magic in _OLD:
        message = f"is in the {_OLD[magic]} format, which GGUF replaced in 2023: convert it again"
        raise Damaged(message, "version_incompatible")
    if magic != b"GGUF":
        raise Damaged(f"does not begin with GGUF but with {magic!r}")
    raw = region.at(4, 4, "its header")
    version = int.from_bytes(raw, sys.byteorder)
    if version in _VERSIONS:
        return version
    other = int.from_bytes(raw[::-1], sys.byteorder)
    if other in _VERSIONS:
        message = f"is written for hosts of the other byte order than this {sys.byteorder}-endian one: convert it"
        raise Damaged(message, "version_incompatible")
    if version == 1:
        message = "is of GGUF version 1, which llama.cpp no longer reads: convert it again"
        raise Damaged(message, "version_incompatible")
    if version == 0 or version > 1000:
        raise Damaged(f"claims to be of GGUF version {version}")
    raise Damaged(f"is of GGUF version {version}; {_VERSIONS[-1]} is the newest known here", "version_incompatible")


def _key_value(header: _Header) -> tuple[str, Any] | None:
    """One entry of the metadata, or None for a list: vocabularies are not shown."""
    key = header.text(_KEPT_KEY)
    kind = header.take(header.u32)
    if kind == _STRING:
        return key.decode("utf-8", "replace"), note(header.text(1024))
    if kind == _ARRAY:
        header.skip_array()
        return None
    if kind not in header.scalars:
        raise Damaged(f"has a value of an unknown type {kind} under {name_of(key)} in its metadata")
    return key.decode("utf-8", "replace"), header.take(header.scalars[kind])


def _tensors(header: _Header, count: int, alignment: int) -> _Tensors:
    found = _Tensors()
    for _ in range(count):
        name = header.text(_KEPT_NAME)
        dimensions = header.take(header.u32)
        if dimensions > _MAX_DIMENSIONS:
            raise Damaged(f"has a tensor {name_of(name)} of {dimensions} dimensions")
        shape = [header.take(header.u64) for _ in range(dimensions)]
        kind, offset = header.take(header.u32), header.take(header.u64)
        if kind not in TENSOR_TYPES:
            message = f"has a tensor {name_of(name)} of type {kind}, which is not known here or was withdrawn by ggml"
            raise Damaged(message, "version_incompatible" if kind < 1000 else "file_corrupted")
        dtype, block, width = TENSOR_TYPES[kind]
        elements = 1
        for length in shape:
            elements *= length
        if (shape[0] if shape else 1) % block:
            raise Damaged(f"has a tensor {name_of(name)} whose rows are no multiple of {dtype}'s block of {block}")
        if offset != found.padded_end:
            raise Damaged(f"has tensor {name_of(name)} at byte {clip(offset)} of its data, not at {found.padded_end}")
        size = elements // block * width
        found.end = offset + size
        found.padded_end = -(-found.end // alignment) * alignment
        if found.end > 2**63:
            raise Damaged(f"has a tensor {name_of(name)} of an impossible size")
        found.parameters += elements
        found.sizes[dtype] = found.sizes.get(dtype, 0) + size
    return found


def _others_of_split(path: Path, count: object) -> None:
    """llama.cpp finds the others by their names; a blob of a hub cache has none, and stands for itself."""
    match = _SHARD.fullmatch(path.name)
    if not match or not isinstance(count, int) or count < 2:
        return
    for number in range(1, count + 1):
        other = path.with_name(f"{match['stem']}-{number:05d}-of-{count:05d}.gguf")
        if not os.path.lexists(other) or not other.exists():
            raise Damaged(f"is one of {count} files, and {other.name} is missing", "shard_missing")


def _notes(values: dict[str, Any], version: int) -> dict[str, str]:
    notes = {"version": str(version)}
    architecture = values.get("general.architecture")
    for key, shown in (("general.architecture", "architecture"), ("general.name", "name")):
        if isinstance(values.get(key), str):
            notes[shown] = values[key]
    file_type = values.get("general.file_type")
    if isinstance(file_type, int):
        notes["quantization"] = FILE_TYPES.get(file_type & 1023, f"file type {file_type}")
    for key, shown in _NOTED.items():
        value = values.get(f"{architecture}.{key}")
        if isinstance(value, int) and 0 <= value < 2**32:
            notes[shown] = str(value)
    number, count = values.get("split.no", 0), values.get("split.count")
    if isinstance(number, int) and isinstance(count, int) and count > 1:
        notes["split"] = f"{number + 1} of {count}"
    return notes


FORMAT = Format("gguf", (".gguf",), read, magics=(b"GGUF", *_OLD))
