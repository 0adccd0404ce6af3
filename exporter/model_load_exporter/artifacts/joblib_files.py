"""joblib's files: a pickle with raw arrays in its midst, whole or compressed."""

from pathlib import Path

from model_load_exporter.artifacts.format import Format
from model_load_exporter.artifacts.pickles import deep, summary_of
from model_load_exporter.artifacts.summary import Summary


def read(path: Path) -> Summary:
    """One file. Raises ArtifactError, OSError."""
    return summary_of(path, "joblib")


FORMAT = Format("joblib", (".joblib",), read, deep=deep)
