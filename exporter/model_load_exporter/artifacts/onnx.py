"""ONNX: one protocol buffer, ModelProto, whose tensors hold their data or name a part of a file beside it.

The whole graph is walked, subgraphs and functions included, since any tensor may be the one whose data is missing;
the data itself is stepped over.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from model_load_exporter.artifacts.bounded import Damaged, clip, name_of, opened, refuse_stand_ins
from model_load_exporter.artifacts.format import Format
from model_load_exporter.artifacts.onnx_tensor import Tensor
from model_load_exporter.artifacts.summary import Summary
from model_load_exporter.artifacts.wire import BYTES, VARINT, Message

MAX_DEPTH = 100
"""Messages within messages; protobuf's own parsers stop there too."""

_MAX_NOTES = 16
_INNER = {
    "model": {7: "graph", 14: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""Which fields of which message hold messages that may lead to a tensor."""


@dataclass
class _Model:
    """What the walk finds."""

    notes: dict[str, str] = field(default_factory=dict)
    opsets: dict[str, int] = field(default_factory=dict)
    has_graph: bool = False
    parameters: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    external: dict[str, int] = field(default_factory=dict)


def read(path: Path) -> Summary:
    """One model and the sizes of its external data. Raises ArtifactError, OSError."""
    with opened(path) as region:
        model = _Model()
        for tensor in _tensors(Message.whole(region), model):
            size = tensor.size_in_memory()
            if tensor.is_external:
                size = _external(path, tensor, size, model.external)
            model.parameters += tensor.elements
            model.sizes[tensor.dtype] = model.sizes.get(tensor.dtype, 0) + size
        if not model.has_graph:
            raise Damaged("holds no graph")
        if "version" not in model.notes:
            raise Damaged("has no ir_version: it is truncated, or no ONNX model")
        if not model.opsets and int(model.notes["version"]) >= 3:
            raise Damaged("has no opset_import: it is truncated, or no ONNX model")
        if model.opsets:
            model.notes["opset"] = ", ".join(f"{name} {number}".strip() for name, number in model.opsets.items())
        return Summary(
            format="onnx",
            file_bytes=region.size,
            tensor_bytes=sum(model.sizes.values()),
            parameters=model.parameters,
            dtypes=dict(sorted(model.sizes.items(), key=lambda item: -item[1])),
            metadata=model.notes,
        )


def _tensors(whole: Message, model: _Model) -> Iterator[Tensor]:
    """Every tensor, depth first. The stack holds generators, never a list of what is still to come."""
    stack = [("model", whole, whole.fields())]
    while stack:
        kind, message, fields = stack[-1]
        for number, wire, value, place in fields:
            if kind == "model":
                _model_field(message, number, wire, value, place, model)
            inner = _INNER[kind].get(number)
            if inner is None or wire != BYTES:
                continue
            if inner == "tensor":
                yield Tensor.read(message.inner(place, value))
                continue
            if len(stack) >= MAX_DEPTH:
                raise Damaged(f"nests more than {MAX_DEPTH} messages")
            child = message.inner(place, value)
            stack.append((inner, child, child.fields()))
            break
        else:
            stack.pop()


def _model_field(message: Message, number: int, wire: int, value: int, place: int, model: _Model) -> None:
    if number == 7 and wire == BYTES:
        model.has_graph = True
    elif number == 1 and wire == VARINT and 0 < value < 2**31:
        model.notes["version"] = str(value)
    elif number == 2 and wire == BYTES:
        model.notes["producer"] = message.text(place, value)
    elif number == 3 and wire == BYTES and value:
        model.notes["producer"] = f"{model.notes.get('producer', '')} {message.text(place, value)}".strip()
    elif number == 8 and wire == BYTES:
        domain, version = "", 0
        for key, kind, content, at in message.inner(place, value).fields():
            if key == 1 and kind == BYTES:
                domain = message.text(at, content)
            elif key == 2 and kind == VARINT:
                version = content
        if len(model.opsets) < _MAX_NOTES:
            model.opsets["" if domain == "ai.onnx" else domain] = version


def _external(path: Path, tensor: Tensor, expected: int, known: dict[str, int]) -> int:
    """Bytes of a tensor's external data. `known`: sizes of the files that were looked at."""
    location = tensor.external.get("location", "")
    file = _beside(location)
    if file is None:
        raise Damaged(f"keeps tensor {name_of(tensor.name)} in {name_of(location)}, outside of its own folder")
    if location not in known:
        known[location] = _size(path.parent / file, location)
    offset, length = tensor.number("offset"), tensor.number("length")
    end = (offset or 0) + (expected if length is None else length)
    if end > known[location]:
        refuse_stand_ins(path.parent / file)
        raise Damaged(
            f"keeps tensor {name_of(tensor.name)} in bytes up to {clip(end)} of {name_of(location)},"
            f" which is truncated: it has {known[location]}"
        )
    if length is not None and tensor.has_width and length != expected:
        raise Damaged(
            f"keeps tensor {name_of(tensor.name)} in {clip(length)} bytes, and its shape needs {clip(expected)}"
        )
    return expected if tensor.has_width else length or 0


def _beside(location: str) -> Path | None:
    """The file of that location, relative to the model's folder; None where it would lie outside of it."""
    if not location or "\0" in location or "\\" in location:
        return None
    file = Path(os.path.normpath(location))
    return None if file.is_absolute() or ".." in Path(location).parts else file


def _size(file: Path, location: str) -> int:
    """Bytes of a file of external data that can be read and is no pointer to it. Raises ArtifactError, Damaged."""
    try:
        state = os.stat(file)
        if not stat.S_ISREG(state.st_mode):
            raise Damaged(f"keeps its weights in {name_of(location)}, which is no regular file")
        if state.st_size:  # an empty one is enough for tensors without numbers
            refuse_stand_ins(file)
    except (FileNotFoundError, NotADirectoryError):
        message = f"keeps its weights in {name_of(location)}, which is missing beside it"
        raise Damaged(message, "file_missing") from None
    except PermissionError:
        message = f"keeps its weights in {name_of(location)}, which uid {os.geteuid()} may not read"
        raise Damaged(message, "permission_denied") from None
    return state.st_size


def beside(path: Path) -> list[Path]:
    """The files of external data that are there, each once. Raises ArtifactError, OSError."""
    with opened(path) as region:
        tensors = _tensors(Message.whole(region), _Model())
        files = {_beside(tensor.external.get("location", "")) for tensor in tensors if tensor.is_external}
    return sorted(path.parent / file for file in files if file is not None and (path.parent / file).exists())


FORMAT = Format("onnx", (".onnx",), read, beside=beside)
