"""FlatBuffers read in place: tables and vectors by their offsets, each checked before it is followed."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from model_load_exporter.artifacts.bounded import Damaged, Region, note

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_U64 = struct.Struct("<Q")

MAX_TABLES = 1_000_000
"""Tables of one file that are walked. Offsets may lead to one table many times, and so to more than a file holds."""


@dataclass(slots=True)
class Walk:
    """Tables that may still be walked."""

    left: int = MAX_TABLES


@dataclass(frozen=True, slots=True)
class Vector:
    """`count` elements that begin at `place` and lie within the buffer."""

    region: Region
    place: int
    count: int
    walk: Walk

    def tables(self, what: str) -> Iterator["Table"]:
        """Its elements, where they are offsets of tables."""
        for index in range(self.count):
            at = self.place + 4 * index
            yield Table.at(self.region, at + self.region.unpack(_U32, at)[0], what, self.walk)

    def numbers(self, limit: int, what: str) -> tuple[int, ...]:
        """Its elements, where they are int32 and at most `limit`."""
        if self.count > limit:
            raise Damaged(f"claims {self.count} numbers for {what}")
        return struct.unpack(f"<{self.count}i", self.region.at(self.place, 4 * self.count, what))


@dataclass(frozen=True, slots=True)
class Table:
    """One table: where it is, and the offsets of its fields."""

    region: Region
    place: int
    offsets: tuple[int, ...]
    walk: Walk

    @classmethod
    def root(cls, region: Region) -> "Table":
        """The table that the buffer's first four bytes point to."""
        return cls.at(region, region.unpack(_U32, 0, "its header")[0], "its root table", Walk())

    @classmethod
    def at(cls, region: Region, place: int, what: str, walk: Walk) -> "Table":
        """The table at an offset. Raises Damaged where it or its list of fields is not within the buffer."""
        walk.left -= 1
        if walk.left < 0:
            raise Damaged(f"leads to more than {MAX_TABLES} tables")
        vtable = place - region.unpack(_I32, place, what)[0]
        length, size = region.unpack(_U16, vtable, what)[0], region.unpack(_U16, max(vtable, 0) + 2, what)[0]
        if length < 4 or length % 2:
            raise Damaged(f"is damaged: {what} at byte {place} has no valid list of fields")
        region.require(place, size, what)
        offsets = struct.unpack(f"<{length // 2 - 2}H", region.at(vtable + 4, length - 4, what))
        if offsets and max(offsets) >= max(size, 1):
            raise Damaged(f"is damaged: {what} at byte {place} has fields outside of itself")
        return cls(region, place, offsets, walk)

    def number(self, field: int, layout: struct.Struct = _U32, default: int = 0) -> int:
        """A scalar field."""
        at = self._field(field)
        return int(self.region.unpack(layout, at)[0]) if at else default

    def large(self, field: int) -> int:
        """A field of 64 bits."""
        return self.number(field, _U64)

    def vector(self, field: int, width: int, what: str) -> Vector | None:
        """A vector field whose elements have `width` bytes, None where it is absent. Raises Damaged beyond the end."""
        at = self._field(field)
        if not at:
            return None
        place = at + self.region.unpack(_U32, at, what)[0]
        (count,) = self.region.unpack(_U32, place, what)
        self.region.require(place + 4, count * width, what)
        return Vector(self.region, place + 4, count, self.walk)

    def text(self, field: int, what: str) -> str:
        """A string field as one short line; empty where it is absent."""
        vector = self.vector(field, 1, what)
        return note(self.region.at(vector.place, min(vector.count, 1024))) if vector else ""

    def tables(self, field: int, what: str) -> Iterator["Table"]:
        """The tables of a vector field."""
        vector = self.vector(field, 4, what)
        return vector.tables(what) if vector else iter(())

    def _field(self, field: int) -> int:
        offset = self.offsets[field] if field < len(self.offsets) else 0
        return self.place + offset if offset else 0
