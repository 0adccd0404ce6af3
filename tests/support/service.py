"""A service that loads models, as a process of its own: it does what it is told on standard input, line by line."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from model_load_exporter.witness import exit_status
from support.daemon import dispose

_PRELUDE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
"""


class Service:
    """A Python process that runs `code`, which says where it is by printing lines."""

    def __init__(
        self, code: str, spool: Path, *, python: str | Path = sys.executable, arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None, wrapper: Sequence[str] = (), log: Path | None = None,
    ) -> None:  # fmt: skip
        """wrapper: what goes before the interpreter on the command line. log: where standard error goes."""
        with open(log or os.devnull, "ab") as errors:
            self.process = subprocess.Popen(
                [*wrapper, str(python), "-u", "-c", _PRELUDE + code, *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0,
                env={**os.environ, "MODEL_LOAD_EXPORTER_SPOOL": str(spool), **(environment or {})},
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.process.pid

    def says(self, line: str, seconds: float = 20) -> None:
        """Waits for its next line of output, which must be this one."""
        assert self.read(seconds) == line

    def read(self, seconds: float = 20) -> str:
        """Its next line of output."""
        stream = self.process.stdout
        assert stream is not None
        if not select.select([stream], [], [], seconds)[0]:
            pytest.fail(f"the service says nothing within {seconds:g} s")
        return stream.readline().decode().rstrip("\n")

    def tell(self, line: str) -> None:
        """Writes a line to its standard input."""
        stream = self.process.stdin
        assert stream is not None
        stream.write(line.encode() + b"\n")
        stream.flush()

    def kill(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self.process.send_signal(number)

    def reap(self, seconds: float = 20) -> int:
        """Waits for its end as a supervisor does; its exit status, negative for a signal."""
        return self.process.wait(seconds)


@contextlib.contextmanager
def serving(code: str, spool: Path, **options: object) -> Iterator[Service]:
    """A service; whatever is left of it goes at the end."""
    service = Service(code, spool, **options)  # type: ignore[arg-type]  # handed on as they are
    try:
        yield service
    finally:
        dispose(service.process)


EXIT_STATUS_IS_TOLD = exit_status.supported()
"""False on older kernels: the exit status of another's child is to be had only until its parent has reaped it."""


_LOAD_ONCE = """
import json, sys
from model_load_exporter import track_load
for model, target, outcome in json.loads(sys.argv[1]):
    try:
        with track_load(model, target=target) as load, load.stage("weights"):
            if outcome != "loaded":
                raise {"failed": FileNotFoundError, "cancelled": KeyboardInterrupt}[outcome]("on purpose")
    except (FileNotFoundError, KeyboardInterrupt):
        pass
"""


def load_once(spool: Path, *loads: tuple[str, str, str]) -> None:
    """A service makes loads of (model, target, outcome) one after another and ends in good order.

    outcome: loaded, failed (file_missing) or cancelled.
    """
    subprocess.run(
        [sys.executable, "-c", _LOAD_ONCE, json.dumps(loads)],
        env={"MODEL_LOAD_EXPORTER_SPOOL": str(spool)}, check=True, timeout=30,
    )  # fmt: skip
