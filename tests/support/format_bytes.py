"""Model files made by hand: small encoders of the formats that `artifacts` reads, to bend each byte of them."""

import struct
from collections.abc import Mapping, Sequence

from model_load_exporter.artifacts.crc32c import by_table, mask
from model_load_exporter.artifacts.lookup3 import lookup3


def varint(number: int) -> bytes:
    """Seven bits a byte, as protocol buffers and LevelDB write numbers."""
    out = b""
    number &= 2**64 - 1
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def proto(*fields: tuple[int, int | bytes | str]) -> bytes:
    """A protocol buffer: (field number, number or content)."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            raw = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(raw)) + raw
    return out


def fixed32(number: int, value: int) -> bytes:
    """A field of type fixed32."""
    return varint(number << 3 | 5) + struct.pack("<I", value)


def gguf_string(text: str | bytes) -> bytes:
    """Its length in eight bytes, then itself."""
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def gguf_value(value: object) -> bytes:
    """A type and a value: text, number, or a list of either."""
    if isinstance(value, str):
        return struct.pack("<I", 8) + gguf_string(value)
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    assert isinstance(value, list)
    if value and isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(gguf_string, value))
    return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)


def gguf(
    metadata: Mapping[str, object], tensors: Sequence[tuple[str, Sequence[int], int, int]], data: int, version: int = 3
) -> bytes:
    """A file of GGUF. tensors: (name, shape, type, offset). data: bytes of tensor data, zeros."""
    raw = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    for key, value in metadata.items():
        raw += gguf_string(key) + gguf_value(value)
    for name, shape, kind, offset in tensors:
        raw += gguf_string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
    return raw.ljust(-(-len(raw) // 32) * 32, b"\0") + bytes(data)


def onnx_tensor(name: str, shape: Sequence[int], kind: int = 1, raw: bytes | None = None, **external: str) -> bytes:
    """A TensorProto; with `external`, its data lies in another file."""
    fields: list[tuple[int, int | bytes | str]] = [(1, length) for length in shape]
    fields += [(2, kind), (8, name)]
    if raw is not None:
        fields.append((9, raw))
    fields += [(13, proto((1, key), (2, value))) for key, value in external.items()]
    return proto(*fields, *([(14, 1)] if external else []))


def onnx(*tensors: bytes, graph: bytes = b"", opset: int = 17) -> bytes:
    """A ModelProto whose graph has these initialisers."""
    body = graph + b"".join(proto((5, tensor)) for tensor in tensors)
    return proto((1, 8), (2, "by hand"), (7, body), (8, proto((2, opset))))


def sstable(entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    """LevelDB's table of one block, as TensorFlow writes the index of a checkpoint."""

    def block(items: Sequence[tuple[bytes, bytes]]) -> bytes:
        body = b"".join(varint(0) + varint(len(k)) + varint(len(v)) + k + v for k, v in items)
        return body + struct.pack("<II", 0, 1)

    def stored(raw: bytes) -> bytes:
        return raw + b"\0" + struct.pack("<I", mask(by_table(raw + b"\0")))

    data, empty = block(entries), block([])
    out = stored(data)
    meta = varint(len(out)) + varint(len(empty))
    out += stored(empty)
    index = block([(b"\xff", varint(0) + varint(len(data)))])
    footer = meta + varint(len(out)) + varint(len(index))
    return out + stored(index) + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def bundle_entry(kind: int, shape: Sequence[int], offset: int, size: int, crc: int, shard: int = 0) -> bytes:
    """A BundleEntryProto."""
    dims = proto(*((2, proto((1, length))) for length in shape))
    return proto((1, kind), (2, dims), (3, shard), (4, offset), (5, size)) + fixed32(6, crc)


class Flat:
    """A FlatBuffer written front to back: tables first, what they point to behind them."""

    def __init__(self, identifier: bytes = b"TFL3") -> None:
        self.raw = bytearray(4) + identifier

    def table(self, *fields: tuple[str, int] | None) -> int:
        """A table of ("u32" | "u64" | "i8" | "to", value): the place it got. `to` is filled by point()."""
        widths = {"u32": 4, "to": 4, "u64": 8, "i8": 1}
        offsets, at = [], 4
        for field in fields:
            offsets.append(0 if field is None else at)
            at += 0 if field is None else widths[field[0]]
        vtable = len(self.raw)
        self.raw += struct.pack(f"<HH{len(fields)}H", 4 + 2 * len(fields), at, *offsets)
        place = len(self.raw)
        self.raw += struct.pack("<i", place - vtable)
        for field in fields:
            if field is not None:
                self.raw += (field[1] % 2 ** (8 * widths[field[0]])).to_bytes(widths[field[0]], "little")
        return place

    def vector(self, content: bytes, count: int) -> int:
        """A vector with that content."""
        self.raw += struct.pack("<I", count) + content
        return len(self.raw) - 4 - len(content)

    def offsets(self, table: int, index: int, count: int) -> int:
        """A vector of offsets, to which field `index` of a table points; aim() fills it."""
        self.point(table, index, self.vector(bytes(4 * count), count))
        return len(self.raw) - 4 * count

    def aim(self, vector: int, targets: Sequence[int]) -> None:
        """Lets the offsets of a vector lead to these places, which are behind it."""
        for index, target in enumerate(targets):
            struct.pack_into("<I", self.raw, vector + 4 * index, target - vector - 4 * index)

    def point(self, table: int, index: int, target: int) -> None:
        """Lets field `index` of a table point to a place."""
        vtable = table - struct.unpack_from("<i", self.raw, table)[0]
        at = table + struct.unpack_from("<H", self.raw, vtable + 4 + 2 * index)[0]
        struct.pack_into("<I", self.raw, at, target - at)

    def root(self, table: int) -> bytes:
        """The whole buffer."""
        struct.pack_into("<I", self.raw, 0, table)
        return bytes(self.raw)


def tflite(data: bytes = bytes(64), *, version: int = 3, shape: Sequence[int] = (4, 4), buffer: int = 1) -> bytes:
    """A model of one subgraph with one float32 tensor in buffer 1."""
    flat = Flat()
    model = flat.table(("u32", version), None, ("to", 0), None, ("to", 0))
    subgraphs, buffers = flat.offsets(model, 2, 1), flat.offsets(model, 4, 2)
    subgraph = flat.table(("to", 0))
    tensors = flat.offsets(subgraph, 0, 1)
    tensor, first, second = flat.table(("to", 0), ("i8", 0), ("u32", buffer)), flat.table(), flat.table(("to", 0))
    flat.aim(subgraphs, [subgraph])
    flat.aim(buffers, [first, second])
    flat.aim(tensors, [tensor])
    flat.point(tensor, 0, flat.vector(struct.pack(f"<{len(shape)}i", *shape), len(shape)))
    flat.point(second, 0, flat.vector(data, len(data)))
    return flat.root(model)


def hdf5_object(*messages: tuple[int, bytes]) -> bytes:
    """An object of the new form, with its checksum."""
    body = b"".join(struct.pack("<BHB", kind, len(data), 0) + data for kind, data in messages)
    raw = b"OHDR" + struct.pack("<BBI", 2, 2, len(body)) + body
    return raw + struct.pack("<I", lookup3(raw))


def hdf5_link(name: str, address: int) -> tuple[int, bytes]:
    """A hard link message."""
    return 0x06, struct.pack("<BBB", 1, 0, len(name)) + name.encode() + struct.pack("<Q", address)


def hdf5_dataset(shape: Sequence[int], address: int, size: int) -> bytes:
    """A contiguous dataset of float32."""
    space = struct.pack(f"<BBBB{len(shape)}Q", 2, len(shape), 0, 1, *shape)
    kind = struct.pack("<II12x", 0x11, 4)
    return hdf5_object((0x01, space), (0x03, kind), (0x08, struct.pack("<BBQQ", 3, 1, address, size)))


def hdf5_text(name: str, text: bytes) -> tuple[int, bytes]:
    """An attribute of fixed length."""
    kind, space = struct.pack("<II", 0x13, len(text)), struct.pack("<BBBB", 2, 0, 0, 0)
    head = struct.pack("<BBHHHB", 3, 0, len(name) + 1, len(kind), len(space), 0)
    return 0x0C, head + name.encode() + b"\0" + kind + space + text


def hdf5(*parts: bytes, end: int | None = None, version: int = 2, flags: int = 0) -> bytes:
    """A file: superblock, then the root object and whatever else, one behind the other from byte 48 on."""
    body = b"".join(parts)
    head = b"\x89HDF\r\n\x1a\n" + struct.pack("<BBBB", version, 8, 8, flags)
    head += struct.pack("<QQQQ", 0, 2**64 - 1, 48 + len(body) if end is None else end, 48)
    return head + struct.pack("<I", lookup3(head)) + body
