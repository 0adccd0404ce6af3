"""Protocol buffers' wire format, walked field by field without a schema compiler and without building messages.

A field of a gigabyte is one step: only its place is told. One walk has one budget of fields, so that a file of a
hundred million empty fields takes seconds and not minutes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from model_load_exporter.artifacts.bounded import Damaged, Region, clip, note

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

MAX_FIELDS = 4_000_000
"""Fields of one file: an ONNX graph of 100,000 nodes has half of that."""


@dataclass(slots=True)
class Budget:
    """Fields that may still be walked in this file."""

    left: int = MAX_FIELDS


@dataclass(frozen=True, slots=True)
class Message:
    """A message at bytes begin..end of its region; `depth` counts the messages around it."""

    region: Region
    begin: int
    end: int
    budget: Budget
    depth: int = 0

    @classmethod
    def whole(cls, region: Region) -> "Message":
        """The message that a whole file is."""
        return cls(region, 0, region.size, Budget())

    def inner(self, begin: int, length: int) -> "Message":
        """The message in a field of this one."""
        return Message(self.region, begin, begin + length, self.budget, self.depth + 1)

    def fields(self) -> Iterator[tuple[int, int, int, int]]:
        """(number, wire type, value, place): of BYTES the length and where they begin; of fixed ones the raw integer.

        Raises Damaged at what no writer produces, and where a field would end behind its message.
        """
        region, at, end, budget = self.region, self.begin, self.end, self.budget
        base, window = 0, b""
        while at < end:
            budget.left -= 1
            if budget.left < 0:
                raise Damaged(f"has more than {MAX_FIELDS} fields")
            index = at - base
            if index < 0 or index + 20 > len(window):
                base, window = region.window(at)
                index = at - base
            try:
                key = window[index]
                index += 1
                if key > 0x7F:
                    key, index = _varint(window, index - 1)
                wire = key & 7
                if wire in (BYTES, VARINT):
                    value = window[index]
                    index += 1
                    if value > 0x7F:
                        value, index = _varint(window, index - 1)
                    place = base + index
                    at = place + value if wire == BYTES else place
                elif wire in (FIXED32, FIXED64):
                    width = 4 if wire == FIXED32 else 8
                    place, at = base + index, base + index + width
                    value = int.from_bytes(window[index : index + width], "little")
                else:
                    raise Damaged(f"is no protocol buffer: wire type {wire} at byte {at}")
            except IndexError:
                raise Damaged(f"is truncated: it ends within a field at byte {at}") from None
            if key < 8:
                raise Damaged(f"is no protocol buffer: field number 0 at byte {place}")
            if at > end:
                if end == region.size:
                    raise Damaged(f"is truncated or damaged: a field should reach to byte {clip(at)}, and it has {end}")
                raise Damaged(f"is damaged: a field should reach to byte {clip(at)}, and its message ends at {end}")
            yield key >> 3, wire, value, place

    def text(self, place: int, length: int) -> str:
        """A string field, as one short line."""
        return note(self.region.at(place, min(length, 1024)))

    def packed(self, place: int, length: int, limit: int) -> list[int]:
        """The numbers of a packed field of varints, at most `limit` of them."""
        raw, numbers, index = self.region.at(place, min(length, 10 * limit)), list[int](), 0
        while index < len(raw) and len(numbers) < limit:
            try:
                number, index = _varint(raw, index)
            except IndexError:
                raise Damaged(f"is damaged: a number at byte {place} has no end") from None
            numbers.append(number)
        return numbers


def signed(value: int) -> int:
    """An int64 of a varint."""
    return value - 2**64 if value >= 2**63 else value


def _varint(data: bytes, index: int) -> tuple[int, int]:
    """(number, index after it). IndexError where the data ends before it, Damaged at more than ten bytes."""
    value = shift = 0
    while True:
        byte = data[index]
        index += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, index
        shift += 7
        if shift > 63:
            raise Damaged("is no protocol buffer: a number of more than ten bytes")
