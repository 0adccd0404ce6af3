"""Everything the doctor looks at, one after another."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_load_exporter.artifacts.locate import hub_caches, locate, weight_files
from model_load_exporter.artifacts.predict import predict_memory
from model_load_exporter.config import Config
from model_load_exporter.doctor import compatibility, disk, evidence, gpu, limits, memory, rights
from model_load_exporter.doctor.finding import Finding
from model_load_exporter.doctor.inspection import InspectionError, Interpreter, inspect
from model_load_exporter.doctor.memory import Need


@dataclass(frozen=True, slots=True)
class Examination:
    """All findings, worst first within their order, and the interpreters that were looked at."""

    findings: tuple[Finding, ...]
    interpreters: tuple[Interpreter, ...]
    needs: tuple[Need, ...] = field(default=())

    @property
    def healthy(self) -> bool:
        """True where nothing has to be done."""
        return all(finding.severity == "fine" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The shape of `doctor --json`."""
        return {
            "schema": 1,
            "healthy": self.healthy,
            "interpreters": [
                {
                    "path": one.path,
                    "python": one.python,
                    "cuda": one.cuda or None,
                    "packages": {name: one.version(name) for name in compatibility.LOADING if one.version(name)},
                }
                for one in self.interpreters
            ],
            "findings": [
                {"severity": one.severity, "area": one.area, "what": one.what, "why": one.why, "fix": one.fix}
                for one in self.findings
            ],
        }  # fmt: skip


def examine(
    config: Config, pythons: Sequence[str] = (), user: str | None = None, procfs: str = "/proc", sysfs: str = "/sys",
    progress: Callable[[str], None] = lambda _: None,
) -> Examination:  # fmt: skip
    """Looks at everything. pythons: interpreters; without any, those of the config's canaries, else this one.

    user: the service's, whose rights are used to look at the files. Never raises for anything that is wrong here.
    """
    found: list[Finding] = []
    interpreters: list[Interpreter] = []
    for path in pythons or configured_pythons(config) or (sys.executable,):
        progress(f"packages of {path}")
        try:
            interpreter = inspect(path)
        except InspectionError as error:
            found.append(Finding(
                "problem", "packages", str(error), "a load under it cannot begin", "name the service's own: --python"
            ))  # fmt: skip
            continue
        interpreters.append(interpreter)
        named = bool(pythons or configured_pythons(config))
        found += compatibility.check(interpreter) if named else compatibility.check_own(interpreter)
    progress("models")
    needs = [need for model in config.models if model.path and (need := _need(model.name, model.path, model.loader))]
    paths = [str(path) for path in (*config.cache_paths, *hub_caches())]
    checks: tuple[tuple[str, Callable[[], list[Finding]]], ...] = (
        ("files", lambda: rights.check([(need.model, need.path) for need in needs] + _missing(config), user)),
        ("memory", lambda: memory.check(needs, procfs, sysfs)),
        ("GPU", lambda: gpu.check(interpreters, needs)),
        ("disks", lambda: disk.check([*paths, *(need.path for need in needs)], needs)),
        ("limits", lambda: limits.check(procfs)),
        ("evidence", lambda: evidence.check(procfs, sysfs)),
    )
    for name, check in checks:
        progress(name)
        found += check()
    order = {"problem": 0, "warning": 1, "fine": 2}
    return Examination(tuple(sorted(found, key=lambda one: order[one.severity])), tuple(interpreters), tuple(needs))


def configured_pythons(config: Config) -> tuple[str, ...]:
    """The interpreters that the canaries load under: the services' own."""
    return tuple(dict.fromkeys(m.canary.python for m in config.models if m.canary is not None and m.canary.python))


def _need(name: str, path: str, loader: str) -> Need | None:
    location = locate(path)
    if location is None:
        return None
    prediction = predict_memory(str(location.path), loader)
    try:
        files = weight_files(Path(location.path), loader)
        size = sum(file.stat().st_size for file in files) or None
    except OSError:
        size = None
    return Need(name, str(location.path), prediction.bytes if prediction is not None else None, size, size)


def _missing(config: Config) -> list[tuple[str, str]]:
    """Models whose path leads nowhere: what is wrong with it is for the look at the files to say."""
    return [(m.name, m.path) for m in config.models if m.path and m.path.startswith("/") and locate(m.path) is None]
