"""A mount that hangs before the exporter starts: it starts, serves, reloads and ends all the same."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.daemon import Daemon, dispose
from support.http import request
from support.hung import hung_mount
from support.wait import until


@dataclass
class Namespaced(Daemon):
    """A daemon in the mount namespace of process `holder`."""

    holder: int = 0

    def command(self) -> list[str]:
        return ["nsenter", f"--mount=/proc/{self.holder}/ns/mnt", *super().command()]


@contextmanager
def namespace() -> Iterator[int]:
    """The pid of a process that does nothing, in a mount namespace of its own."""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo ready; read _"]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    try:
        if holder.stdout.readline() != b"ready\n":
            pytest.skip("no mount namespaces here")
        yield holder.pid
    finally:
        dispose(holder)


@pytest.mark.root
def test_everything_but_the_paths_on_it_goes_on(tmp_path: Path) -> None:
    dead, alive = tmp_path / "dead", tmp_path / "alive"
    dead.mkdir()
    alive.mkdir()
    (tmp_path / "link").symlink_to(alive)
    canary = "canary: {interval: 15m, timeout: 20s}, loader: torch"
    config = f"""
models:
  - {{name: hung, path: {dead}/one, verify: {{interval: 1h}}, {canary}}}
  - {{name: well, path: {tmp_path}/link, {canary}}}
cache_paths: [{dead}, {alive}]
"""
    with namespace() as holder, hung_mount(holder, dead):
        daemon = Namespaced(tmp_path, config, holder=holder)
        try:
            daemon.start()
            began = time.monotonic()
            assert len(daemon.series().all("model_host_cache_disk_size_bytes")) == 1
            assert time.monotonic() - began < 5
            assert daemon.get("/").status == 200
            until(lambda: "does its mount hang?" in daemon.log(), 10, "it says so")
            # One canary at a time: the one of the mount that hangs must not hold up the others.
            until(
                lambda: daemon.value("model_canary_success", model="well") is not None, 60,
                lambda: f"the other canary has run:\n{daemon.log()}",
            )  # fmt: skip
            daemon.config = config.replace("name: well", "name: renamed")
            daemon.command()
            assert daemon.get("/-/healthy").status == 200
            assert request(f"{daemon.url}/-/reload", method="POST", timeout=30).status == 200
            daemon.wait_for(0, "model_loaded", model="renamed")
            assert daemon.end() == 0
        finally:
            dispose(daemon.process)
