"""Checkpoints and SavedModels by hand: LevelDB's table, CRC-32C, shards, and the fingerprint."""

import os
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings

from model_load_exporter.artifacts import crc32c, saved_model, tf_checkpoint
from model_load_exporter.artifacts.bounded import Region
from model_load_exporter.artifacts.crc32c import by_table, fastest, mask
from model_load_exporter.artifacts.farmhash import fingerprint64
from model_load_exporter.artifacts.sstable import entries
from model_load_exporter.artifacts.verify import LEVELS, verify
from support import format_bytes as make
from support.hostile import Change, changed, changes, refused, survives, within

DATA = bytes(range(240)) + b"\x03\x00" + bytes(100)
TEXTS = [b"abc", b""]
EMPTY_BLOCK = struct.pack("<II", 0, 1) + b"\0" + struct.pack("<I", mask(by_table(struct.pack("<II", 0, 1) + b"\0")))


def text_bytes() -> tuple[bytes, int]:
    """A variable of two texts as the file has it, and its masked CRC."""
    crc = by_table(b"".join(struct.pack("<I", len(text)) for text in TEXTS))
    stored = struct.pack("<I", mask(crc))
    return b"\x03\x00" + stored + b"abc", mask(by_table(stored + b"abc", crc))


def index(*, shards: int = 1, size: int = 240, shard: int = 0, crc: int | None = None, more: int = 0) -> bytes:
    texts, text_crc = text_bytes()
    own = mask(by_table(DATA[:240])) if crc is None else crc
    table = [(b"", make.proto((1, shards)))]
    table += [(b"a%d" % number, make.bundle_entry(1, [60], 0, size, own)) for number in range(more)]
    table.append((b"kernel", make.bundle_entry(1, [6, 10], 0, size, own, shard)))
    table.append((b"texts", make.bundle_entry(7, [2], 240, len(texts), text_crc)))
    return make.sstable(table)


def checkpoint(folder: Path, raw: bytes | None = None, data: bytes | None = None, prefix: str = "model") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{prefix}.index").write_bytes(index() if raw is None else raw)
    whole = DATA[:240] + text_bytes()[0]
    (folder / f"{prefix}.data-00000-of-00001").write_bytes(whole if data is None else data)
    return folder


def saved(folder: Path, *, graph: bytes | None = None, variables: bool = True, fingerprint: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    meta = make.proto((4, "serve"), (5, "2.21.0"))
    body = make.proto((1, meta), (2, make.proto((1, b"node"))), (3, make.proto((1, "save"))))
    (folder / "saved_model.pb").write_bytes(make.proto((1, 1), (2, body)) if graph is None else graph)
    if variables:
        checkpoint(folder / "variables", prefix="variables")
        if fingerprint:
            own = fingerprint64((folder / "variables/variables.index").read_bytes())
            (folder / "fingerprint.pb").write_bytes(make.proto((1, 7), (5, own)))
    return folder


def deep(folder: Path) -> int:
    """Bytes that the checksum level looked at."""
    seen: list[int] = []
    form = saved_model if saved_model.matches(folder) else tf_checkpoint
    form.deep(folder, seen.append)
    return sum(seen)


def test_a_checkpoint_tells_its_variables(tmp_path: Path) -> None:
    """Texts are no parameters; all bytes of the data were checked."""
    folder = checkpoint(tmp_path / "c")
    summary = tf_checkpoint.read(folder)

    assert (summary.parameters, summary.dtypes) == (60, {"float32": 240})
    assert deep(folder) == 240 + 4 + 3
    assert tf_checkpoint.matches(folder)


def test_other_files_named_index_are_no_checkpoint(tmp_path: Path) -> None:
    """FAISS writes vectors under that name."""
    (tmp_path / "vectors.index").write_bytes(b"IxFI")

    assert not tf_checkpoint.matches(tmp_path)
    (tmp_path / "checkpoint").write_text("")
    assert tf_checkpoint.matches(tmp_path)


@pytest.mark.parametrize("bit", range(0, 8 * 249, 61))
def test_a_flipped_bit_is_found_by_its_checksum(tmp_path: Path, bit: int) -> None:
    """Anywhere in the data; the header level cannot see it."""
    raw = bytearray(DATA[:240] + text_bytes()[0])
    raw[bit // 8] ^= 1 << bit % 8
    folder = checkpoint(tmp_path / "c", data=bytes(raw))

    tf_checkpoint.read(folder)
    error = refused(lambda path: deep(path.parent), folder / "model.data-00000-of-00001")
    assert error.reason == "file_corrupted"


@pytest.mark.parametrize("length", range(1, len(index()), 7))
def test_a_truncated_index_is_found_wherever_it_ends(tmp_path: Path, length: int) -> None:
    """Its footer is gone."""
    folder = checkpoint(tmp_path / "c", raw=index()[:length])

    assert refused(lambda path: tf_checkpoint.read(path.parent), folder / "model.index").reason == "file_corrupted"


def read_of_index() -> list[int]:
    """Bytes of the index that are read: all but the table's second block, of which TensorFlow makes no use."""
    begin = index().index(EMPTY_BLOCK)
    return [byte for byte in range(len(index()) - 48) if not begin <= byte < begin + len(EMPTY_BLOCK)]


@pytest.mark.parametrize("byte", read_of_index()[::5])
def test_a_flipped_bit_of_the_index_is_found_at_once(tmp_path: Path, byte: int) -> None:
    """Each of its blocks has a CRC of its own."""
    raw = bytearray(index())
    raw[byte] ^= 4
    folder = checkpoint(tmp_path / "c", raw=bytes(raw))

    refused(lambda path: tf_checkpoint.read(path.parent), folder / "model.index")


@pytest.mark.parametrize(
    ("raw", "reason", "says"),
    [
        (index(shards=3), "shard_missing", "data-00000-of-00003"),
        (index(shards=0), "file_corrupted", "0 shards"),
        (index(shards=2**31), "file_corrupted", "shards"),
        (index(size=236), "file_corrupted", "shape"),
        (index(shard=5), "file_corrupted", "shard 5 of 1"),
        (index(more=1), "file_corrupted", "another variable"),
        (make.sstable([]), "file_corrupted", "no header entry"),
        (make.sstable([(b"", make.proto((1, 1))), (b"w", b"\xff\xff")]), "file_corrupted", "truncated"),
        (b"IxFI" * 40, "file_corrupted", "no TensorFlow checkpoint"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(tmp_path: Path, raw: bytes, reason: str, says: str) -> None:
    """Each with what is wrong."""
    with pytest.raises(ValueError, match=says) as caught:
        tf_checkpoint.read(checkpoint(tmp_path / "c", raw=raw))

    assert getattr(caught.value, "reason", None) == reason


def test_truncated_data_is_found_by_the_index(tmp_path: Path) -> None:
    """A variable ends behind the file."""
    folder = checkpoint(tmp_path / "c", data=DATA[:246])

    error = refused(lambda path: tf_checkpoint.read(path.parent), folder / "model.data-00000-of-00001")
    assert "truncated" in str(error)


def test_a_saved_model_tells_its_version(tmp_path: Path) -> None:
    """And its tags; its variables are checked as a checkpoint's are."""
    folder = saved(tmp_path / "m")
    summary = saved_model.read(folder)

    assert (summary.parameters, summary.format) == (60, "saved_model")
    assert summary.metadata == {"version": "1", "producer": "tensorflow 2.21.0", "tags": "serve"}
    assert deep(folder) == 247 + (folder / "variables/variables.index").stat().st_size


def test_variables_of_another_save_are_found_by_the_fingerprint(tmp_path: Path) -> None:
    """Index and data fit each other, but not the graph."""
    folder = saved(tmp_path / "m")
    crc = mask(by_table(bytes(240)))
    checkpoint(folder / "variables", index(crc=crc), bytes(240) + text_bytes()[0], prefix="variables")

    saved_model.read(folder)
    error = refused(lambda path: deep(folder), folder / "variables/variables.index")
    assert "fingerprint.pb" in str(error)


def test_missing_parts_are_told_as_missing(tmp_path: Path) -> None:
    """Variables that the graph restores, a shard of them, an asset; a graph without any needs none."""
    folder = saved(tmp_path / "m")
    (folder / "variables/variables.data-00000-of-00001").unlink()
    assert refused(lambda _: saved_model.read(folder), folder / "variables/variables.data-00000-of-00001").reason == (
        "shard_missing"
    )
    index_path = saved(tmp_path / "n", variables=False) / "variables/variables.index"
    assert refused(lambda _: saved_model.read(tmp_path / "n"), index_path).reason == "file_missing"

    asset = make.proto((2, make.proto((6, make.proto((2, "words.txt"))))))
    folder = saved(tmp_path / "o", graph=asset, variables=False)
    assert refused(lambda _: saved_model.read(folder), folder / "assets/words.txt").reason == "file_missing"

    bare = saved(tmp_path / "p", graph=make.proto((1, 1), (2, b"")), variables=False)
    assert saved_model.read(bare).parameters == 0


@pytest.mark.parametrize("level", LEVELS)
def test_a_folder_without_its_graph_is_told_at_every_level(tmp_path: Path, level: str) -> None:
    """Missing with variables or a fingerprint beside it, a link into nowhere, or empty."""
    (saved(tmp_path / "missing") / "saved_model.pb").unlink()
    for name in ("linked", "empty"):
        saved(tmp_path / name, graph=b"")
    (tmp_path / "linked/saved_model.pb").unlink()
    (tmp_path / "linked/saved_model.pb").symlink_to("../blobs/gone")

    wanted = {"missing": "file_missing", "linked": "file_missing", "empty": "file_empty"}
    for name, reason in wanted.items():
        report = verify([tmp_path / name], level=level)
        folder = next(file for file in report.files if file.path == tmp_path / name)
        assert (name, folder.format, folder.reason) == (name, "saved_model", reason)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a\0b", "", "a/../../x"])
def test_assets_outside_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    """Nothing is looked at."""
    raw = make.proto((2, make.proto((6, make.proto((2, name))))))
    folder = saved(tmp_path / "m", graph=raw, variables=False)

    assert "outside" in str(refused(lambda _: saved_model.read(folder), folder / "saved_model.pb"))


@pytest.mark.parametrize("raw", [b"", make.proto((1, 1)), b"<html>", b"\xff" * 100, make.proto((1, 1), (2, b""))[:3]])
def test_a_graph_that_is_none_is_refused(tmp_path: Path, raw: bytes) -> None:
    """Empty, without a graph, a web page, no protocol buffer, cut off."""
    folder = saved(tmp_path / "m", graph=raw)

    refused(lambda _: saved_model.read(folder), folder / "saved_model.pb")


def test_a_claimed_terabyte_costs_nothing(tmp_path: Path) -> None:
    """An index that long is refused by its size, data that long is not read at the header level."""
    folder = checkpoint(tmp_path / "c")
    os.truncate(folder / "model.data-00000-of-00001", 2**41)
    with within(seconds=1, mebibytes=4):
        tf_checkpoint.read(folder)
    os.truncate(folder / "model.index", 2**41)
    with within(seconds=1, mebibytes=4):
        refused(lambda path: tf_checkpoint.read(path.parent), folder / "model.index")


@settings(max_examples=300, deadline=None)
@given(what=changes(len(index())))
def test_changed_bytes_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, what: list[Change]) -> None:
    """With the checksums made to fit or not."""
    folder = checkpoint(tmp_path_factory.getbasetemp() / "changed", raw=changed(index(), what))
    survives(tf_checkpoint.read, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("model_load_exporter.artifacts.sstable.mask", lambda _: Anything())
        survives(tf_checkpoint.read, folder)


class Anything:
    """Equal to every checksum, so that the parser behind them meets changed bytes, too."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


def test_keys_share_their_beginnings() -> None:
    """LevelDB stores of a key what differs from the one before it."""
    block = make.varint(0) + make.varint(4) + make.varint(1) + b"abcdX" + make.varint(3) + make.varint(1)
    block += make.varint(1) + b"eY" + struct.pack("<II", 0, 1)
    stored = block + b"\0" + struct.pack("<I", mask(by_table(block + b"\0")))
    handle = make.varint(0) + make.varint(len(block))
    at = len(stored)
    top = make.varint(0) + make.varint(1) + make.varint(len(handle)) + b"z" + handle + struct.pack("<II", 0, 1)
    stored += top + b"\0" + struct.pack("<I", mask(by_table(top + b"\0")))
    footer = make.varint(0) + make.varint(0) + make.varint(at) + make.varint(len(top))
    raw = stored + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)

    assert list(entries(Region.of(raw))) == [(b"abcd", b"X"), (b"abce", b"Y")]


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_the_checksum_is_castagnolis(data: bytes, expected: int) -> None:
    """The test vectors of RFC 3720, by the table and by the fastest that is installed; in parts, too."""
    assert by_table(data) == fastest()(data, 0) == expected
    assert by_table(data[3:], by_table(data[:3])) == expected
    assert fastest()(data[3:], fastest()(data[:3], 0)) == expected


def test_without_a_library_the_table_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the libraries needs to be there."""
    crc32c.fastest.cache_clear()
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    monkeypatch.setitem(sys.modules, "crc32c", None)

    assert crc32c.fastest() is by_table
    crc32c.fastest.cache_clear()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0x9AE16A3B2F90404F),
        (b"a", 0xB3454265B6DF75E3),
        (b"abcd", 0x1A5502DE4A1F8101),
        (b"hello, world", 0x0BDDB94646E75817),
        (bytes(range(32)), 0x1A9D8199972CDF49),
        (bytes(range(64)), 0xF58504BB53DECC4B),
        (bytes(range(200)), 0x074C7FCC26D66FB3),
    ],
)
def test_the_fingerprint_is_farmhashs(data: bytes, expected: int) -> None:
    """As tf.fingerprint(data, "farmhash64") answers, for each of its ways by length."""
    assert fingerprint64(data) == expected
