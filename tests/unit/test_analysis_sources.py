"""A source that cannot be read is told in one line that says what to do; the others are read."""

import lzma
import os
import socket
import zlib
from pathlib import Path

import pytest

from model_load_exporter.analysis.scan import SourceError, scan
from model_load_exporter.classify.patterns import PATTERNS


def told(*names: str) -> list[str]:
    problems: list[SourceError] = []
    list(scan(list(names), PATTERNS, problem=problems.append))
    return [str(problem) for problem in problems]


def test_each_kind_of_wrong_source_has_its_line(tmp_path: Path) -> None:
    """A folder, nothing, a device, a socket, an archive, the journal's own file."""
    archive, journal, packed = tmp_path / "a.zip", tmp_path / "system.journal", tmp_path / "a.lz4"
    archive.write_bytes(b"PK\x03\x04rest")
    journal.write_bytes(b"LPKSHHRH" + bytes(200))
    packed.write_bytes(b"\x04\x22\x4d\x18")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        names = (tmp_path, tmp_path / "none", "/dev/zero", tmp_path / "socket", archive, journal, packed)
        said = told(*map(str, names))
    analyze = "model-load-exporter analyze -"
    assert said == [
        f"{tmp_path} is a folder: name the logs in it, as in {tmp_path}/*.log",
        f"{tmp_path}/none: there is no such file",
        "/dev/zero is a device, not a log",
        f"{tmp_path}/socket is a socket, not a log",
        f"{archive} is a zip archive: unzip -p {archive} | {analyze}",
        f"{journal} is the journal's own format: journalctl --file {journal} -o short-iso | {analyze}",
        f"{packed} is lz4: lz4 -dc {packed} | {analyze}",
    ]


def test_the_kernels_device_is_answered_with_dmesg() -> None:
    """Reading it would never end."""
    if not os.path.exists("/dev/kmsg"):
        pytest.skip("this host has no /dev/kmsg")
    assert told("/dev/kmsg") == ["/dev/kmsg is a device: dmesg | model-load-exporter analyze -"]


def test_nothing_is_a_log_without_lines() -> None:
    """Scripts name /dev/null."""
    assert told("/dev/null") == []


def test_damaged_compression_is_told_with_its_place(tmp_path: Path) -> None:
    """Bytes that are none of the format's."""
    for name, start in (("a.gz", b"\x1f\x8b\x08\0"), ("a.bz2", b"BZh9"), ("a.xz", b"\xfd7zXZ\0")):
        path = tmp_path / name
        path.write_bytes(start + b"\xff" * 300)
        (line,) = told(str(path))
        assert line.startswith(f"{path}: the compressed data is damaged near byte "), line


def test_an_xz_file_that_asks_for_too_much_memory_is_refused(tmp_path: Path) -> None:
    """Its header may ask for four gigabytes to unpack one line."""
    path = tmp_path / "a.xz"
    greedy = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 29}]
    # The dictionary is the reader's cost: the writer's would be five times that, so the header is changed by hand.
    small = bytearray(lzma.compress(b"Killed\n", check=lzma.CHECK_NONE, filters=[{**greedy[0], "dict_size": 4096}]))
    at = small.index(bytes([0x21, 0x01, 0x00]))
    small[at + 2] = 34  # 512 MiB
    header = small[12 : 12 + (small[12] + 1) * 4]
    small[12 + len(header) - 4 : 12 + len(header)] = zlib.crc32(small[12 : 12 + len(header) - 4]).to_bytes(4, "little")
    path.write_bytes(small)
    (line,) = told(str(path))
    assert "Memory usage limit" in line


def test_a_file_that_grows_is_read_to_where_it_ended(tmp_path: Path) -> None:
    """A writer that is faster than the reader would keep it for ever."""
    path = tmp_path / "a.log"
    path.write_bytes(b"CUDA out of memory\n" * 30_000)
    lines = 0
    with path.open("ab") as writer:
        for _ in scan([str(path)], PATTERNS):
            lines += 1
            writer.write(b"CUDA out of memory\n" * 10)
            writer.flush()
    assert lines == 30_000


def test_a_file_that_shrinks_is_read_to_where_it_ends(tmp_path: Path) -> None:
    """logrotate's copytruncate."""
    path = tmp_path / "a.log"
    path.write_bytes(b"CUDA out of memory\n" * 100_000)
    found = scan([str(path)], PATTERNS)
    next(found)
    os.truncate(path, 10)
    assert 0 < sum(1 for _ in found) < 100_000


def test_a_file_of_proc_is_read_though_it_says_it_is_empty() -> None:
    """Its size is 0 until it is read."""
    assert told("/proc/self/status") == []
    done: list[int] = []
    list(scan(["/proc/self/status"], PATTERNS, progress=lambda read, _: done.append(read)))
    assert done[-1] > 100
