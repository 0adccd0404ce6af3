"""Zip archives: every flipped bit of their content is found, and no trick of a hostile one costs anything."""

import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from model_load_exporter.artifacts import hashing, torch_zip, zip_entries
from model_load_exporter.artifacts.bounded import Damaged, opened
from model_load_exporter.artifacts.summary import ArtifactError
from support.checkpoints import write_checkpoint
from support.hostile import refused, within


def ignore(count: int) -> None:
    pass


def deep(path: Path) -> None:
    torch_zip.read(path)
    torch_zip.deep(path, ignore)


def test_a_flipped_bit_anywhere_in_the_content_is_found(tmp_path: Path) -> None:
    """Of the pickle, the version and the storage, each byte by its checksum."""
    file = write_checkpoint(tmp_path / "m.pth", data=bytes(range(120)))
    deep(file)
    whole = file.read_bytes()
    with zipfile.ZipFile(file) as archive:
        places = [
            at
            for entry in archive.infolist()
            for at in range(
                entry.header_offset + 30 + len(entry.filename),
                entry.header_offset + 30 + len(entry.filename) + entry.file_size,
            )
        ]
    assert len(places) > 200
    for at in places:
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        with pytest.raises(ArtifactError):
            deep(file)


def test_every_byte_is_told_to_have_been_read(tmp_path: Path) -> None:
    """Progress and the daemon's rate limit count on it."""
    file = write_checkpoint(tmp_path / "m.pth", data=bytes(2**20))
    counts = list[int]()
    torch_zip.deep(file, counts.append)
    assert sum(counts) >= 2**20
    assert max(counts) <= hashing.CHUNK


def test_a_checksum_that_was_not_computed_is_told_and_no_damage(tmp_path: Path) -> None:
    """torch writes 0 with set_crc32_options(False); such content stays unchecked, and the file says so."""
    file = write_checkpoint(tmp_path / "m.pth", data=bytes(range(40)))
    crc = struct.pack("<I", zlib.crc32(bytes(range(40))))
    assert file.read_bytes().count(crc) == 2
    file.write_bytes(file.read_bytes().replace(crc, bytes(4)))

    deep(file)
    assert "1 of 4 entries were written without a checksum" in torch_zip.read(file).metadata["note"]


def test_content_whose_checksum_happens_to_be_zero_is_none_of_these(tmp_path: Path) -> None:
    """An empty entry has the checksum 0."""
    assert "note" not in torch_zip.read(write_checkpoint(tmp_path / "m.pth", data=b"")).metadata


def test_compressed_entries_are_unpacked_and_compared(tmp_path: Path) -> None:
    """torch reads them, though it writes none."""
    file = tmp_path / "m.pth"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        archive.writestr("a/data/0", bytes(3 * 2**20))
    deep(file)
    whole = file.read_bytes()
    at = whole.index(b"a/data/0") + 100
    file.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
    assert refused(deep, file).reason == "file_corrupted"


def test_a_bomb_is_refused_by_what_it_claims(tmp_path: Path) -> None:
    """Hundreds of megabytes of zeros in one: nothing is unpacked."""
    file = tmp_path / "m.pth"
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("a/data/0", "w") as entry,
    ):
        for _ in range(300):
            entry.write(bytes(2**20))
    with within(seconds=0.1, mebibytes=8):
        assert "bomb" in str(refused(torch_zip.read, file))


def test_an_entry_that_unpacks_to_more_than_it_claims_is_stopped(tmp_path: Path) -> None:
    """Its claim in the directory was made small."""
    file = tmp_path / "m.pth"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        archive.writestr("a/data/0", bytes(200 * 2**20))
    whole = file.read_bytes().replace(struct.pack("<I", 200 * 2**20), struct.pack("<I", 100))
    file.write_bytes(whole)
    with within(seconds=0.3, mebibytes=8):
        assert refused(deep, file).reason == "file_corrupted"


def archive_of(path: Path, *entries: tuple[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in entries:
            archive.writestr(name, body)
    return path.read_bytes()


def test_two_entries_of_one_name_are_refused(tmp_path: Path) -> None:
    """One reader takes the first, another the last: a scanner and a loader would see different pickles."""
    file = tmp_path / "m.pth"
    raw = archive_of(file, ("a/data.pkl", b"\x80\x02}."), ("a/data.pkk", b"\x80\x02)."))
    file.write_bytes(raw.replace(b"a/data.pkk", b"a/data.pkl"))
    assert "two entries" in str(refused(torch_zip.read, file))


def test_entries_that_overlap_are_refused(tmp_path: Path) -> None:
    """A bomb of the newer kind lets all its entries share their bytes."""
    file = tmp_path / "m.pth"
    raw = archive_of(file, ("a/data.pkl", b"\x80\x02}."), ("a/data/0", bytes(100)))
    second = raw.rindex(b"PK\x01\x02")
    file.write_bytes(raw[: second + 42] + bytes(4) + raw[second + 46 :])
    assert "overlap" in str(refused(torch_zip.read, file))


def test_a_local_header_that_differs_from_the_directory_is_refused(tmp_path: Path) -> None:
    """A name in the one and another in the other is how payloads hide."""
    file = tmp_path / "m.pth"
    raw = archive_of(file, ("a/data.pkl", b"\x80\x02}."), ("a/data/0", bytes(100)))
    file.write_bytes(raw.replace(b"a/data/0", b"a/data/1", 1))
    assert "differs" in str(refused(deep, file))


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    """No loader reads one."""
    file = tmp_path / "m.pth"
    raw = archive_of(file, ("a/data.pkl", b"\x80\x02}."))
    at = raw.index(b"PK\x01\x02") + 8
    file.write_bytes(raw[:at] + b"\1\0" + raw[at + 2 :])
    assert "encrypted" in str(refused(torch_zip.read, file))


def test_sizes_of_zip64_are_read() -> None:
    """A storage over 4 GiB has its sizes in an extra field, in the order in which the others overflow."""
    head = struct.pack("<4s4xHH4xIIIHHH8xI", b"PK\x01\x02", 0, 0, 7, 2**32 - 1, 2**32 - 1, 8, 20, 0, 0)
    extra = struct.pack("<HHQQ", 1, 16, 5 * 2**30, 5 * 2**30)
    (entry,) = zip_entries._parsed(head + b"a/data/0" + extra, 6 * 2**30)
    assert (entry.full, entry.packed, entry.at) == (5 * 2**30, 5 * 2**30, 0)
    with pytest.raises(Damaged, match="zip64"):
        list(zip_entries._parsed(head + b"a/data/0" + bytes(20), 6 * 2**30))


def test_an_archive_of_over_65535_entries_is_read(tmp_path: Path) -> None:
    """Its count is in the zip64 record."""
    file = tmp_path / "m.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(66_000):
            archive.writestr(f"a/data/{number}", b"")
    with opened(file) as region:
        assert len(zip_entries.entries(region)) == 66_000


def test_both_engines_answer_the_same() -> None:
    """isal where it is installed, else the standard library."""
    data = memoryview(bytes(range(256)) * 4099)
    assert hashing.crc32_function()(data[100:], zlib.crc32(data[:100])) == zlib.crc32(data)
