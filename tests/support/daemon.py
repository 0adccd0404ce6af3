"""The exporter as people run it: the installed command, as a process of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.http import Answer, answers, free_port, request
from support.wait import until

COMMAND = Path(sys.executable).with_name("model-load-exporter")
"""The console script of the environment that the tests run in."""

READY_SECONDS = 20.0


@dataclass
class Daemon:
    """One exporter with a spool and a state folder under `folder`; it may be ended and started again.

    flags: more of `serve`'s. config: text of the config file, None for none. environment: beside that of the tests.
    """

    folder: Path
    config: str | None = None
    flags: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def config_file(self) -> Path:
        return self.folder / "config.yml"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def log(self) -> str:
        """All that it wrote to standard output and error, over all its starts."""
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def command(self) -> list[str]:
        """The command line of a start."""
        command = [
            str(COMMAND), "serve", f"--web.listen-address=127.0.0.1:{self.port}",
            f"--spool.dir={self.spool}", f"--state.dir={self.state}",
        ]  # fmt: skip
        if self.config is not None:
            self.config_file.write_text(self.config)
            command.append(f"--config.file={self.config_file}")
        return [*command, *self.flags]

    def launch(self) -> None:
        """Starts it and waits for nothing."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.environment},
            )  # fmt: skip

    def start(self) -> None:
        """Starts it and waits until all that was in the spool is on record."""
        self.launch()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Waits for a start to be done; fails with the log where it never is."""

        def ready() -> bool:
            assert self.process is not None
            if self.process.poll() is not None:
                pytest.fail(f"the daemon ended with status {self.process.returncode}:\n{self.log()}")
            return answers(f"{self.url}/-/ready")

        until(ready, READY_SECONDS, lambda: f"the daemon is ready; its log:\n{self.log()}")

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 10) -> int:
        """Ends it by a signal; its exit status, negative for a signal."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        """GET of one of its pages."""
        return request(self.url + path, headers)

    def series(self) -> "Series":
        """All samples of one scrape."""
        answer = self.get("/metrics")
        assert answer.status == 200, answer.text
        return Series.parse(answer.text)

    def value(self, name: str, /, **labels: str) -> float | None:
        """The one sample of that name with these labels among its own; None where there is none."""
        return self.series().value(name, **labels)

    def wait_for(self, expected: float, name: str, /, **labels: str) -> None:
        """Waits until that sample has the value."""
        self.wait_within(10, expected, name, **labels)

    def wait_within(self, seconds: float, expected: float, name: str, /, **labels: str) -> None:
        """Waits so long at most until that sample has the value."""
        until(
            lambda: self.value(name, **labels) == expected,
            seconds,
            lambda: f"{name}{labels} is {expected}, but it is {self.value(name, **labels)}; log:\n{self.log()[-4000:]}",
        )


@dataclass(frozen=True)
class Series:
    """The samples of one scrape, by name and labels."""

    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def parse(cls, text: str) -> "Series":
        """From the text format. Fails on a series that is there twice."""
        samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in samples, f"{sample} is there twice"
                samples[key] = sample.value
        return cls(samples)

    def value(self, name: str, /, **labels: str) -> float | None:
        """The one sample of that name with these labels among its own; None where there is none."""
        found = self.all(name, **labels)
        assert len(found) <= 1, f"{name}{labels} is not one series: {found}"
        return next(iter(found.values()), None)

    def all(self, name: str, /, **labels: str) -> dict[frozenset[tuple[str, str]], float]:
        """Every sample of that name with these labels among its own, by all its labels."""
        wanted = labels.items()
        return {have: value for (n, have), value in self.samples.items() if n == name and wanted <= have}

    def sum(self, name: str, /, **labels: str) -> float:
        """Their sum."""
        return sum(self.all(name, **labels).values())

    def names(self) -> set[str]:
        """The names of all samples."""
        return {name for name, _ in self.samples}

    def lasting_counters(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """The counters that a restart must not set back: all but those of the exporter about itself."""
        return {
            key: value
            for key, value in self.samples.items()
            if key[0].endswith(("_total", "_count", "_sum", "_bucket"))
            and key[0].startswith("model_")
            and not key[0].startswith(("model_load_exporter_", "model_host_memory_pressure_"))
        }


@contextlib.contextmanager
def running(
    folder: Path, config: str | None = None, flags: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> Iterator[Daemon]:
    """A daemon that is ready; whatever is left of it goes at the end."""
    daemon = Daemon(folder, config, flags, environment or {})
    try:
        daemon.start()
        yield daemon
    finally:
        dispose(daemon.process)


def dispose(process: "subprocess.Popen[bytes] | None") -> None:
    """Ends a process that a test may have left, stopped ones too."""
    if process is None:
        return
    if process.poll() is None:
        process.kill()
    process.wait(10)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def refused(folder: Path, *flags: str, config: str | None = None) -> tuple[int, list[str], float]:
    """A start that ought to fail: (exit status, lines on standard error, seconds). Standard output stays empty."""
    daemon = Daemon(folder, config, flags)
    began = time.monotonic()
    done = subprocess.run(daemon.command(), capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines(), time.monotonic() - began
