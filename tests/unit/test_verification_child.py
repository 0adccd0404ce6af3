"""The two ends of the pipe: what the child says and sees, what the parent takes of it."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from model_load_exporter.verification.child import Pace
from model_load_exporter.verification.finding import MOST_FILES, Lines
from model_load_exporter.verification.mounts import mount_of
from model_load_exporter.verification.survey import survey
from support.models import model_folder

REPORT = {
    "event": "report", "level": "header", "stamp": "s", "size": 3, "modified": 1.5, "touched": 2, "settled": True,
    "count": 1,
}  # fmt: skip
FILE = {"event": "file", "path": "w", "ok": False, "reason": "file_empty", "detail": "d", "size": 0, "modified": 1}


def taken(*parts: bytes) -> Lines:
    lines = Lines()
    for part in parts:
        lines.take(part)
    return lines


def line(event: object) -> bytes:
    return json.dumps(event).encode() + b"\n"


def test_a_report_in_pieces() -> None:
    """Lines are put together however the pipe cuts them."""
    data = line({"event": "progress"}) + line(FILE) + line(REPORT)
    lines = taken(*(data[at : at + 7] for at in range(0, len(data), 7)))
    assert lines.finding is not None
    assert [(one.path, one.reason, one.size) for one in lines.finding.files] == [("w", "file_empty", 0)]
    assert lines.garbage == 0


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff\xfe\n", b"[]\n", b"7\n", b"{\n", b"[" * 5000 + b"\n", b"x" * 200_000 + b"\n", line({"event": "other"}),
        line({"event": "file"}), line({**REPORT, "level": "stat"}), line({**REPORT, "size": "much", "modified": []}),
        line({"event": "report"}), b'{"event": "report", "modified": NaN}\n', line({"event": "error"}),
    ],
    ids=lambda garbage: repr(garbage[:24]),
)  # fmt: skip
def test_garbage_on_the_pipe(garbage: bytes) -> None:
    """Whatever comes before and after, a report is taken, and no noise counts as a sign of life."""
    lines = Lines()
    if b'"much"' not in garbage:
        assert not lines.take(garbage)
    lines.take(garbage)
    assert lines.take(line(REPORT))
    finding = lines.finding
    lines.take(garbage)
    assert finding is not None
    assert (finding.size, finding.modified) == (3, 1.5)


def test_random_garbage() -> None:
    """Damaged lines end in a finding or in none, and in nothing else."""
    chance = random.Random(4)
    good = line(FILE) + line(REPORT)
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(4)] = chance.randbytes(chance.randrange(3))
        lines = taken(bytes(data))
        assert lines.finding is None or isinstance(lines.finding.size, int)


def test_an_unknown_reason_is_told_as_unknown() -> None:
    """Foreign text never becomes a label."""
    lines = taken(line({**FILE, "reason": 'x"} 1'}), line(REPORT))
    assert lines.finding is not None
    assert lines.finding.files[0].reason == "unknown"


def test_files_and_bytes_are_bounded() -> None:
    """A child that tells too many files is cut, one that never stops is a flood."""
    lines = taken(*(line({**FILE, "path": str(n)}) for n in range(MOST_FILES + 5)), line(REPORT))
    assert lines.finding is not None
    assert len(lines.finding.files) == MOST_FILES
    while not lines.flooded:
        lines.take(b"x" * 2**20)
    assert len(lines._rest) < 2**21


def test_the_daemon_does_not_load_the_verifier() -> None:
    """What reads files is imported by the child alone."""
    code = "import sys, model_load_exporter.daemon; print('model_load_exporter.artifacts.verify' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_pace() -> None:
    """Ten reads of a tenth of a second's worth take a second, with signs of life on the way; a burst is not made up."""
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1

    pace, began = Pace(1_000_000, tick), time.monotonic()
    for _ in range(10):
        pace(20_000)
    assert 0.19 < time.monotonic() - began < 2
    assert ticks >= 10


def test_survey_sees_what_matters(tmp_path: Path) -> None:
    """Another size, time, name, or a file in the place of an equal one is another stamp; a second look is the same."""
    model = model_folder(tmp_path / "m")
    weights = model / "model.safetensors"
    stamps = [survey(model, None).stamp]
    assert survey(model, None).stamp == stamps[0]
    steps = [
        lambda: os.utime(weights, (1, 1)),
        lambda: weights.rename(model / "other.safetensors"),
        lambda: (model / "sub").mkdir() or (model / "sub" / "x").write_text("x"),  # type: ignore[func-returns-value]  # None
    ]
    for step in steps:
        step()
        stamps.append(survey(model, None).stamp)
    twin = tmp_path / "twin"
    twin.write_bytes((model / "other.safetensors").read_bytes())
    state = (model / "other.safetensors").stat()
    os.utime(twin, ns=(state.st_atime_ns, state.st_mtime_ns))
    twin.rename(model / "other.safetensors")
    stamps.append(survey(model, None).stamp)
    stamps.append(survey(model, model / "manifest").stamp)
    assert len(set(stamps)) == len(stamps)


def test_survey_counts_each_file_once(tmp_path: Path) -> None:
    """Links of a hub's snapshot lead to blobs that are counted once; a link in a circle ends; hidden names are left."""
    blob = tmp_path / "blobs" / "abc"
    blob.parent.mkdir()
    blob.write_bytes(bytes(100))
    snapshot = tmp_path / "snapshots" / "r1"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    (snapshot / "circle").symlink_to("../..")
    (snapshot / ".lock").write_bytes(bytes(50))
    seen = survey(tmp_path, None)
    assert seen.size == 100
    assert seen.modified == pytest.approx(blob.stat().st_mtime)
    assert survey(snapshot / "model.safetensors", None).size == 100


def test_survey_of_nothing(tmp_path: Path) -> None:
    """A folder without a file, or none at all, has no times."""
    assert survey(tmp_path, None).touched is None
    assert survey(tmp_path / "none", None).modified is None


def test_mount_of(tmp_path: Path) -> None:
    """The deepest mount point above a path, by text alone; blanks in names are understood."""
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 0 8:1 / / rw - ext4 /dev/a rw\n"
        "2 1 0:40 / /models rw - nfs4 s:/m rw\n"
        "3 1 0:41 / /models/a\\040b rw - fuse x rw\n"
        "4 1 0:42 / /models2 rw - ext4 x rw\n"
    )
    paths = ("/models/nllb", "/models", "/models2/x", "/models/a b/c", "/etc", "org/name", "/models/../etc")
    expected = ["/models", "/models", "/models2", "/models/a b", "/", None, "/"]
    assert [mount_of(path, str(table)) for path in paths] == expected
    assert mount_of("/x", str(tmp_path / "none")) is None
