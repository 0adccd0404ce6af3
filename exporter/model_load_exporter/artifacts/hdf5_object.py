"""Objects of an HDF5 file: a header of messages, in the old form, or in the new one with a checksum."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from model_load_exporter.artifacts.bounded import Damaged, Region, clip
from model_load_exporter.artifacts.lookup3 import lookup3

MAX_OBJECTS = 200_000
MAX_HEADERS = 128 * 2**20
"""Bytes of all headers of a file that are read."""

_OLD = struct.Struct("<BxHII4x")
_OLD_MESSAGE = struct.Struct("<HHB3x")
_NEW_MESSAGE = struct.Struct("<BHB")
_U32 = struct.Struct("<I")
_CONTINUATION = 0x10
_SHARED = 2
_MAX_CHUNKS = 10_000


class MessageOf(NamedTuple):
    """One message of an object's header."""

    kind: int
    data: bytes


@dataclass
class File:
    """An HDF5 file from its superblock on; `offsets` and `lengths` are the widths of its addresses and sizes."""

    region: Region
    offsets: int
    lengths: int
    seen: set[int] = field(default_factory=set)
    spent: int = 0

    def address(self, data: bytes, at: int) -> int | None:
        """An address, None where it is "undefined". Raises Damaged where the data ends before it."""
        raw = data[at : at + self.offsets]
        if len(raw) < self.offsets:
            raise Damaged("is damaged: an address is cut off")
        return None if raw == b"\xff" * self.offsets else int.from_bytes(raw, "little")

    def length(self, data: bytes, at: int) -> int:
        """A size."""
        raw = data[at : at + self.lengths]
        if len(raw) < self.lengths:
            raise Damaged("is damaged: a length is cut off")
        return int.from_bytes(raw, "little")

    def read(self, at: int, length: int, what: str) -> bytes:
        """Metadata of that length, of which a file may have MAX_HEADERS."""
        self.region.require(at, length, what)
        self.spent += length
        if self.spent > MAX_HEADERS:
            raise Damaged(f"has more than {MAX_HEADERS} bytes of metadata")
        return self.region.at(at, length, what)

    def first_visit(self, at: int) -> bool:
        """False for a place that was looked at: links may lead in circles."""
        if at in self.seen:
            return False
        self.seen.add(at)
        if len(self.seen) > MAX_OBJECTS:
            raise Damaged(f"has more than {MAX_OBJECTS} objects")
        return True

    def messages(self, at: int) -> Iterator[MessageOf]:
        """The messages of the object at an address; shared ones, which lie elsewhere, are left out."""
        start = self.read(at, 16, "an object")
        return self._new(at) if start[:4] == b"OHDR" else self._old(at, start)

    def _old(self, at: int, start: bytes) -> Iterator[MessageOf]:
        version, _, _, size = _OLD.unpack(start)
        if version != 1:
            raise Damaged(f"is damaged: there is no object at byte {clip(at)}")
        chunks = [(at + 16, size)]
        for place, length in chunks:
            data, index = self.read(place, length, "an object's header"), 0
            while index + 8 <= len(data):
                kind, count, flags = _OLD_MESSAGE.unpack_from(data, index)
                index += 8
                body = data[index : index + count]
                if len(body) < count:
                    raise Damaged(f"is damaged: a message of the object at byte {clip(at)} is cut off")
                index += count
                if kind == _CONTINUATION:
                    self._continue(chunks, body)
                elif not flags & _SHARED:
                    yield MessageOf(kind, body)

    def _new(self, at: int) -> Iterator[MessageOf]:
        flags = self.read(at, 6, "an object")[5]
        skip = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(self.read(at + skip, width, "an object"), "little")
        head = skip + width
        chunks = [(at, head + size + 4)]
        for number, (place, length) in enumerate(chunks):
            data = self.read(place, length, "an object's header")
            if length < 8 or lookup3(data[:-4]) != _U32.unpack(data[-4:])[0]:
                raise Damaged(f"is damaged: the header at byte {clip(place)} does not match its checksum")
            index, end, extra = (head if number == 0 else 4), length - 4, 2 if flags & 4 else 0
            while index + 4 + extra <= end:
                kind, count, own = _NEW_MESSAGE.unpack_from(data, index)
                index += 4 + extra
                body = data[index : min(index + count, end)]
                if len(body) < count:
                    raise Damaged(f"is damaged: a message of the object at byte {clip(at)} is cut off")
                index += count
                if kind == _CONTINUATION:
                    self._continue(chunks, body)
                elif not own & _SHARED:
                    yield MessageOf(kind, body)

    def _continue(self, chunks: list[tuple[int, int]], body: bytes) -> None:
        place = self.address(body, 0)
        if place is None or len(chunks) > _MAX_CHUNKS:
            raise Damaged("is damaged: an object's header goes on nowhere")
        chunks.append((place, self.length(body, self.offsets)))
