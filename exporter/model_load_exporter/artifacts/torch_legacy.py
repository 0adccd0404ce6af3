"""torch.save's formats before 1.6: pickles in a row with the raw storages behind them, and before that a tar.

    magic number | protocol 1001 | system | the object | keys of its storages | per key: u64 count, then the items

Its length follows from that: a file cut anywhere is seen. It has no checksums, but each count is written twice, so that
a file whose end was never written is seen as well.
"""

import struct
from collections.abc import Iterator

from model_load_exporter.artifacts.bounded import Damaged, Region, name_of
from model_load_exporter.artifacts.pickle_globals import ITEM_BYTES, STORAGE_DTYPES
from model_load_exporter.artifacts.pickle_scan import Scan, scan
from model_load_exporter.artifacts.pickles import judge, looks_like_pickle
from model_load_exporter.artifacts.summary import Summary

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_COUNT = struct.Struct("<q")
_TAR_MEMBERS = ("sys_info", "pickle", "storages", "tensors")
_MAX_MEMBERS = 64
_MAX_PICKLES = 200_000


def read(region: Region, head: bytes, *, strict: bool) -> Summary | None:
    """What the file says; None where it is of neither form. Raises Damaged."""
    if region.size > 512 and _member(region, 0):
        return _tar(region, strict)
    if not (looks_like_pickle(head) or head[:1] in b"(]}cIL"):
        return None
    scans = list(_pickles(region))
    is_checkpoint = scans[0].value == _MAGIC_NUMBER
    if not looks_like_pickle(head) and (scans[0].broken and not scans[0].globals):
        return None
    said = judge(scans, strict=strict)
    if not is_checkpoint:
        raise Damaged("is a pickle, but no checkpoint that torch wrote")
    if len(scans) < 5 or scans[1].value != _PROTOCOL:
        raise Damaged("is truncated: it ends within its pickles")
    sizes = _sizes(region, scans[3], scans[4].end)
    metadata = {"producer": "torch", "version": "legacy"}
    if said:
        metadata["note"] = said
    dtypes = dict(sorted(sizes.items(), key=lambda item: -item[1]))
    return Summary("torch-legacy", region.size, sum(sizes.values()), dtypes=dtypes, metadata=metadata)


def _pickles(region: Region) -> Iterator[Scan]:
    """Those of a checkpoint; of another file the first, as a loader reads no more."""
    yield (found := scan(region.at, 0, region.size))
    for _ in range(4):
        if found.broken or found.end >= region.size:
            return
        if not looks_like_pickle(region.at(found.end, min(2, region.size - found.end))):
            return
        yield (found := scan(region.at, found.end, region.size))


def _sizes(region: Region, main: Scan, begin: int) -> dict[str, int]:
    """Bytes by data type. Raises Damaged where the storages do not end with the file."""
    sizes = dict[str, int]()
    end = begin
    for storage in main.storages.values():
        dtype = STORAGE_DTYPES.get(storage.kind, "uint8")
        size = storage.count * ITEM_BYTES[dtype]
        sizes[dtype] = sizes.get(dtype, 0) + size
        end += _COUNT.size + size
    if end != region.size:
        verb = "is truncated" if end > region.size else "has bytes behind its last storage"
        raise Damaged(f"{verb}: it has {region.size} bytes, and its storages end at {end}")
    _compare_counts(region, main, begin)
    return sizes


def _compare_counts(region: Region, main: Scan, begin: int) -> None:
    """The counts before the storages, which torch wrote sorted by their keys. Raises Damaged, as torch.load does."""
    at = begin
    for key, storage in sorted(main.storages.items()):
        (count,) = region.unpack(_COUNT, at)
        if count != storage.count:
            raise Damaged(
                f"is damaged: storage {name_of(key)} has {storage.count} items by its pickle, and {count} at byte {at}"
            )
        at += _COUNT.size + storage.count * ITEM_BYTES[STORAGE_DTYPES.get(storage.kind, "uint8")]


def _tar(region: Region, strict: bool) -> Summary:
    """Every pickle in the members; what lies between them are raw storages."""
    scans, at = list[Scan](), 0
    for _ in range(_MAX_MEMBERS):
        member = _member(region, at)
        if member is None:
            break
        name, size = member
        region.require(at + 512, size, f"its member {name}")
        if name in _TAR_MEMBERS:
            scans.extend(_in_member(region.part(at + 512, size), name))
        at += 512 + -(-size // 512) * 512
        if at + 512 > region.size:
            break
    said = judge(scans, strict=strict)
    metadata = {"producer": "torch", "version": "tar"}
    if said:
        metadata["note"] = said
    return Summary("torch-tar", region.size, region.size, metadata=metadata)


def _in_member(part: Region, name: str) -> Iterator[Scan]:
    """The pickles of a member. storages: a count, then (key, location, type) and the raw items, each time."""
    begin = 0
    for _ in range(_MAX_PICKLES):
        if begin + 2 > part.size:
            return
        yield (found := scan(part.at, begin, part.size))
        begin = found.end
        if found.broken or name not in ("storages", "tensors"):
            return
        kind = next((one.name for one in found.globals), None)
        if name == "storages" and kind in STORAGE_DTYPES and begin + _COUNT.size <= part.size:
            (count,) = part.unpack(_COUNT, begin)
            begin += _COUNT.size + max(count, 0) * ITEM_BYTES[STORAGE_DTYPES[kind]]
        elif found.globals:
            return


def _member(region: Region, at: int) -> tuple[str, int] | None:
    """Name and size by a tar header; None where there is none."""
    if at + 512 > region.size:
        return None
    header = region.at(at, 512)
    if header[257:262] != b"ustar":
        return None
    raw = header[124:136]
    try:
        size = int.from_bytes(raw[1:], "big") if raw[0] & 0x80 else int(raw.rstrip(b"\0 ") or b"0", 8)
    except ValueError:
        raise Damaged("has a damaged tar header") from None
    return header[:100].partition(b"\0")[0].decode("utf-8", "replace").removeprefix("./"), size
