"""`make demo`: the demo service, the exporter, Prometheus and Alertmanager as plain processes, with one clean stop.

Prints the addresses once they answer, and what to try. The service is started again when it dies, as compose does by
`restart: unless-stopped`. Ctrl-C, SIGTERM or SIGHUP end all: the service first, the exporter last, so that it sees how.
Exit status: 0 ended by one of these, 1 something is missing or ended by itself, 2 usage.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import stack
from asking import ask, status
from memory_limit import LimitedGroup, limited_group
from processes import NotReadyError, Program
from settings import Settings, missing, parse

_LONGEST_WAIT = 30.0
_FLUSH_SECONDS = 60


def say(line: str = "") -> None:
    """A line for the person at the terminal."""
    print(line, flush=True)


class Demo:
    """All that runs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.watched: list[Program] = []
        self.group: LimitedGroup | None = None
        self.service: Program | None = None
        self._restarts = 0
        self._told = ""

    def start(self) -> None:
        """Starts all, each when the one before answers. Raises NotReadyError."""
        settings = self.settings
        self._start(stack.exporter(settings), settings.exporter_port, "/-/ready")
        if settings.monitoring:
            alertmanager = stack.alertmanager(settings)
            if alertmanager is None:
                say("Alertmanager is not installed (scripts/setup tools does it): alerts are seen in Prometheus only.")
            else:
                self._start(alertmanager, settings.alertmanager_port, "/-/ready")
            prometheus = stack.prometheus(settings, alerts=alertmanager is not None)
            if prometheus is None:
                say("Prometheus is not installed (scripts/setup tools does it): no alerts; /metrics is all there is.")
            else:
                self._start(prometheus, settings.prometheus_port, "/-/ready")
        if settings.fail == "oom":
            self.group = limited_group(settings.memory)
            if self.group is None:
                say("No memory cgroup can be made here (it needs root): the load hits a limit of its own instead.")
        self.service = stack.service(settings, self.group)
        self.service.start()
        say(f"loading {', '.join(settings.models)}; logs are in {settings.folder}")

    def _start(self, program: Program, port: int, ready: str) -> None:
        program.start()
        self.watched.append(program)
        program.wait_for(f"http://127.0.0.1:{port}{ready}", _FLUSH_SECONDS)
        say(f"{program.name:<14}http://localhost:{port}/")

    def watch(self) -> None:
        """Tells each change of the service's health, and starts it again when it dies. Raises NotReadyError."""
        service = self.service
        if service is None:
            return
        while True:
            for program in self.watched:
                if program.ended is not None:
                    raise NotReadyError(f"{program.name} ended by {program.ended}: see {program.log}")
            if service.ended is not None:
                self._again(service)
            else:
                self._tell(self._health())
            time.sleep(0.2)

    def _again(self, service: Program) -> None:
        if service.process is not None and service.process.returncode == 1:
            raise NotReadyError(f"the service could not start: see {service.log}")
        wait = min(2.0**self._restarts, _LONGEST_WAIT)
        self._restarts += 1
        self._tell("")
        say(f"service died by {service.ended}; it starts again in {wait:.0f} s")
        ends = time.monotonic() + wait
        while time.monotonic() < ends:
            time.sleep(0.1)
        service.start()

    def _health(self) -> str:
        """loading, healthy or failed, and why."""
        url = f"http://127.0.0.1:{self.settings.service_port}/model/health"
        try:
            told = json.loads(ask(url).body or b"{}")
        except TimeoutError:
            return "does not answer"
        except (OSError, ValueError):
            return "does not answer" if self._told in ("loading", "healthy") else ""
        said = str(told.get("status", ""))
        if said == "failed":
            return f"failed: {told.get('model')}: {told.get('reason')}: {told.get('message')}"
        rows = told.get("models", [told])
        fallbacks = [f"{row['model']} by its fallback {row['fallback']}" for row in rows if row.get("fallback")]
        return ", ".join([said, *fallbacks])

    def _tell(self, health: str) -> None:
        if health == self._told:
            return
        self._told = health
        if health:
            side = status(f"http://127.0.0.1:{self.settings.health_port}/health/live")
            where = f"; the side process on port {self.settings.health_port} does" if side == 200 else ""
            say(f"service is {health}" if health != "does not answer" else f"service {health}{where}")
        if health.startswith("healthy"):
            self._restarts = 0
            say(advice(self.settings))

    def stop(self) -> None:
        """Ends all in order."""
        for program in [*([self.service] if self.service else []), *reversed(self.watched)]:
            program.stop()
        if self.group is not None:
            self.group.remove()


def advice(settings: Settings) -> str:
    """What to try, as lines that can be copied."""
    service, exporter = f"http://localhost:{settings.service_port}", f"http://localhost:{settings.exporter_port}"
    texts = {"nllb": "Hello, world.", "aya": "The server has", "minilm": "The model is loaded."}
    lines = ["", "Try:"]
    for name in settings.models:
        body = shlex.quote(json.dumps({"model": name, "text": texts[name]}))
        lines.append(f"  curl -s {service}/model/inference -d {body}")
    lines += [
        f"  curl -s {service}/model/health",
        f"  curl -s {exporter}/metrics | grep model_load_last_duration_seconds",
        f"Status page: {exporter}/   A fault: .venv/bin/python compose/demo/run.py --fail corrupted   Ctrl-C ends it.",
        "",
    ]
    return "\n".join(lines)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # A second Ctrl-C while all is being ended would leave something behind.
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Exit status: 0, 1, 2 as above."""
    settings = parse()
    problems = missing(settings)
    if problems:
        print(*(f"demo: {problem}" for problem in problems), sep="\n", file=sys.stderr)
        return 1
    settings.folder.mkdir(parents=True, exist_ok=True)
    Path(settings.folder / "failed-once").unlink(missing_ok=True)
    demo = Demo(settings)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        demo.start()
        demo.watch()
    except KeyboardInterrupt:
        say("ending all")
        return 0
    except NotReadyError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        demo.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
