"""The daemon with waits of a minute made short, and on request in a mount namespace of its own."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.daemon import Daemon, dispose

_CODE = """
import sys
from model_load_exporter import scout
from model_load_exporter.verification import launch, schedule
schedule.FIRST_SECONDS, schedule.AGAIN_SECONDS, schedule.SETTLE_SECONDS = 0.1, 0.5, 2.0
scout.LOOK_SECONDS, scout.FIRST_SECONDS, launch.GRACE_SECONDS = 0.3, 1.0, 0.5
from model_load_exporter.cli import main
sys.exit(main())
"""


@dataclass
class HurriedDaemon(Daemon):
    """mounts: True for a mount namespace of its own."""

    mounts: bool = False

    def command(self) -> list[str]:
        """The same arguments; the process is the daemon's, whatever goes before."""
        unshare = ["unshare", "--mount", "--propagation", "private"] if self.mounts else []
        return [*unshare, sys.executable, "-c", _CODE, *super().command()[1:]]


@contextlib.contextmanager
def hurried(folder: Path, config: str, *, mounts: bool = False) -> Iterator[HurriedDaemon]:
    """A hurried daemon that is ready; whatever is left of it goes at the end."""
    daemon = HurriedDaemon(folder, config, mounts=mounts)
    try:
        daemon.start()
        yield daemon
    finally:
        dispose(daemon.process)
