"""Inputs that fuzzing found, each once a crash: they stay refused."""

import contextlib
import struct
import zlib
from pathlib import Path

import pytest
from entries_daemon import TARGETS as DAEMON
from entries_files import FOLDER, FORMATS, of_format
from entries_text import TARGETS as TEXT

from model_load_exporter.artifacts.locate import locate, weight_files
from model_load_exporter.artifacts.summary import ArtifactError

_BY_NAME = {target.name: target for target in (*DAEMON, *TEXT)}


def gguf(*pairs: tuple[bytes, int, bytes]) -> bytes:
    """A header of keys alone: (key, type, value)."""

    def text(raw: bytes) -> bytes:
        return struct.pack("<Q", len(raw)) + raw

    keys = b"".join(text(key) + struct.pack("<I", kind) + value for key, kind, value in pairs)
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + keys + bytes(64)


@pytest.mark.parametrize(
    ("target", "data"),
    [
        ("procfs_cgroup", b"4:memory:/docker/\x80\n"),
        ("timestamps", b"9" * 60 + b"m  Warning  BackOff  pod/x  Back-off\n"),
        ("analyze", b"\x1f\x8b\x08\0\0\0\0\0\x02\xff" + b"\xff" * 40),
    ],
)
def test_it_is_taken_or_refused(target: str, data: bytes) -> None:
    """A cgroup whose name is no UTF-8; an age of 10^60 minutes; a damaged gzip that isal unpacks."""
    _BY_NAME[target].try_with(data)


@pytest.mark.parametrize(
    "pairs",
    [
        [(b"split.count", 4, struct.pack("<I", 3)), (b"split.no", 8, struct.pack("<Q", 3) + b"abc")],
        [(b"split.count", 4, struct.pack("<I", 3)), (b"split.no", 6, struct.pack("<f", float("inf")))],
    ],
)
def test_a_gguf_whose_number_is_none(pairs: list[tuple[bytes, int, bytes]]) -> None:
    """The place in a split as text, or as infinity."""
    with contextlib.suppress(ArtifactError):
        of_format(FORMATS["gguf"])(gguf(*pairs))


@pytest.mark.parametrize("name", ["", "..", ".", "/", "../.."])
def test_an_index_does_not_lead_out_of_its_folder(tmp_path: Path, name: str) -> None:
    """A shard named as the folder itself, or as one above."""
    (tmp_path / "model.safetensors.index.json").write_text(f'{{"weight_map": {{"a": "{name}"}}}}')
    assert all(
        path.parent == tmp_path and path.name not in ("", "..") for path in weight_files(tmp_path, "transformers")
    )


@pytest.mark.timeout(20)
@pytest.mark.parametrize("opcode", [b"V", b"c", b"I", b"P", b"i", b"p"])
def test_a_packed_pickle_whose_line_never_ends(opcode: bytes) -> None:
    """A stream tells no size: at its end there is nothing more to wait for. Once this never returned."""
    path = Path(FOLDER, "model.joblib")
    path.write_bytes(zlib.compress(b"\x80\x02N" + opcode + b"x" * 10))
    with pytest.raises(ArtifactError):
        FORMATS["joblib"].read(path)


@pytest.mark.parametrize("content", [b"\xd1\n", b"\0", b"..", b".", b"c" * 40 + b"/../.."])
def test_a_hub_cache_whose_reference_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """refs/main that is no text, or leads out of the snapshots."""
    repo = tmp_path / "models--org--model"
    (repo / "snapshots" / "a").mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs/main").write_bytes(content)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    found = locate("org/model")
    assert found is not None
    assert found.path == repo / "snapshots" / "a"
