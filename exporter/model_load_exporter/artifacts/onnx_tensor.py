"""One TensorProto of an ONNX model: its shape, its type, and how many bytes of data it has where."""

from dataclasses import dataclass, field

from model_load_exporter.artifacts.bounded import Damaged, clip, name_of, note
from model_load_exporter.artifacts.wire import BYTES, VARINT, Message, signed

DTYPES: dict[int, tuple[str, int]] = {
    1: ("float32", 32), 2: ("uint8", 8), 3: ("int8", 8), 4: ("uint16", 16), 5: ("int16", 16), 6: ("int32", 32),
    7: ("int64", 64), 8: ("string", 0), 9: ("bool", 8), 10: ("float16", 16), 11: ("float64", 64), 12: ("uint32", 32),
    13: ("uint64", 64), 14: ("complex64", 64), 15: ("complex128", 128), 16: ("bfloat16", 16),
    17: ("float8_e4m3fn", 8), 18: ("float8_e4m3fnuz", 8), 19: ("float8_e5m2", 8), 20: ("float8_e5m2fnuz", 8),
    21: ("uint4", 4), 22: ("int4", 4), 23: ("float4_e2m1", 4), 24: ("float8_e8m0", 8), 25: ("uint2", 2),
    26: ("int2", 2),
}  # fmt: skip
"""Name and bits of one number, by TensorProto.DataType."""

MAX_DIMENSIONS = 64
_TYPED_DATA = (4, 5, 6, 7, 10, 11)
_EXTERNAL = 1
_KEYS = ("location", "offset", "length")


@dataclass
class Tensor:
    """elements: the product of its dimensions. raw, typed: bytes in raw_data and in the lists by type."""

    name: str = ""
    dtype: str = "undefined"
    bits: int = 0
    has_width: bool = False
    elements: int = 1
    raw: int | None = None
    typed: int = 0
    is_external: bool = False
    external: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, message: Message) -> "Tensor":
        """The tensor of that message. Raises Damaged."""
        tensor, dimensions, kind = cls(), list[int](), 0
        for number, wire, value, place in message.fields():
            if number == 1 and wire == VARINT:
                dimensions.append(signed(value))
            elif number == 1 and wire == BYTES:
                dimensions += map(signed, message.packed(place, value, MAX_DIMENSIONS + 1))
            elif number == 2 and wire == VARINT:
                kind = value
            elif number == 8 and wire == BYTES:
                tensor.name = message.text(place, value)
            elif number == 9 and wire == BYTES:
                tensor.raw = value
            elif number in _TYPED_DATA:
                tensor.typed += value if wire == BYTES else 1
            elif number == 13 and wire == BYTES:
                tensor._entry(message.inner(place, value))
            elif number == 14 and wire == VARINT:
                tensor.is_external = value == _EXTERNAL
            if len(dimensions) > MAX_DIMENSIONS:
                raise Damaged(f"has a tensor {name_of(tensor.name)} of more than {MAX_DIMENSIONS} dimensions")
        tensor.dtype, tensor.bits = DTYPES.get(kind, (f"type {clip(kind)}", 0))
        tensor.has_width = tensor.bits > 0
        for length in dimensions:
            tensor.elements *= length
        if any(length < 0 for length in dimensions) or tensor.elements >= 2**63:
            raise Damaged(f"has a tensor {name_of(tensor.name)} of an impossible shape")
        return tensor

    def size_in_memory(self) -> int:
        """Bytes that its numbers take in memory. Raises Damaged where raw_data has another length, or nothing is."""
        expected = (self.elements * self.bits + 7) // 8
        if self.is_external:
            return expected
        if self.raw is None and not self.typed and self.elements and self.has_width:
            raise Damaged(f"has no data for tensor {name_of(self.name)}")
        if self.raw is not None and self.has_width and self.raw != expected:
            raise Damaged(
                f"has {clip(self.raw)} bytes of data for tensor {name_of(self.name)}, whose shape needs"
                f" {clip(expected)}"
            )
        return expected if self.has_width else (self.raw or 0) + self.typed

    def number(self, key: str) -> int | None:
        """A number of the external data's entries, None where it has none. Raises Damaged."""
        text = self.external.get(key)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise Damaged(f"keeps tensor {name_of(self.name)} at {key} {name_of(text)}, which is no number")
        return int(text)

    def _entry(self, message: Message) -> None:
        texts = {1: b"", 2: b""}
        for number, wire, value, place in message.fields():
            if number in texts and wire == BYTES:
                texts[number] = message.region.at(place, min(value, 4096))
        key = note(texts[1])
        if key in _KEYS:
            self.external[key] = texts[2].decode("utf-8", "replace")
