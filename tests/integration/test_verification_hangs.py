"""Verification on mounts that hang, and with children that are stopped or killed: all else goes on."""

import os
import signal
import time
from pathlib import Path

import pytest

from support.hung import children_of, hung_mount, state_of
from support.hurried import HurriedDaemon, hurried
from support.models import model_folder
from support.wait import until

VERIFY = "verify: {interval: 1s, timeout: 1s}"


def verifiers(daemon: HurriedDaemon) -> list[int]:
    """The verification processes of the daemon, ended ones that nobody reaped included."""
    found = []
    for pid in children_of(daemon.pid):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"verification.child" in command or state_of(pid) == "Z":
            found.append(pid)
    return found


@pytest.mark.root
def test_a_mount_that_hangs(tmp_path: Path) -> None:
    """The hanging mount costs a process or two in state D; the rest is verified, and all goes on afterwards."""
    dead, alive = tmp_path / "dead", model_folder(tmp_path / "alive" / "aya")
    for name in ("one", "two"):
        model_folder(dead / name)
    config = f"""
models:
  - {{name: one, path: {dead}/one, {VERIFY}}}
  - {{name: two, path: {dead}/two, {VERIFY}}}
  - {{name: aya, path: {alive}, {VERIFY}}}
"""
    with hurried(tmp_path, config, mounts=True) as daemon:
        for name in ("one", "two", "aya"):
            daemon.wait_for(1, "model_artifact_valid", model=name)
        with hung_mount(daemon.pid, dead):
            until(lambda: daemon.series().sum("model_artifact_verification_stuck") == 2, 20, "both are stuck")
            hung = [pid for pid in verifiers(daemon) if state_of(pid) == "D"]
            # A look, and the read that was under way beside it.
            assert len(hung) in (1, 2)
            verified = daemon.value("model_artifact_verified_timestamp_seconds", model="aya")
            until(
                lambda: (
                    (daemon.value("model_artifact_verified_timestamp_seconds", model="aya") or 0) > (verified or 0) + 3
                ),
                20,
                "the other model is verified again and again",
            )
            assert [pid for pid in verifiers(daemon) if state_of(pid) == "D"] == hung
            assert daemon.series().sum("model_artifact_verification_errors_total", cause="hung") == len(hung)
            assert daemon.log().count("cannot be ended") == len(hung)
            assert "Reads of the files hang" in daemon.get("/").text
            began = time.monotonic()
            assert daemon.get("/-/healthy").status == 200
            assert time.monotonic() - began < 1
            # What was known stays known.
            assert daemon.value("model_artifact_valid", model="one") == 1
        until(lambda: daemon.series().sum("model_artifact_verification_stuck") == 0, 20, "nothing is stuck any more")
        until(lambda: all(state_of(pid) != "Z" for pid in verifiers(daemon)), 10, "the one that hung is reaped")
        for name in ("one", "two"):
            now = time.time()
            until(
                lambda name=name, now=now: (
                    (daemon.value("model_artifact_verified_timestamp_seconds", model=name) or 0) > now
                ),  # type: ignore[misc]  # bound at once
                20,
                f"{name} is verified again",
            )
        assert daemon.end() == 0


@pytest.mark.root
def test_a_stop_while_a_mount_hangs(tmp_path: Path) -> None:
    """SIGTERM ends the daemon at once, though one of its processes cannot be ended."""
    dead = tmp_path / "dead"
    model_folder(dead / "one")
    # Collectors that look at the files themselves would hang too.
    with hurried(tmp_path, f"models: [{{name: one, path: {dead}/one, {VERIFY}}}]", mounts=True) as daemon:
        daemon.wait_for(1, "model_artifact_valid", model="one")
        with hung_mount(daemon.pid, dead):
            until(lambda: any(state_of(pid) == "D" for pid in children_of(daemon.pid)), 20, "its verification hangs")
            assert daemon.end() == 0


def test_a_child_that_is_stopped(tmp_path: Path) -> None:
    """A process that does nothing for the time limit is ended, counted and told; the next one comes to a verdict."""
    model = model_folder(tmp_path / "nllb")
    with hurried(tmp_path, f"models: [{{name: nllb, path: {model}, {VERIFY}}}]") as daemon:
        daemon.wait_for(1, "model_artifact_valid", model="nllb")
        stopped = until(lambda: verifiers(daemon), 20, "a verification runs")[0]
        os.kill(stopped, signal.SIGSTOP)
        until(
            lambda: daemon.series().sum("model_artifact_verification_errors_total", cause="stalled") == 1, 20, "ended"
        )
        assert state_of(stopped) == ""
        assert daemon.value("model_artifact_verification_stuck", model="nllb") == 0
        assert "nothing could be read for 1 s, and it was ended" in daemon.log()
        now = time.time()
        until(lambda: (daemon.value("model_artifact_verified_timestamp_seconds") or 0) > now, 20, "verified again")


def test_a_child_that_is_killed(tmp_path: Path) -> None:
    """A process that dies is no verdict: the files stay what they were, and the death is counted."""
    model = model_folder(tmp_path / "nllb")
    with hurried(tmp_path, f"models: [{{name: nllb, path: {model}, {VERIFY}}}]") as daemon:
        daemon.wait_for(1, "model_artifact_valid", model="nllb")
        os.kill(until(lambda: verifiers(daemon), 20, "a verification runs")[0], signal.SIGKILL)
        until(lambda: daemon.series().sum("model_artifact_verification_errors_total", cause="died") == 1, 20, "counted")
        assert daemon.value("model_artifact_valid", model="nllb") == 1
        assert "its process ended with signal 9" in daemon.log()


def test_the_daemons_death_ends_its_children(tmp_path: Path) -> None:
    """A verification does not outlive a daemon that was killed."""
    model = model_folder(tmp_path / "nllb")
    config = f"models: [{{name: nllb, path: {model}, verify: {{interval: 1s, rate: 1MB}}}}]"
    (model / "model.safetensors").write_bytes(b"")
    with (model / "pytorch_model.bin").open("wb") as file:
        file.truncate(100 << 20)
    with hurried(tmp_path, config) as daemon:
        child = until(lambda: verifiers(daemon), 20, "a verification runs")[0]
        daemon.end(signal.SIGKILL)
        until(lambda: state_of(child) in ("", "Z"), 10, "it is gone")


def test_priorities(tmp_path: Path) -> None:
    """A verification is last for the CPU and the disk and first for the OOM killer."""
    model = model_folder(tmp_path / "nllb")
    (model / "extra.safetensors").write_bytes((model / "model.safetensors").read_bytes() + bytes(8 << 20))
    config = f"models: [{{name: nllb, path: {model}, verify: {{interval: 1s, rate: 1MB}}}}]"
    with hurried(tmp_path, config) as daemon:

        def lowered() -> bool:
            for pid in verifiers(daemon):
                try:
                    score = Path(f"/proc/{pid}/oom_score_adj").read_text().strip()
                    nice = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16]
                    limits = Path(f"/proc/{pid}/limits").read_text()
                except OSError:
                    continue
                if (score, nice) == ("1000", "19"):
                    return "Max core file size        1 " in limits
            return False

        until(lowered, 20, "its priorities are lowered")
