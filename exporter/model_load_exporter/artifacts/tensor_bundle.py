"""TensorFlow's checkpoint: PREFIX.index says which bytes of PREFIX.data-N-of-M are which variable, and their CRC."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model_load_exporter.artifacts.bounded import Damaged, Region, clip, name_of, opened, refuse_stand_ins
from model_load_exporter.artifacts.crc32c import Update, fastest, mask
from model_load_exporter.artifacts.hashing import Advance, ShrankError, chunks
from model_load_exporter.artifacts.sstable import entries
from model_load_exporter.artifacts.summary import ArtifactError
from model_load_exporter.artifacts.wire import BYTES, FIXED32, VARINT, Message, signed

DTYPES: dict[int, tuple[str, int]] = {
    1: ("float32", 32), 2: ("float64", 64), 3: ("int32", 32), 4: ("uint8", 8), 5: ("int16", 16), 6: ("int8", 8),
    7: ("string", 0), 8: ("complex64", 64), 9: ("int64", 64), 10: ("bool", 8), 11: ("qint8", 8), 12: ("quint8", 8),
    13: ("qint32", 32), 14: ("bfloat16", 16), 15: ("qint16", 16), 16: ("quint16", 16), 17: ("uint16", 16),
    18: ("complex128", 128), 19: ("float16", 16), 20: ("resource", 0), 21: ("variant", 0), 22: ("uint32", 32),
    23: ("uint64", 64), 24: ("float8_e5m2", 8), 25: ("float8_e4m3fn", 8), 26: ("float8_e4m3fnuz", 8),
    27: ("float8_e4m3b11fnuz", 8), 28: ("float8_e5m2fnuz", 8), 29: ("int4", 8), 30: ("uint4", 8), 31: ("int2", 8),
    32: ("uint2", 8), 33: ("float4_e2m1fn", 8),
}  # fmt: skip
"""Name and bits of one number in a file, by DataType; 0 where a number has no fixed width."""

MAX_SHARDS = 100_000
MAX_STRINGS = 2_000_000
"""Texts of one variable that are looked at one by one; a longer vocabulary is not checked."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One entry of the index: `size` bytes at `offset` of shard `shard`, whose masked CRC-32C is `crc`."""

    name: str
    dtype: str
    elements: int
    shard: int
    offset: int
    size: int
    crc: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """A checkpoint: its variables by shard and offset, and the files that they lie in."""

    variables: list[Variable]
    shards: list[Path]

    @property
    def data_bytes(self) -> int:
        """Bytes of all data files."""
        return sum(shard.stat().st_size for shard in self.shards)


def read_bundle(index: Path) -> Bundle:
    """The index, and whether each variable lies within a file that is there. Raises ArtifactError, OSError."""
    with opened(index) as region:
        table = entries(region)
        key, value = next(table, (b"", b""))
        if key or not value:
            raise Damaged("has no header entry: it is no TensorFlow checkpoint")
        count = _shard_count(value)
        variables = sorted(_variables(table), key=lambda variable: (variable.shard, variable.offset))
        stem = index.name.removesuffix(".index")
        shards = [index.with_name(f"{stem}.data-{number:05d}-of-{count:05d}") for number in range(count)]
        sizes = [_size(shard, index) for shard in shards]
        end, before = 0, -1
        for variable in variables:
            if not 0 <= variable.shard < count:
                raise Damaged(f"keeps {name_of(variable.name)} in shard {variable.shard} of {count}")
            end, before = (end if variable.shard == before else 0), variable.shard
            if 0 <= variable.offset < end and variable.size:
                raise Damaged(f"keeps {name_of(variable.name)} in bytes that another variable has")
            end = max(end, variable.offset + variable.size)
            if variable.offset < 0 or variable.size < 0 or end > sizes[variable.shard]:
                refuse_stand_ins(shards[variable.shard])
                raise ArtifactError(
                    "file_corrupted",
                    f"{shards[variable.shard]} is truncated: {name_of(variable.name)} needs its bytes up to"
                    f" {clip(end)}, and it has {sizes[variable.shard]}",
                )
        return Bundle(variables, shards)


def check(bundle: Bundle, advance: Advance) -> None:
    """Every variable against its CRC; those of type variant, which few checkpoints have, are not looked at."""
    crc = fastest()
    for number, variables in itertools.groupby(bundle.variables, key=lambda variable: variable.shard):
        with opened(bundle.shards[number]) as region:
            for variable in variables:
                if variable.dtype == "variant" or (variable.dtype == "string" and variable.elements > MAX_STRINGS):
                    advance(variable.size)
                elif mask(_checksum(region, variable, crc, advance)) != variable.crc:
                    raise Damaged(f"is damaged: {name_of(variable.name)} does not match its CRC")


def _checksum(region: Region, variable: Variable, crc: Update, advance: Advance) -> int:
    at, value = variable.offset, 0
    end = at + variable.size
    if variable.dtype == "string":
        # The lengths count as 32-bit numbers, though the file has them as varints.
        for _ in range(variable.elements):
            length, at = _varint(region, at, end)
            value = crc(length.to_bytes(4 if length < 2**32 else 8, "little"), value)
    region.require(at, end - at, "a variable")
    try:
        for part in chunks(region.descriptor, region.begin + at, end - at):
            value = crc(part, value)
            advance(len(part))
    except ShrankError as error:
        raise Damaged(str(error)) from None
    return value


def _varint(region: Region, at: int, end: int) -> tuple[int, int]:
    """(a string's length, where the next one's begins)."""
    value = shift = 0
    while at < end and shift <= 63:
        byte = region.at(at, 1)[0]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise Damaged(f"is damaged: a string's length at byte {at} has no end")


def _shard_count(header: bytes) -> int:
    count = 0
    for number, wire, value, _ in Message.whole(Region.of(header)).fields():
        if number == 1 and wire == VARINT:
            count = value
    if not 1 <= count <= MAX_SHARDS:
        raise Damaged(f"claims {clip(count)} shards")
    return count


def _size(shard: Path, index: Path) -> int:
    try:
        return shard.stat().st_size
    except FileNotFoundError:
        raise ArtifactError("shard_missing", f"{shard} is missing, and {index.name} names it") from None


def _variables(table: Iterator[tuple[bytes, bytes]]) -> Iterator[Variable]:
    for key, value in table:
        name = key[:200].decode("utf-8", "replace")
        kind, elements, sliced = 0, 1, False
        numbers = {3: 0, 4: 0, 5: 0, 6: 0}
        message = Message.whole(Region.of(value))
        for number, wire, content, place in message.fields():
            if number == 1 and wire == VARINT:
                kind = content
            elif number == 2 and wire == BYTES:
                elements = _elements(message.inner(place, content))
            elif number in numbers and wire in (VARINT, FIXED32):
                numbers[number] = signed(content) if wire == VARINT else content
            elif number == 7:
                sliced = True
        if sliced:  # its parts have entries of their own
            continue
        dtype, bits = DTYPES.get(kind, (f"type {clip(kind)}", 0))
        if bits and (elements * bits + 7) // 8 != numbers[5]:
            raise Damaged(f"keeps {name_of(name)} in {clip(numbers[5])} bytes, which its shape does not need")
        yield Variable(name, dtype, elements, numbers[3], numbers[4], numbers[5], numbers[6])


def _elements(shape: Message) -> int:
    elements, dimensions = 1, 0
    for number, wire, value, place in shape.fields():
        if number != 2 or wire != BYTES:
            continue
        dimensions += 1
        for key, kind, length, _ in shape.inner(place, value).fields():
            if key == 1 and kind == VARINT:
                elements *= max(signed(length), 0)
        if dimensions > 255 or elements >= 2**63:
            raise Damaged("has a variable of an impossible shape")
    return elements
