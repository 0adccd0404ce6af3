"""serve_health: starts the side process that answers the health addresses when the service cannot."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Collection

from model_load_exporter.instrument import log
from model_load_exporter.instrument.track import TARGET

_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from model_load_exporter.health.server import main; main(sys.argv[2])"
)
"""Under -I, which ignores PYTHONPATH: nothing of the service's start-up runs again in here."""
_BACKLOG = 128


class SideProcess:
    """What serve_health started. port: where it answers; None where it could not be started."""

    def __init__(self, process: subprocess.Popen[bytes] | None, port: int | None, alive: int) -> None:
        self.port = port
        self._process = process
        self._alive = alive

    def stop(self) -> None:
        """Ends it; it also ends by itself with the service."""
        if self._alive >= 0:
            os.close(self._alive)
            self._alive = -1
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)


def serve_health(
    port: int = 8081, host: str = "", models: Collection[str] = (), target: str | None = None
) -> SideProcess:
    """Answers /health, /health/live, /health/ready and /model/health on a port of its own, from a process of its own.

    It reads the journals that this process and its children write, so it answers while an import, a start-up or native
    code that holds the GIL blocks the service. Call it first, before the imports that take long. Several workers may
    each call it with the same port. models: without which the service is not ready. target: the service's name;
    without one, $MODEL_LOAD_EXPORTER_TARGET: the loads of all processes with that target are told, of any worker.
    Never raises: where it cannot be started, a line in the log says why, and `port` is None.
    """
    target = target if target is not None else os.environ.get(TARGET, "")
    try:
        return _start(port, host, list(models), target)
    except (OSError, ValueError, OverflowError) as error:
        log.warning("no health addresses on port %s: %s", port, error)
        return SideProcess(None, None, -1)


def _start(port: int, host: str, models: list[str], target: str) -> SideProcess:
    # Bound here, so that a port that is taken is told where somebody can see it.
    family = socket.AF_INET6 if ":" in host or (not host and socket.has_dualstack_ipv6()) else socket.AF_INET
    both = not host and family == socket.AF_INET6
    with socket.create_server(
        (host, port), family=family, backlog=_BACKLOG, reuse_port=True, dualstack_ipv6=both
    ) as listening:
        ours, theirs = os.pipe()
        try:
            settings = {
                "listen": listening.fileno(), "alive": ours, "service": os.getpid(), "target": target, "models": models,
            }  # fmt: skip
            package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
            process = subprocess.Popen(
                [sys.executable, "-I", "-c", _START, package, json.dumps(settings)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(listening.fileno(), ours),
            )
        except BaseException:
            os.close(theirs)
            raise
        finally:
            os.close(ours)
        return SideProcess(process, listening.getsockname()[1], theirs)
