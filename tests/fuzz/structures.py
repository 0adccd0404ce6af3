"""Model files built from their own parts, each with a value of its own choosing: deeper than changed bytes reach."""

import json
import pickletools
import struct
import zipfile
from io import BytesIO

from hypothesis import strategies as st
from mutations import INTERESTING

_NUMBER = st.sampled_from(INTERESTING) | st.integers(0, 200)
_WORD = st.sampled_from((
    "a", "weight", "data_offsets", "general.alignment", "split.count", "split.no", "general.architecture",
    "general.file_type", "llama.block_count", "__metadata__", "storage", "os", "system", "torch", "FloatStorage",
    "x" * 300,
    "\ud800", "\0", "../../etc/passwd", "/etc/passwd", "a\nb", "",
)) | st.text(max_size=12)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | _NUMBER | st.integers(-5, 5) | st.floats() | _WORD,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_WORD, inner, max_size=5),
    max_leaves=20,
)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@st.composite
def safetensors(draw: st.DrawFn) -> bytes:
    """A header whose tensors may have any shape, type and place."""
    place = st.tuples(_NUMBER | JSON, _NUMBER | JSON).map(list) | JSON
    tensor = st.fixed_dictionaries(
        {},
        optional={
            "dtype": st.sampled_from(("F32", "BF16", "I4", "Q99", "")) | JSON,
            "shape": st.lists(_NUMBER, max_size=4) | JSON,
            "data_offsets": place,
        },
    )
    document = draw(st.dictionaries(_WORD, tensor | JSON, max_size=4) | JSON)
    header = json.dumps(document).encode("utf-8", "replace")
    length = draw(st.just(len(header)) | _NUMBER)
    return struct.pack("<Q", length & 2**64 - 1) + header + bytes(draw(st.integers(0, 64)))


@st.composite
def gguf(draw: st.DrawFn) -> bytes:
    """Counts, keys of every type, tensors of every shape."""
    order = draw(st.sampled_from("<<<<>"))
    version = draw(st.sampled_from((3, 3, 3, 2, 1, 0, 4)))
    wide = "Q" if version != 1 else "I"

    def number(code: str, value: int) -> bytes:
        size = struct.calcsize(code)
        return struct.pack(order + code, value & 2 ** (8 * size) - 1)

    def text(value: str) -> bytes:
        raw = _bytes(value)
        return number(wide, draw(st.sampled_from((len(raw),) * 6 + (10**12, 2**64 - 1)))) + raw

    def value(kind: int, depth: int = 0) -> bytes:
        widths = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
        if kind == 8:
            return text(draw(_WORD))
        if kind == 9:
            inner = draw(st.sampled_from((0, 4, 6, 8, 9, 12, 99)))
            many = draw(st.integers(0, 3))
            told = draw(st.sampled_from((many,) * 6 + (10**12, 2**61, 2**64 - 1)))
            body = b"".join(value(inner, depth + 1) for _ in range(many)) if depth < 3 else b""
            return number("I", inner) + number(wide, told) + body
        return draw(st.binary(min_size=widths.get(kind, 4), max_size=widths.get(kind, 4)))

    pairs = draw(st.lists(st.tuples(_WORD, st.sampled_from((0, 4, 6, 7, 8, 8, 9, 9, 10, 12, 13))), max_size=6))
    keys = b"".join(text(key) + number("I", kind) + value(kind) for key, kind in pairs)
    shapes = draw(st.lists(st.lists(_NUMBER, max_size=5), max_size=4))
    tensors = b"".join(
        text(draw(_WORD)) + number("I", len(shape)) + b"".join(number(wide, length) for length in shape)
        + number("I", draw(st.sampled_from((0, 0, 1, 2, 8, 30, 39, 99)))) + number("Q", draw(_NUMBER))
        for shape in shapes
    )  # fmt: skip
    counts = (len(shapes), len(pairs))
    told = draw(st.sampled_from((counts,) * 6 + ((10**12, len(pairs)), (len(shapes), 2**63))))
    head = b"GGUF" + number("I", version) + number(wide, told[0]) + number(wide, told[1])
    return head + keys + tensors + bytes(draw(st.integers(0, 256)))


@st.composite
def pickled(draw: st.DrawFn) -> bytes:
    """A program of opcodes with arguments of their form, and now and then of none."""
    parts = [draw(st.sampled_from((b"", b"\x80\x02", b"\x80\x04", b"\x80\x63")))]
    for opcode in draw(st.lists(st.sampled_from(pickletools.opcodes), max_size=40)):
        parts.append(opcode.code.encode("latin-1"))
        argument = opcode.arg
        if argument is None:
            continue
        if argument.n >= 0:
            parts.append(draw(st.binary(min_size=argument.n, max_size=argument.n)))
        elif argument.n == pickletools.UP_TO_NEWLINE:
            lines = 2 if argument.name == "stringnl_noescape_pair" else 1
            word = draw(_WORD | _NUMBER.map(str))
            parts.extend(_bytes(word.replace("\n", "")) + b"\n" for _ in range(lines))
        else:
            raw = _bytes(draw(_WORD))
            length = draw(st.sampled_from((len(raw),) * 6 + (10**12, 2**64 - 1)))
            width = {"1": 1, "4": 4, "8": 8}.get(argument.name[-1], 4)
            parts.append(struct.pack("<Q", length)[:width] + raw)
    return b"".join(parts) + draw(st.sampled_from((b".", b"", b".\x80\x02.")))


@st.composite
def zipped(draw: st.DrawFn, inner: st.SearchStrategy[bytes], names: tuple[str, ...]) -> bytes:
    """An archive with true checksums around content of any kind; now and then one entry twice or packed."""
    stream = BytesIO()
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=6, unique=True))
    with zipfile.ZipFile(stream, "w") as archive:
        for name in chosen:
            method = draw(st.sampled_from((zipfile.ZIP_STORED,) * 4 + (zipfile.ZIP_DEFLATED,)))
            archive.writestr(name, draw(inner), method)
    return stream.getvalue()


TORCH_NAMES = (
    "m/data.pkl", "m/version", "m/data/0", "m/data/1", "m/byteorder", "m/.format_version", "m/constants.pkl",
    "m/code/a.py", "m/attributes.pkl", "m/extra/x.pkl", "other/data.pkl",
)  # fmt: skip
KERAS_NAMES = ("config.json", "metadata.json", "model.weights.h5", "model.weights.npz", "assets/x.txt", "../up")


@st.composite
def protobuf(draw: st.DrawFn, depth: int = 0) -> bytes:
    """Fields of every number and type, messages within messages."""
    out = bytearray()
    for _ in range(draw(st.integers(0, 6))):
        number = draw(st.sampled_from((1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 20, 25, 200, 500, 0)))
        wire = draw(st.sampled_from((0, 0, 2, 2, 2, 2, 1, 5, 3, 6)))
        out += varint(number << 3 | wire)
        if wire == 0:
            out += varint(draw(_NUMBER))
        elif wire == 2:
            inner = draw(protobuf(depth + 1)) if depth < 5 and draw(st.booleans()) else _bytes(draw(_WORD))
            out += varint(draw(st.sampled_from((len(inner),) * 8 + (10**12, 2**63)))) + inner
        else:
            out += draw(st.binary(min_size=4, max_size=8))
    return bytes(out)


def varint(value: int) -> bytes:
    """As protocol buffers write an unsigned number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))
