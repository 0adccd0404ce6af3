"""The entries of a zip: its directory without belief, and the checksum of what they hold.

Shared by every format that is a zip. An archive of weights has no reason for what the tricks of the trade need: two
entries of one name, entries that overlap, encryption, bytes behind the end. Each is refused.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from model_load_exporter.artifacts.bounded import Damaged, Region, name_of
from model_load_exporter.artifacts.hashing import Advance, ShrankError, chunks, crc32_of

MAX_DIRECTORY = 64 * 2**20
"""Bytes of a central directory: some 600,000 entries."""

MAX_EXPANSION = 128
"""Times its own size that an archive may unpack to, where that is more than MAX_UNPACKED."""

MAX_UNPACKED = 256 * 2**20

STORED, DEFLATED = 0, 8
_ENTRY = struct.Struct("<4s4xHH4xIIIHHH8xI")
_LOCAL = struct.Struct("<4s2xHH4xIIIHH")
_END = struct.Struct("<4s4H2IH")
_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_TAIL = 65_557
_LARGE = 0xFFFFFFFF
_ENCRYPTED, _DESCRIPTOR = 1, 8


class Entry(NamedTuple):
    """One file of the archive. packed, full: bytes as stored and unpacked. at: where its local header begins."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    full: int
    at: int

    @property
    def unchecked(self) -> bool:
        """True where its writer left the checksum at 0: torch does with set_crc32_options(False) and skip_data()."""
        return self.crc == 0 and self.full > 0


def entries(region: Region) -> list[Entry]:
    """All entries in the order of the directory. Raises Damaged."""
    offset, length = _directory(region)
    found = list(_parsed(region.at(offset, length, "its directory"), offset))
    seen = set[str]()
    for entry in found:
        if entry.name in seen:
            raise Damaged(f"has two entries {name_of(entry.name)}: readers disagree which one counts")
        seen.add(entry.name)
    end = 0
    for entry in sorted(found, key=lambda entry: entry.at):
        if entry.at < end:
            raise Damaged(f"has entries that overlap: {name_of(entry.name)} begins in the one before it")
        end = entry.at + _LOCAL.size + entry.packed
    if end > offset:
        raise Damaged("has entries that reach into its directory")
    unpacked = sum(entry.full for entry in found)
    if unpacked > max(MAX_UNPACKED, MAX_EXPANSION * region.size):
        raise Damaged(f"would unpack to {unpacked} bytes from {region.size}: a zip bomb")
    return found


def data_of(region: Region, entry: Entry) -> Region:
    """What an entry stores, packed as it is; its local header is compared with the directory. Raises Damaged."""
    raw = region.at(entry.at, _LOCAL.size, "an entry's header")
    signature, flags, method, crc, packed, full, name_length, extra_length = _LOCAL.unpack(raw)
    if signature != b"PK\x03\x04":
        raise Damaged(f"is damaged: entry {name_of(entry.name)} has no header")
    name = region.at(entry.at + _LOCAL.size, name_length, "an entry's name").decode("utf-8", "replace")
    local = (crc, *(own if said == _LARGE else said for said, own in ((packed, entry.packed), (full, entry.full))))
    # A streamed entry has these three behind its data, and zeros here.
    same = local == (entry.crc, entry.packed, entry.full) or flags & _DESCRIPTOR
    if (name, method) != (entry.name, entry.method) or not same:
        raise Damaged(f"is damaged: the header of entry {name_of(entry.name)} differs from the directory")
    return region.part(entry.at + _LOCAL.size + name_length + extra_length, entry.packed)


def unpacked(region: Region, entry: Entry, limit: int) -> bytes:
    """An entry's content, its checksum confirmed; Damaged where it is longer than `limit`."""
    if entry.full > limit or entry.packed > limit:
        raise Damaged(f"has an entry {name_of(entry.name)} of {entry.full} bytes; {limit} is the limit")
    stored = data_of(region, entry)
    raw = stored.at(0, stored.size)
    if entry.method == DEFLATED:
        engine = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            raw = engine.decompress(raw, entry.full + 1)
        except zlib.error as error:
            raise _damaged(entry) from error
    if len(raw) != entry.full or (not entry.unchecked and zlib.crc32(raw) != entry.crc):
        raise _damaged(entry)
    return raw


def check(region: Region, found: Sequence[Entry], advance: Advance) -> None:
    """Reads every entry that has a checksum and compares it. Raises Damaged, OSError."""
    for entry in sorted(found, key=lambda entry: entry.at):
        stored = data_of(region, entry)
        if entry.unchecked:
            advance(entry.packed)
            continue
        try:
            if entry.method == STORED:
                crc, full = crc32_of(region.descriptor, stored.begin, stored.size, advance), entry.full
            else:
                crc, full = _inflated(stored, entry, advance)
        except (ShrankError, zlib.error) as error:
            raise Damaged(f"is damaged in entry {name_of(entry.name)}: {error}") from None
        if (crc, full) != (entry.crc, entry.full):
            raise _damaged(entry)


def _damaged(entry: Entry) -> Damaged:
    return Damaged(f"is damaged: the checksum of entry {name_of(entry.name)} does not fit its content")


def _inflated(stored: Region, entry: Entry, advance: Advance) -> tuple[int, int]:
    """Checksum and length of what a compressed entry unpacks to; it stops one byte after what the entry claims."""
    engine, crc, full = zlib.decompressobj(-zlib.MAX_WBITS), 0, 0
    for part in chunks(stored.descriptor, stored.begin, stored.size):
        pending: bytes | memoryview = part
        while pending and not engine.eof and full <= entry.full:
            out = engine.decompress(pending, 2**20)
            crc, full, pending = zlib.crc32(out, crc), full + len(out), engine.unconsumed_tail
        advance(len(part))
    while not engine.eof and full <= entry.full and (out := engine.decompress(b"", 2**20)):
        crc, full = zlib.crc32(out, crc), full + len(out)
    return crc, full if engine.eof else -1


def _directory(region: Region) -> tuple[int, int]:
    """Offset and length of the central directory. Raises Damaged."""
    begin = max(0, region.size - _TAIL)
    tail = region.at(begin, region.size - begin)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise Damaged("has no directory at its end: the file is truncated")
    *_, count, length, offset, comment = _END.unpack_from(tail, at)
    if begin + at + _END.size + comment != region.size:
        raise Damaged("does not end where its directory says: bytes were added or cut off")
    if _LARGE in (length, offset) or count == 0xFFFF:
        length, offset = _directory64(region, begin + at - _LOCATOR.size) or (length, offset)
    if length > MAX_DIRECTORY:
        raise Damaged(f"claims a directory of {length} bytes; {MAX_DIRECTORY} is the limit")
    region.require(offset, length, "its directory")
    return offset, length


def _directory64(region: Region, at: int) -> tuple[int, int] | None:
    """Length and offset by the zip64 record; None where there is none, as with exactly 65,535 entries."""
    if at < 0:
        return None
    signature, _, place, _ = region.unpack(_LOCATOR, at)
    if signature != b"PK\x06\x07":
        return None
    signature, *_, length, offset = region.unpack(_END64, place, "its zip64 directory")
    if signature != b"PK\x06\x06":
        raise Damaged("has a damaged zip64 directory")
    return length, offset


def _parsed(directory: bytes, limit: int) -> Iterator[Entry]:
    """The entries, none of which may lie behind byte `limit`. Raises Damaged."""
    at = 0
    while at < len(directory):
        if len(directory) - at < _ENTRY.size:
            raise Damaged("has a damaged directory")
        fields = _ENTRY.unpack_from(directory, at)
        signature, flags, method, crc, packed, full, name_length, extra_length, comment_length, place = fields
        at += _ENTRY.size
        name = directory[at : at + name_length]
        extra = directory[at + name_length : at + name_length + extra_length]
        at += name_length + extra_length + comment_length
        if signature != b"PK\x01\x02" or at > len(directory):
            raise Damaged("has a damaged directory")
        shown = name.decode("utf-8", "replace")
        full, packed, place = _wide(extra, full, packed, place)
        if flags & _ENCRYPTED or method not in (STORED, DEFLATED):
            raise Damaged(f"has an entry {name_of(shown)} that is encrypted or packed in a way no loader reads")
        if place + packed > limit or (method == STORED and packed != full):
            raise Damaged(f"has a damaged directory: entry {name_of(shown)} lies beyond the file or has two sizes")
        yield Entry(shown, flags, method, crc, packed, full, place)


def _wide(extra: bytes, *values: int) -> tuple[int, ...]:
    """Sizes and place, from the zip64 extra field where they do not fit in 32 bits. Raises Damaged."""
    if _LARGE not in values:
        return values
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1:
            wide = iter(struct.unpack_from(f"<{min(length, len(extra) - 4) // 8}Q", extra, 4))
            try:
                return tuple(next(wide) if value == _LARGE else value for value in values)
            except (StopIteration, RuntimeError):
                break
        extra = extra[4 + length :]
    raise Damaged("has an entry whose zip64 size is missing")
