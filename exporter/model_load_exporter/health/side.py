"""serve_health: starts the side process that answers the health addresses when the service cannot."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Collection

from model_load_exporter.health import kin
from model_load_exporter.health.sharing import listen
from model_load_exporter.instrument import log
from model_load_exporter.instrument.track import TARGET
from model_load_exporter.journal.spool import SpoolError, find_spool

_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from model_load_exporter.health.server import main; main(sys.argv[2])"
)
"""Under -I, which ignores PYTHONPATH: nothing of the service's start-up runs again in here."""


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
    port: int | str = 8081, host: str = "", models: Collection[str] | str = (), target: str | None = None
) -> SideProcess:
    """Answers /health, /health/live, /health/ready and /model/health on a port of its own, from a process of its own.

    It reads the journals that this process and its children write, so it answers while an import, a start-up or native
    code that holds the GIL blocks the service. Call it first, before the imports that take long. Ready only once a
    model is held. The workers of one server may each call it with the same port; a port of another service is refused.
    models: a name, or names, without which the service is not ready; without any, one model is enough. target: the
    service's name; without one, $MODEL_LOAD_EXPORTER_TARGET: the loads with that target of all workers of this server
    are told. Never raises: where it cannot be started, a line in the log says why, and `port` is None.
    """
    target = target if target is not None else os.environ.get(TARGET, "")
    try:
        side = _start(int(port), host, [models] if isinstance(models, str) else list(models), target)
    except (OSError, ValueError, OverflowError, TypeError) as error:
        log.warning("no health addresses on port %s: %s", port, error)
        return SideProcess(None, None, -1)
    try:
        find_spool()
    except (OSError, SpoolError) as error:
        log.warning("the health addresses on port %s say 503 until there is a spool: %s", side.port, error)
    return side


def _start(port: int, host: str, models: list[str], target: str) -> SideProcess:
    server = kin.server()
    with listen(host, port, server) as listening:
        ours, theirs = os.pipe()
        try:
            settings = {
                "listen": listening.fileno(), "alive": ours, "service": os.getpid(), "server": server,
                "target": target, "models": models,
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
