"""model_artifact_*: the models' files as their last verification found them. Absent before the first one of a model."""

from collections.abc import Callable, Hashable, Iterable

from prometheus_client import Metric

from model_load_exporter.collectors.base import counter, gauge
from model_load_exporter.config import Config
from model_load_exporter.verification.launch import CAUSES
from model_load_exporter.verification.standing import FileStanding
from model_load_exporter.verification.standings import FileStandings


class ArtifactsCollector:
    """The files of the models that are verified (config: verify). Reads what is kept in memory, never the files."""

    name = "artifacts"
    blocking = False

    def __init__(self, standings: FileStandings, config: Callable[[], Config]) -> None:
        self._standings = standings
        self._config = config

    def version(self) -> Hashable:
        """Another value with each verification, and with another configuration."""
        return self._standings.version(), self._config().models

    def collect(self) -> Iterable[Metric]:
        """The families as they are now."""
        families = _Families()
        for model in sorted(self._config().models, key=lambda model: model.name):
            standing = self._standings.get(model.name)
            if standing is None or model.verify is None:
                continue
            labels = {"model": model.name}
            families.add("verification_interval_seconds", labels, model.verify.interval)
            if model.verify.level == "checksum":
                families.add("checksum_interval_seconds", labels, model.verify.checksum_interval)
            families.add("verification_in_progress", labels, int(self._standings.running(model.name)))
            families.add("verification_stuck", labels, int(self._standings.stuck(model.name)))
            for cause in CAUSES:
                families.add("verification_errors_total", {**labels, "cause": cause}, standing.errors.get(cause, 0))
            _verdict(families, labels, standing)
        return families.all()


def _verdict(families: "_Families", labels: dict[str, str], standing: FileStanding) -> None:
    if standing.verified is None:
        return
    now = {problem.reason for problem in standing.problems}
    families.add("valid", labels, int(standing.valid))
    for reason in sorted(now | set(standing.reasons)):
        families.add("problem", {**labels, "reason": reason}, int(reason in now))
    families.add("size_bytes", labels, standing.size)
    families.add("modified_timestamp_seconds", labels, standing.modified)
    families.add("verified_timestamp_seconds", labels, standing.verified)
    families.add("checksum_timestamp_seconds", labels, standing.checksummed)
    families.add("changed_timestamp_seconds", labels, standing.changed)
    families.add("changes_total", labels, standing.changes)


_HELP = {
    "valid": "1 if nothing is wrong with the model's files, as far as they were looked at.",
    "problem": "1 for each reason for which a file is bad now; 0 for reasons of the past.",
    "size_bytes": "Size of the model's files.",
    "modified_timestamp_seconds": "Latest modification of a file of the model.",
    "verified_timestamp_seconds": "When the files were last verified: names, sizes and headers, or more.",
    "checksum_timestamp_seconds": "When the contents of all files were last read.",
    "changed_timestamp_seconds": "When the last change of files was first seen; absent while there was none.",
    "changes_total": "Changes of the files' contents that verifications have seen.",
    "verification_interval_seconds": "How often the files are verified (config: verify.interval).",
    "checksum_interval_seconds": "How often the contents are read (config: verify.checksum_interval).",
    "verification_in_progress": "1 while a verification of the model's files is under way.",
    "verification_stuck": "1 while reads of the model's files hang, and no other is tried.",
    "verification_errors_total": "Verifications that came to no verdict, by cause.",
}


class _Families:
    """The families, made as a whole and filled model by model."""

    def __init__(self) -> None:
        self._families = {
            name: counter(f"model_artifact_{name.removesuffix('_total')}", text)
            if name.endswith("_total")
            else gauge(f"model_artifact_{name}", text)
            for name, text in _HELP.items()
        }

    def add(self, name: str, labels: dict[str, str], value: float | None) -> None:
        if value is not None:
            self._families[name].add_sample(f"model_artifact_{name}", labels, value)

    def all(self) -> list[Metric]:
        return [family for family in self._families.values() if family.samples]
