"""Files that promise a terabyte, unpack to one, nest without end or are no files: each costs next to nothing.

Every case runs in a forked child that may take 192 MiB more than the test's process has, and four seconds of CPU.
"""

import bz2
import gzip
import json
import lzma
import os
import pickle
import resource
import signal
import struct
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from entries_files import ERRORS, FOLDER_FORMATS, FORMATS, SAFETENSORS, packed, safetensors, told
from fuzz_target import limit_memory
from structures import varint

from model_load_exporter.analysis.analyze import analyze
from model_load_exporter.analysis.scan import SourceError
from model_load_exporter.artifacts.locate import weight_files
from model_load_exporter.artifacts.summary import ArtifactError
from model_load_exporter.classify.files import look
from model_load_exporter.config import ConfigError, load_config
from model_load_exporter.journal.tail import Tail

MEMORY, CPU = 192 << 20, 4
TERABYTE = 10**12


def sparse(path: Path, head: bytes, size: int = TERABYTE, tail: bytes = b"") -> None:
    """A file that says it has `size` bytes and takes none of them."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)
        if tail:
            file.seek(-len(tail), os.SEEK_END)
            file.write(tail)


def deflated_zeros(count: int) -> bytes:
    """`count` zero bytes, a thousandth of that packed: the same megabyte over and over."""
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    megabyte = engine.compress(bytes(1 << 20)) + engine.flush(zlib.Z_FULL_FLUSH)
    return megabyte * (count >> 20) + engine.flush()


def bomb(names: dict[str, int], told: int | None = None) -> bytes:
    """A zip whose entries are true to their word, or claim `told` bytes instead."""
    body, directory = b"", b""
    for name, size in names.items():
        data = deflated_zeros(size)
        full, crc = size if told is None else told, 0x12345678
        fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, crc, len(data), full, len(name), 0)
        directory += b"PK\x01\x02\x14\0" + fields + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name.encode()
        body += b"PK\x03\x04" + fields + name.encode() + data
    end = struct.pack("<HHHHIIH", 0, 0, len(names), len(names), len(directory), len(body), 0)
    return body + directory + b"PK\x05\x06" + end


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def nested(count: int) -> bytes:
    """A protocol buffer of `count` messages, each in the one before."""
    body = b""
    for _ in range(count):
        body = b"\x3a" + varint(len(body)) + body
    return body


GGUF = b"GGUF" + struct.pack("<I", 3)
MANY = 200_000
FILES: dict[str, Callable[[Path], object]] = {
    "length.safetensors": lambda path: path.write_bytes(struct.pack("<Q", TERABYTE) + b"{}"),
    "all_ones.safetensors": lambda path: path.write_bytes(b"\xff" * 16),
    "sparse.safetensors": lambda path: sparse(path, struct.pack("<Q", 99_000_000)),
    "sparse_tensors.safetensors": lambda path: sparse(path, SAFETENSORS),
    "deep.safetensors": lambda path: path.write_bytes(safetensors(b'{"a":' + b"[" * MANY, 0)),
    "digits.safetensors": lambda path: path.write_bytes(
        safetensors(b'{"a":{"dtype":"F32","shape":[' + b"9" * 4000 + b'],"data_offsets":[0,' + b"9" * 4000 + b"]}}", 8)
    ),
    "dimensions.safetensors": lambda path: path.write_bytes(
        safetensors(b'{"a":{"dtype":"F32","shape":[' + b",".join([b"9" * 4000] * 2000) + b'],"data_offsets":[0,8]}}', 8)
    ),
    "tensors.safetensors": lambda path: path.write_bytes(
        safetensors(
            json.dumps({str(n): {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in range(30_000)}).encode(),
            0,
        )
    ),
    "bomb.pth": lambda path: path.write_bytes(bomb({"m/data.pkl": 1 << 30, "m/data/0": 1 << 30})),
    "bomb_that_lies.pth": lambda path: path.write_bytes(bomb({"m/data.pkl": 1 << 30}, told=100)),
    "bomb.keras": lambda path: path.write_bytes(bomb({"config.json": 1 << 30, "model.weights.h5": 1 << 30})),
    "bomb_that_lies.keras": lambda path: path.write_bytes(bomb({"config.json": 1 << 30}, told=100)),
    "entries.pth": lambda path: path.write_bytes(packed({f"m/data/{n}": b"" for n in range(30_000)})),
    "directory.pth": lambda path: sparse(
        path, b"PK\x03\x04", tail=b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 9, 9, 0xFFFFFFF0, 5, 0)
    ),
    "opcodes.pth": lambda path: path.write_bytes(b"\x80\x02" + b"N0" * 1_000_000 + b"."),
    "marks.pt": lambda path: path.write_bytes(b"\x80\x02" + b"(" * 5_000_000 + b"."),
    "values.pkl": lambda path: path.write_bytes(b"\x80\x02" + b"K\x01" * 4_100_000 + b"."),
    "text.pkl": lambda path: path.write_bytes(b"\x80\x04\x8d" + struct.pack("<Q", TERABYTE) + b"x."),
    "frame.pkl": lambda path: path.write_bytes(b"\x80\x04\x95" + struct.pack("<Q", TERABYTE) + b"N."),
    "memo.pkl": lambda path: path.write_bytes(b"\x80\x02Nr\xff\xff\xff\xff."),
    "line.pkl": lambda path: sparse(path, b"\x80\x02V" + b"x" * 1000, 1 << 28),
    "laughs.pkl": lambda path: path.write_bytes(b"\x80\x02X\x01\0\0\0a" + b"2\x86" * 200_000 + b"."),
    "tar.pt": lambda path: path.write_bytes(_tar(b"N." * 400_000)),
    "long.pkl": lambda path: path.write_bytes(pickle.dumps(1 << 8_000_000)),
    "counts.gguf": lambda path: path.write_bytes(GGUF + struct.pack("<QQ", TERABYTE, TERABYTE)),
    "array.gguf": lambda path: path.write_bytes(
        GGUF + struct.pack("<QQ", 0, 1) + text(b"a") + struct.pack("<IIQ", 9, 4, 2**61)
    ),
    "strings.gguf": lambda path: sparse(
        path, GGUF + struct.pack("<QQ", 0, 1) + text(b"a") + struct.pack("<IIQ", 9, 8, 10**10)
    ),
    "key.gguf": lambda path: sparse(path, GGUF + struct.pack("<QQQ", 0, 1, TERABYTE)),
    "dimensions.gguf": lambda path: path.write_bytes(
        GGUF + struct.pack("<QQ", 1, 0) + text(b"a") + struct.pack("<IQQQQIQ", 4, *[2**64 - 1] * 4, 0, 0)
    ),
    "length.onnx": lambda path: path.write_bytes(b"\x3a" + varint(TERABYTE) + b"x"),
    "sparse.onnx": lambda path: sparse(path, b"\x08\x08\x3a" + varint(TERABYTE - 20)),
    "fields.onnx": lambda path: path.write_bytes(b"\x08\x01" * 2_000_000),
    "nested.onnx": lambda path: path.write_bytes(nested(3000)),
    "vectors.tflite": lambda path: path.write_bytes(struct.pack("<I4s", 8, b"TFL3") + b"\xff" * 400),
    "sparse.tflite": lambda path: sparse(path, struct.pack("<I4s", 2**31, b"TFL3")),
    "sparse.h5": lambda path: sparse(path, b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0\x04\0\x10\0" + b"\xff" * 80),
    "sparse.mlmodel": lambda path: sparse(path, b"\x08\x01\x12" + varint(TERABYTE - 20)),
    "deep.json": lambda path: path.write_bytes(b"[" * 5_000_000),
    "digits.json": lambda path: path.write_bytes(b'{"a": ' + b"9" * 5_000_000 + b"}"),
    "sparse.json": lambda path: sparse(path, b"{"),
    "zeros.bin": lambda path: sparse(path, b""),
    "packed.joblib": lambda path: path.write_bytes(zlib.compress(bytes(1 << 20)) * 50),
    "bomb.joblib": lambda path: path.write_bytes(b"\x78\xda" + deflated_zeros(1 << 30)),
    "dictionary.joblib": lambda path: path.write_bytes(b"\x5d\0\0\0\xff" + struct.pack("<q", -1) + bytes(40)),
    "pipe.safetensors": lambda path: os.mkfifo(path),
    "pipe.pth": lambda path: os.mkfifo(path),
    "device.pth": lambda path: path.symlink_to("/dev/zero"),
    "device.safetensors": lambda path: path.symlink_to("/dev/full"),
    "itself.safetensors": lambda path: path.symlink_to(path),
}
"""name -> what makes it. Of each the format's own reader, by its suffix, and classify's look."""


def _tar(body: bytes) -> bytes:
    header = bytearray(512)
    header[:8] = b"storages"
    header[124:136] = b"%011o\0" % len(body)
    header[257:262] = b"ustar"
    return bytes(header) + body + bytes(-len(body) % 512 + 1024)


def cheaply(work: Callable[[], object]) -> str:
    """What the work ended with, in a child with little memory and little time; fails where that was not enough."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)  # a hang: of what waits, no CPU time is counted
            limit_memory(MEMORY)
            used = resource.getrusage(resource.RUSAGE_SELF)
            resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU + 1,) * 2)
            answer = f"done: {work()!r}"[:200]
        except BaseException as error:
            answer = f"{type(error).__name__}: {''.join(traceback.format_exception(error))[-1500:]}"
        os.write(sender, answer.encode("utf-8", "replace"))
        os._exit(0)
    os.close(sender)
    with open(receiver, "rb") as stream:
        said = stream.read().decode()
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    assert ended == 0, f"ended by {signal.Signals(-ended).name}: too much time"
    assert "MemoryError" not in said, said
    return said


def read(path: Path) -> str:
    """Both levels; the reason where it is refused."""
    found = [form for form in FORMATS.values() if path.name.endswith(form.suffixes)]
    try:
        for form in found:
            form.read(path)
            if form.deep is not None:
                form.deep(path, lambda count: None)
    except ArtifactError as error:
        told(error)
        return error.reason
    except ERRORS as error:
        return type(error).__name__
    return "taken" if found else "no format"


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_cheap_to_verify(tmp_path: Path, name: str) -> None:
    """Its format's header and checksum level."""
    FILES[name](tmp_path / name)
    said = cheaply(lambda: read(tmp_path / name))
    assert said.startswith("done: "), said


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_cheap_to_look_at(tmp_path: Path, name: str) -> None:
    """The look of classify, inside a service that is in trouble already."""
    FILES[name](tmp_path / name)
    said = cheaply(lambda: look(str(tmp_path / name)))
    assert said.startswith("done: "), said


LOGS: dict[str, Callable[[Path], object]] = {
    "line.log": lambda path: path.write_bytes(b"error: no space left on device " * 100_000),
    "zeros.log": lambda path: sparse(path, b"", 1 << 27),
    "newlines.log": lambda path: path.write_bytes(b"\n" * 5_000_000),
    "returns.log": lambda path: path.write_bytes(b"CUDA out of memory\r" * 20_000),
    "failures.log": lambda path: path.write_bytes(b"MemoryError\n" * 20_000),
    "escapes.log": lambda path: path.write_bytes(b"\x1b[31m" * 1_000_000),
    "json.log": lambda path: path.write_bytes(b'{"log":' * 200_000),
    "json_text.log": lambda path: path.write_bytes(
        json.dumps({"log": "No such file or directory " * 100_000}).encode()
    ),
    "bomb.log.gz": lambda path: path.write_bytes(gzip.compress(bytes(1 << 20), 9) * 100),
    "bomb.log.bz2": lambda path: path.write_bytes(bz2.compress(bytes(64 << 20))),
    "bomb.log.xz": lambda path: path.write_bytes(lzma.compress(bytes(64 << 20))),
    "cut.log.gz": lambda path: path.write_bytes(gzip.compress(os.urandom(5000))[:3000]),
    "damaged.log.gz": lambda path: path.write_bytes(gzip.compress(b"MemoryError\n" * 99)[:14] + b"\xff" * 40),
    "folder.log": lambda path: path.mkdir(),
    "device.log": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_hostile_log_is_read_in_constant_memory(tmp_path: Path, name: str) -> None:
    """Lines without end, logs without lines, and what unpacks to a thousand times its size."""
    LOGS[name](tmp_path / name)

    def work() -> str:
        try:
            return analyze([str(tmp_path / name)]).reason
        except SourceError as error:
            return str(error)

    said = cheaply(work)
    assert said.startswith("done: "), said


def test_an_index_of_many_shards_is_cheap(tmp_path: Path) -> None:
    """Its shards are not there, and none of them is looked for outside of the folder."""
    entries = {f"t{number}": f"../../{number}.safetensors" for number in range(50_000)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": entries}))
    said = cheaply(lambda: {path.parent for path in weight_files(tmp_path, "transformers")} == {tmp_path})
    assert said == "done: True"
    assert cheaply(lambda: look(str(tmp_path))).startswith("done: ")


def test_a_journal_of_a_terabyte_is_read_for_a_megabyte(tmp_path: Path) -> None:
    """A runaway writer costs the reader what a load may write, and no more."""
    sparse(tmp_path / "a.jsonl", b'{"event":"begin"', 1 << 40)

    def work() -> int:
        tail = Tail(str(tmp_path), "a.jsonl")
        return tail.read()[0]

    assert cheaply(work) == "done: 0"


def test_a_config_that_expands_without_end_is_refused(tmp_path: Path) -> None:
    """Aliases of aliases: a billion values in a kilobyte."""
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (tmp_path / "c.yml").write_text("\n".join(rows))

    def work() -> str:
        try:
            load_config(str(tmp_path / "c.yml"))
        except ConfigError as error:
            return str(error)
        return "taken"

    said = cheaply(work)
    assert "values, aliases resolved" in said, said


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    (tmp_path / "saved/variables").mkdir(parents=True)
    return tmp_path / "saved"


@pytest.mark.parametrize(
    "name", ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]
)
def test_a_hostile_saved_model_is_cheap(saved_model: Path, name: str) -> None:
    """Each of its files as one of a terabyte."""
    (saved_model / "saved_model.pb").write_bytes(b"\x08\x01")
    (saved_model / "variables/variables.index").write_bytes(b"")
    sparse(saved_model / name, b"\x08\x01\x12" + varint(TERABYTE - 20))

    def work() -> str:
        try:
            return FOLDER_FORMATS["saved_model"].read(saved_model).format
        except ERRORS as error:
            return str(error)

    said = cheaply(work)
    assert said.startswith("done: "), said
