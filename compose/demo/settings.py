"""What `make demo` was asked for, and what is missing for it."""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from faults import KINDS
from translation import MODELS, wanted

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Settings:
    """One demo. Ports are of 127.0.0.1. models: names. fail: kind of the fault, None for none."""

    models: tuple[str, ...]
    models_dir: Path
    folder: Path
    python: Path
    service_port: int
    health_port: int
    exporter_port: int
    prometheus_port: int
    alertmanager_port: int
    monitoring: bool
    fail: str | None
    fail_model: str | None
    fail_seconds: float
    fail_once: bool
    fallback: bool
    memory: int

    def ports(self) -> dict[str, int]:
        """Flag to port, of all that will be listened on."""
        ports = {"--port": self.service_port, "--health-port": self.health_port, "--exporter-port": self.exporter_port}
        if self.monitoring:
            ports |= {"--prometheus-port": self.prometheus_port, "--alertmanager-port": self.alertmanager_port}
        return ports


def parse(arguments: list[str] | None = None) -> Settings:
    """The settings of a command line; ends the process with status 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="make demo",
        description="A translation service with three real models, the exporter that watches it, and, where they are "
        "installed, Prometheus and Alertmanager. Ctrl-C ends all.",
        epilog="Faults: " + "; ".join(f"{kind}: {what}" for kind, what in KINDS.items()),
    )
    add = parser.add_argument
    add("--models", default=",".join(MODELS), help="which to load (default: %(default)s)")
    add("--fail", choices=KINDS, help="a real fault in the load of a model")
    add("--fail-model", choices=MODELS, help="whose load fails (default: the first of --models)")
    add("--fail-seconds", type=float, default=20.0, help="how long `slow` and `gil` last (default: %(default)g)")
    add("--fail-once", action="store_true", help="only at the first start: the restart goes well")
    add("--no-fallback", dest="fallback", action="store_false", help="do not serve a failed model in bfloat16 instead")
    add("--memory", type=int, default=1024, metavar="MB", help="the service's limit under --fail oom (default: 1024)")
    add("--port", type=int, default=8000, help="of the service (default: %(default)d)")
    add("--health-port", type=int, default=8001, help="of its side process for health (default: %(default)d)")
    add("--exporter-port", type=int, default=9877, help="default: %(default)d")
    add("--prometheus-port", type=int, default=9090, help="default: %(default)d")
    add("--alertmanager-port", type=int, default=9093, help="default: %(default)d")
    add("--no-prometheus", dest="monitoring", action="store_false", help="without Prometheus and Alertmanager")
    add("--folder", type=Path, default=REPOSITORY / ".run" / "demo", help="logs and state (default: .run/demo)")
    add("--models-dir", type=Path, default=REPOSITORY / ".run" / "models", help="default: .run/models")
    add("--python", type=Path, default=REPOSITORY / ".venv-models" / "bin" / "python", help="the service's interpreter")
    given = parser.parse_args(arguments)
    try:
        names = tuple(model.name for model in wanted(given.models))
    except ValueError as error:
        parser.error(str(error).replace("DEMO_MODELS=", "--models "))
    if given.fail_model is not None and given.fail_model not in names:
        parser.error(f"--fail-model {given.fail_model}: it is not among --models {given.models}")
    return Settings(
        models=names, models_dir=given.models_dir.resolve(), folder=given.folder.resolve(),
        python=given.python.absolute(),  # a virtual environment's python is a link that must not be followed
        service_port=given.port, health_port=given.health_port, exporter_port=given.exporter_port,
        prometheus_port=given.prometheus_port, alertmanager_port=given.alertmanager_port, monitoring=given.monitoring,
        fail=given.fail, fail_model=given.fail_model, fail_seconds=given.fail_seconds, fail_once=given.fail_once,
        fallback=given.fallback, memory=given.memory << 20,
    )  # fmt: skip


def missing(settings: Settings) -> list[str]:
    """What keeps the demo from starting, a sentence each."""
    found = []
    if not settings.python.exists():
        found.append(f"There is no {settings.python}: `make demo` builds it, or name one with --python.")
    elif lacking := _lacking(settings.python):
        found.append(f"{settings.python} lacks {lacking}: run scripts/setup models and scripts/setup servers.")
    for name in settings.models:
        folder = settings.models_dir / MODELS[name].folder
        if not folder.is_dir():
            found.append(f"There is no {folder}: `make demo` builds it, or name another place with --models-dir.")
    for flag, port in settings.ports().items():
        if _taken(port):
            found.append(f"Port {port} is in use: end that program, or name another port with {flag}.")
    return found


def prometheus_program() -> str | None:
    """The path of Prometheus, where it is installed."""
    return shutil.which("prometheus")


def alertmanager_program() -> str | None:
    """The path of Alertmanager; Debian gives it another name."""
    return shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")


def _lacking(python: Path) -> str:
    needed = "torch", "transformers", "sentencepiece", "starlette", "uvicorn"
    code = "import sys, importlib.util as u; print(*[n for n in sys.argv[1:] if u.find_spec(n) is None], sep=', ')"
    done = subprocess.run([python, "-c", code, *needed], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "a Python that starts"


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
