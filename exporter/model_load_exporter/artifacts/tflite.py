"""TensorFlow Lite (LiteRT): a FlatBuffer of the schema TFL3; tensors name buffers, which lie in it or behind it.

The tables are walked and the data stepped over. Buffers are written first and so lie at the end: a truncated file has
one that ends behind it.
"""

import struct
from dataclasses import dataclass, field
from pathlib import Path

from model_load_exporter.artifacts.bounded import Damaged, Region, name_of, note, opened
from model_load_exporter.artifacts.flatbuffer import Table
from model_load_exporter.artifacts.format import Format
from model_load_exporter.artifacts.summary import Summary

IDENTIFIER = b"TFL3"
SCHEMA = 3
"""The schema's version that every interpreter since 2017 reads."""

DTYPES = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: "string", 6: "bool", 7: "int16",
    8: "complex64", 9: "int8", 10: "float64", 11: "complex128", 12: "uint64", 13: "resource", 14: "variant",
    15: "uint32", 16: "uint16", 17: "int4", 18: "bfloat16", 19: "int2", 20: "uint4",
}  # fmt: skip

_I8 = struct.Struct("<b")
_VERSION, _CODES, _SUBGRAPHS, _DESCRIPTION, _BUFFERS, _METADATA = 0, 1, 2, 3, 4, 6
_RUNTIME = "min_runtime_version"
MAX_DIMENSIONS = 64


@dataclass
class _Weights:
    """What the tensors that have data add up to; `seen` are their buffers, which tensors may share."""

    parameters: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)


def read(path: Path) -> Summary:
    """One model. Raises ArtifactError, OSError."""
    with opened(path) as region:
        if region.at(4, 4, "its header") != IDENTIFIER:
            raise Damaged("does not have TFL3 as its identifier")
        model = Table.root(region)
        version = model.number(_VERSION)
        if version != SCHEMA:
            reason = "version_incompatible" if 0 < version < 100 else "file_corrupted"
            raise Damaged(f"is of schema version {version}; interpreters read {SCHEMA}", reason)
        for code in model.tables(_CODES, "an operator code"):
            code.text(1, "an operator's name")
        buffers = [_buffer(region, table) for table in model.tables(_BUFFERS, "a buffer")]
        weights, subgraphs = _Weights(), 0
        for subgraph in model.tables(_SUBGRAPHS, "a subgraph"):
            subgraphs += 1
            _subgraph(subgraph, buffers, weights)
        if not subgraphs:
            raise Damaged("holds no subgraph")
        return Summary(
            format="tflite",
            file_bytes=region.size,
            tensor_bytes=sum(weights.sizes.values()),
            parameters=weights.parameters,
            dtypes=dict(sorted(weights.sizes.items(), key=lambda item: -item[1])),
            metadata=_notes(model, buffers, region),
        )


def _buffer(region: Region, table: Table) -> tuple[int, int]:
    """(place, bytes) of a buffer's data: within the FlatBuffer, or behind it in models of more than 2 GB."""
    offset, size = table.large(1), table.large(2)
    if offset > 1:
        region.require(offset, size, "a buffer")
        return offset, size
    vector = table.vector(0, 1, "a buffer")
    return (vector.place, vector.count) if vector else (0, 0)


def _subgraph(subgraph: Table, buffers: list[tuple[int, int]], weights: _Weights) -> None:
    for tensor in subgraph.tables(0, "a tensor"):
        shape = tensor.vector(0, 4, "a tensor's shape")
        kind, buffer = tensor.number(1, _I8), tensor.number(2)
        if buffer >= max(len(buffers), 1):
            name = tensor.text(3, "a tensor's name")
            raise Damaged(f"has a tensor {name_of(name)} in buffer {buffer} of {len(buffers)}")
        size = buffers[buffer][1] if buffers else 0
        if not size or buffer in weights.seen:
            continue
        weights.seen.add(buffer)
        elements = 1
        for length in shape.numbers(MAX_DIMENSIONS, "a tensor's shape") if shape else ():
            elements *= max(length, 0)
        dtype = DTYPES.get(kind, f"type {kind}")
        weights.parameters += min(elements, 8 * size)
        weights.sizes[dtype] = weights.sizes.get(dtype, 0) + size
    for field_ in (1, 2):
        subgraph.vector(field_, 4, "a subgraph's inputs")
    for operator in subgraph.tables(3, "an operator"):
        operator.vector(1, 4, "an operator's inputs")
        operator.vector(2, 4, "an operator's outputs")


def _notes(model: Table, buffers: list[tuple[int, int]], region: Region) -> dict[str, str]:
    notes = {"version": str(SCHEMA)}
    if description := model.text(_DESCRIPTION, "its description"):
        notes["producer"] = description
    for entry in model.tables(_METADATA, "its metadata"):
        buffer = entry.number(1)
        if entry.text(0, "its metadata") == _RUNTIME and buffer < len(buffers):
            place, size = buffers[buffer]
            notes[_RUNTIME] = note(region.at(place, min(size, 64)).rstrip(b"\0"))
    return notes


FORMAT = Format("tflite", (".tflite",), read)
