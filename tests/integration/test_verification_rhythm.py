"""When files are verified: bad ones again soon, new ones not too soon, unchanged models in their own time."""

import contextlib
import subprocess
import time
from pathlib import Path

import pytest

from support.http import request
from support.hurried import HurriedDaemon, hurried
from support.models import flip_bit, model_folder
from support.wait import until


def verified(daemon: HurriedDaemon, model: str = "nllb") -> float:
    return daemon.value("model_artifact_verified_timestamp_seconds", model=model) or 0.0


def read(daemon: HurriedDaemon, model: str = "nllb") -> float:
    return daemon.value("model_artifact_checksum_timestamp_seconds", model=model) or 0.0


def test_a_repair_is_seen_before_the_interval_is_over(tmp_path: Path) -> None:
    """Bad files are looked at again soon, good ones once an hour."""
    model = model_folder(tmp_path / "nllb", manifest=True)
    flip_bit(model / "model.safetensors")
    config = f"models: [{{name: nllb, path: {model}, verify: {{interval: 1h, manifest: manifest.sha256}}}}]"
    with hurried(tmp_path, config) as daemon:
        daemon.wait_within(20, 0, "model_artifact_valid", model="nllb")
        flip_bit(model / "model.safetensors")
        daemon.wait_within(20, 1, "model_artifact_valid", model="nllb")


def test_bad_files_that_were_just_written_are_not_told(tmp_path: Path) -> None:
    """A copy under way is no damage: first the files must have been left alone for a while."""
    model = model_folder(tmp_path / "nllb")
    weights = model / "model.safetensors"
    whole = weights.read_bytes()
    config = f"models: [{{name: nllb, path: {model}, verify: {{interval: 10s}}}}]"
    with hurried(tmp_path, config) as daemon:
        until(lambda: verified(daemon), 10, "the files are verified")
        first, end = verified(daemon), time.monotonic() + 5
        size = 100
        while time.monotonic() < end:
            # A slow copy: each part younger than the time for which files must be left alone.
            weights.write_bytes(whole[:size])
            size = min(size + 10, len(whole) - 1)
            assert daemon.value("model_artifact_valid", model="nllb") == 1
        until(lambda: daemon.value("model_artifact_valid", model="nllb") == 0, 20, "it never ended, and is told")
        assert daemon.series().value("model_artifact_verified_timestamp_seconds") > weights.stat().st_mtime + 1.9
        assert verified(daemon) > first
        weights.write_bytes(whole)
        daemon.wait_within(20, 1, "model_artifact_valid", model="nllb")
        # Never seen in between, so the same contents as before: no change.
        assert daemon.value("model_artifact_changes_total", model="nllb") in (0, 2)


def test_a_reload_leaves_unchanged_models_their_rhythm(tmp_path: Path) -> None:
    """Another model's arrival makes nobody read anything again; a changed entry is looked at at once."""
    for name in ("nllb", "aya"):
        model_folder(tmp_path / name, manifest=True)
    one = f"{{name: nllb, path: {tmp_path}/nllb, verify: {{interval: 1h}}}}"
    other = f"{{name: aya, path: {tmp_path}/aya, verify: {{interval: 1h}}}}"
    with hurried(tmp_path, f"models: [{one}]") as daemon:
        until(lambda: read(daemon), 10, "the contents are read")
        before = verified(daemon), read(daemon)

        def reload(*models: str) -> None:
            daemon.config_file.write_text(f"models: [{', '.join(models)}]")
            assert request(f"{daemon.url}/-/reload", method="POST").status == 200

        reload(one, other)
        until(lambda: read(daemon, "aya"), 10, "the new model's contents are read")
        assert (verified(daemon), read(daemon)) == before
        reload(one.replace("1h", "2h"), other)
        until(lambda: verified(daemon) > before[0], 10, "the changed one is looked at")
        assert read(daemon) == before[1]
        reload(one.replace("interval: 1h", "manifest: manifest.sha256"), other)
        until(lambda: read(daemon) > before[1], 10, "another manifest is another verdict")


def test_a_restart_keeps_the_rhythm(tmp_path: Path) -> None:
    """What was read an hour ago need not be read because the exporter was updated."""
    model = model_folder(tmp_path / "nllb")
    other = model_folder(tmp_path / "aya")
    config = f"models: [{{name: nllb, path: {model}, verify: {{interval: 1h}}}}]"
    with hurried(tmp_path, config) as daemon:
        until(lambda: read(daemon), 10, "the contents are read")
        before = verified(daemon), read(daemon)
        daemon.end()
        daemon.config = config.replace("]", f", {{name: aya, path: {other}, verify: {{}}}}]")
        daemon.start()
        until(lambda: read(daemon, "aya"), 10, "another model's contents are read")
        assert (verified(daemon), read(daemon)) == before


def test_looks_go_on_while_contents_are_read(tmp_path: Path) -> None:
    """A model of hours of reading holds up nobody's look, not even its own."""
    large = model_folder(tmp_path / "large")
    with (large / "extra.bin").open("wb") as file:
        file.write(b"\x80\x02}.")
        file.truncate(60 << 20)
    small = model_folder(tmp_path / "small")
    config = f"""
models:
  - {{name: large, path: {large}, verify: {{interval: 1s, rate: 1MB}}}}
  - {{name: small, path: {small}, verify: {{interval: 1s}}}}
"""
    with hurried(tmp_path, config) as daemon:
        for model in ("large", "small"):
            until(lambda model=model: verified(daemon, model), 20, "looked at")  # type: ignore[misc]  # bound at once
        until(lambda: daemon.value("model_artifact_verification_in_progress", model="large"), 10, "it is being read")
        now = time.time()
        for model in ("large", "small"):
            until(lambda model=model: verified(daemon, model) > now + 2, 20, "looked at again")  # type: ignore[misc]
        assert read(daemon, "large") == 0
        assert daemon.value("model_artifact_verification_in_progress", model="large") == 1
        # A reload that drops the model ends its read.
        daemon.config_file.write_text(f"models: [{{name: small, path: {small}, verify: {{interval: 1s}}}}]")
        assert request(f"{daemon.url}/-/reload", method="POST").status == 200
        until(lambda: read(daemon, "small"), 20, "the next one's contents are read")


@pytest.mark.root
def test_a_full_disk_under_the_ledger(tmp_path: Path) -> None:
    """Verdicts go on in memory; once there is room they are kept for good."""
    model = model_folder(tmp_path / "nllb", manifest=True)
    state = tmp_path / "state"
    state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(state)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        config = f"models: [{{name: nllb, path: {model}, verify: {{interval: 1s, manifest: manifest.sha256}}}}]"
        with hurried(tmp_path, config) as daemon:
            until(lambda: read(daemon), 10, "the contents are read")
            filler = state / "filler"
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(b"x" * 4096):
                    pass
            until(lambda: "cannot write" in daemon.log(), 20, "the ledger says that it cannot write")
            flip_bit(model / "model.safetensors")
            daemon.wait_within(20, 0, "model_artifact_valid", model="nllb")
            filler.unlink()
            until(lambda: "The ledger cannot be written" not in daemon.get("/").text, 20, "it writes again")
            daemon.end()
            daemon.start()
            assert daemon.value("model_artifact_valid", model="nllb") == 0
            assert daemon.value("model_artifact_changes_total", model="nllb") == 1
    finally:
        subprocess.run(["umount", "-l", str(state)], check=True)
