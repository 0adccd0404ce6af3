"""Asks an interpreter what is installed in it."""

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_load_exporter.doctor import interpreter

_SECONDS = 60
_OUTPUT = 64 * 2**20
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class InspectionError(Exception):
    """The interpreter could not be asked; the message is one line that says why."""


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package. requires: its requirements as it states them (PEP 508), extras among them."""

    name: str
    version: str
    requires_python: str | None = None
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interpreter:
    """One interpreter and what is installed in it. cuda: the toolkit that torch was built for, '' for a CPU build."""

    path: str
    python: str
    machine: str
    platform: str
    packages: dict[str, Package] = field(hash=False)
    cuda: str = ""
    rocm: str = ""

    def version(self, name: str) -> str:
        """A package's version; '' where it is not installed."""
        package = self.packages.get(name)
        return package.version if package is not None else ""


def inspect(path: str) -> Interpreter:
    """Runs interpreter.py under it; nothing of the service's is imported. Raises InspectionError."""
    # Absolute, not resolved: a virtual environment's python is a link to another's.
    path = os.path.abspath(path) if os.sep in path else path
    if not path or os.path.isdir(path):
        raise InspectionError(f"{path or 'an empty name'} is no interpreter but {'a folder' if path else 'nothing'}")
    file = str(Path(interpreter.__file__).resolve())
    try:
        done = subprocess.run(
            [path, "-I", file], capture_output=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL,
            env=_ENVIRONMENT, cwd="/",
        )  # fmt: skip
    except OSError as error:
        raise InspectionError(f"{path} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise InspectionError(f"{path} did not answer within {_SECONDS} s") from None
    if done.returncode != 0:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
        raise InspectionError(f"{path} is no Python 3.8 or newer: {last or f'it ended with status {done.returncode}'}")
    try:
        return _interpreter(path, json.loads(done.stdout[:_OUTPUT]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InspectionError(f"{path} is no Python 3.8 or newer: it answered something else") from None


def _interpreter(path: str, told: dict[str, Any]) -> Interpreter:
    packages = {
        name: Package(name, str(one["version"]), one.get("requires_python"), tuple(map(str, one["requires"])))
        for name, one in told["packages"].items()
    }
    torch = told.get("torch") or {}
    return Interpreter(
        path=path,
        python=str(told["python"]),
        machine=str(told["machine"]),
        platform=str(told["platform"]),
        packages=packages,
        cuda=str(torch.get("cuda") or ""),
        rocm=str(torch.get("hip") or ""),
    )
