"""Model files verified by the real daemon: damage, repair, restart, models that come and go."""

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import Daemon, running
from support.http import request
from support.hurried import hurried
from support.models import flip_bit, model_folder, safetensors
from support.wait import until


def config_of(model: Path, more: str = "") -> str:
    return f"models: [{{name: nllb, path: {model}, verify: {{interval: 1s{more}}}}}]\n"


def files_of(daemon: Daemon, model: str = "nllb") -> dict[str, object]:
    (row,) = (row for row in json.loads(daemon.get("/api/v1/models").body)["models"] if row["model"] == model)
    return dict(row["files"])


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_flipped_bit(tmp_path: Path) -> None:
    """One flipped bit makes the files bad, with its reason and both checksums; repaired they are good; all is kept."""
    model = model_folder(tmp_path / "nllb", manifest=True)
    weights = model / "model.safetensors"
    good = sha256(weights)
    with running(tmp_path, config_of(model, ", manifest: manifest.sha256")) as daemon:
        daemon.wait_for(1, "model_artifact_valid", model="nllb")
        until(lambda: daemon.value("model_artifact_checksum_timestamp_seconds"), 10, "the contents are read")
        series = daemon.series()
        assert series.value("model_artifact_changes_total") == 0
        assert series.all("model_artifact_problem") == {}
        assert series.value("model_artifact_changed_timestamp_seconds") is None
        assert series.value("model_artifact_size_bytes") == sum(file.stat().st_size for file in model.iterdir())
        newest = max(file.stat().st_mtime for file in model.iterdir())
        assert series.value("model_artifact_modified_timestamp_seconds") == pytest.approx(newest)

        flip_bit(weights)
        bad = sha256(weights)
        daemon.wait_for(0, "model_artifact_valid", model="nllb")
        assert daemon.value("model_artifact_problem", model="nllb", reason="file_corrupted") == 1
        assert daemon.value("model_artifact_changes_total", model="nllb") == 1
        files = files_of(daemon)
        (event,) = files["events"]  # type: ignore[misc]  # JSON
        (change,) = event["files"]
        assert (change["path"], change["old"], change["new"]) == ("model.safetensors", good, bad)
        page = daemon.get("/").text
        assert "files bad" in page
        assert good[:12] in page
        assert bad[:12] in page
        assert f"the files of nllb changed: model.safetensors, sha256 {good} -> {bad}" in daemon.log()
        assert "the files of nllb are bad: model.safetensors, file_corrupted" in daemon.log()

        flip_bit(weights)
        daemon.wait_for(1, "model_artifact_valid", model="nllb")
        assert daemon.value("model_artifact_problem", model="nllb", reason="file_corrupted") == 0
        daemon.wait_for(2, "model_artifact_changes_total", model="nllb")
        before = daemon.series()

        daemon.end()
        daemon.start()
        after = daemon.series()
        for name in ("valid", "changes_total", "changed_timestamp_seconds", "size_bytes"):
            assert after.value(f"model_artifact_{name}") == before.value(f"model_artifact_{name}")
        daemon.end(signal.SIGKILL)
        daemon.start()
        assert daemon.value("model_artifact_changes_total", model="nllb") == 2
        assert len(files_of(daemon)["events"]) == 2  # type: ignore[arg-type]  # JSON


@pytest.mark.root
def test_damage_without_a_trace(tmp_path: Path) -> None:
    """A bit that flips on the disk itself, below all times and sizes, is found by the next read, without a manifest."""
    with disk(tmp_path) as mount:
        model = model_folder(mount / "nllb")
        weights = model / "model.safetensors"
        with hurried(tmp_path, config_of(model, ", checksum_interval: 2s")) as daemon:
            until(lambda: daemon.value("model_artifact_checksum_timestamp_seconds"), 10, "the contents are read")
            before, good = weights.stat(), sha256(weights)
            flip_bit_below(tmp_path / "disk", weights)
            assert (weights.stat(), sha256(weights) == good) == (before, False)
            daemon.wait_within(20, 0, "model_artifact_valid", model="nllb")
            assert daemon.value("model_artifact_problem", model="nllb", reason="file_corrupted") == 1
            assert f"nobody wrote it: size and times are those of before; its sha256 was {good}" in daemon.log()
            read = daemon.value("model_artifact_checksum_timestamp_seconds")
            until(lambda: daemon.value("model_artifact_checksum_timestamp_seconds") != read, 20, "read again")
            assert daemon.value("model_artifact_valid", model="nllb") == 0
            assert daemon.value("model_artifact_changes_total", model="nllb") == 1

            weights.write_bytes(safetensors())
            daemon.wait_within(20, 1, "model_artifact_valid", model="nllb")
            daemon.end()


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """A small ext4 on a loop device over `folder/disk`. Skips the test where none can be had."""
    image, mount = folder / "disk", folder / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    for command in (("mkfs.ext4", "-q", image), ("mount", "-o", "loop", image, mount)):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no loop device here: {done.stderr}")
    try:
        yield mount
    finally:
        subprocess.run(("umount", "-l", mount), check=True)


def flip_bit_below(image: Path, file: Path) -> None:
    """One bit of the file's last block, on the disk: no program wrote the file."""
    block = file.read_bytes()[-4096:]
    descriptor = os.open(file, os.O_RDWR)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    with image.open("r+b") as stream:
        data = stream.read()
        assert data.count(block[:64]) == 1
        at = data.index(block[:64])
        stream.seek(at)
        stream.write(bytes([data[at] ^ 1]))


def test_written_anew_with_the_same_bytes(tmp_path: Path) -> None:
    """A new file with other times and the same contents is read again, and is no change."""
    model = model_folder(tmp_path / "nllb")
    weights = model / "model.safetensors"
    with hurried(tmp_path, config_of(model)) as daemon:
        read = until(lambda: daemon.value("model_artifact_checksum_timestamp_seconds"), 10, "read once")
        shutil.copy(weights, tmp_path / "copy")
        os.replace(tmp_path / "copy", weights)
        until(lambda: daemon.value("model_artifact_checksum_timestamp_seconds") != read, 10, "read again")
        assert daemon.value("model_artifact_changes_total", model="nllb") == 0
        assert daemon.value("model_artifact_modified_timestamp_seconds") == pytest.approx(weights.stat().st_mtime)


def test_headers_only(tmp_path: Path) -> None:
    """Level header reads no contents, and takes another size or time for a change."""
    model = model_folder(tmp_path / "nllb")
    with hurried(tmp_path, config_of(model, ", level: header")) as daemon:
        daemon.wait_for(1, "model_artifact_valid", model="nllb")
        os.utime(model / "model.safetensors", (1, 1))
        daemon.wait_for(1, "model_artifact_changes_total", model="nllb")
        assert daemon.value("model_artifact_checksum_timestamp_seconds") is None
        assert daemon.value("model_artifact_checksum_interval_seconds") is None
        (model / "model.safetensors").write_bytes(b"")
        daemon.wait_for(0, "model_artifact_valid", model="nllb")
        assert daemon.value("model_artifact_problem", reason="file_empty") == 1


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    """A path without anything is bad for file_missing, and good once the files are there."""
    with hurried(tmp_path, config_of(tmp_path / "nllb")) as daemon:
        daemon.wait_for(0, "model_artifact_valid", model="nllb")
        assert daemon.value("model_artifact_problem", reason="file_missing") == 1
        model_folder(tmp_path / "nllb")
        daemon.wait_for(1, "model_artifact_valid", model="nllb")


def test_a_model_that_leaves_and_comes_back(tmp_path: Path) -> None:
    """Out of the configuration it has no series; back in it, its counters are those from before."""
    model = model_folder(tmp_path / "nllb")
    with hurried(tmp_path, config_of(model)) as daemon:
        until(lambda: daemon.value("model_artifact_checksum_timestamp_seconds"), 10, "read once")
        flip_bit(model / "model.safetensors")
        daemon.wait_for(1, "model_artifact_changes_total", model="nllb")
        daemon.config_file.write_text(f"models: [{{name: nllb, path: {model}}}]\n")
        assert request(f"{daemon.url}/-/reload", method="POST").status == 200
        # A scrape a moment after another is answered from the same run.
        until(lambda: not any(n.startswith("model_artifact_") for n in daemon.series().names()), 5, "its series go")
        daemon.config_file.write_text(config_of(model))
        assert request(f"{daemon.url}/-/reload", method="POST").status == 200
        daemon.wait_for(1, "model_artifact_changes_total", model="nllb")


def test_models_by_glob(tmp_path: Path) -> None:
    """Folders below a glob are models by their names; one that has a name of its own keeps it; odd ones are told."""
    models = tmp_path / "models"
    model_folder(models / "aya")
    model_folder(models / "nllb")
    model_folder(models / "bad\nname")
    (models / "README.md").write_text("no model")
    config = f"""
models:
  - {{name: nllb-200, path: {models}/nllb, verify: {{interval: 1s}}}}
  - {{path: "{models}/*", verify: {{interval: 1s}}, thresholds: {{load_seconds: 7}}}}
"""
    with hurried(tmp_path, config) as daemon:
        for name in ("aya", "nllb-200"):
            daemon.wait_for(1, "model_artifact_valid", model=name)
        series = daemon.series()
        assert len(series.all("model_artifact_valid")) == 2
        assert series.value("model_load_duration_threshold_seconds", model="aya") == 7
        assert series.value("model_load_duration_threshold_seconds", model="nllb-200") == 60
        assert len(re.findall(r"not taken: .*bad\\\\nname", daemon.log())) == 1
