"""A reference output in a file: what `probe --write-reference` writes and `expect.similarity.reference` reads.

Unlike the baseline that the daemon records it can be reviewed, kept beside the model's files, and used on many hosts.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from model_load_exporter.canary.observed import numbers_of
from model_load_exporter.canary.result import SCHEMA, CanaryResult

_MOST_BYTES = 4 * 2**20


class ReferenceFileError(Exception):
    """The file is missing, unreadable or no reference; the message says which file and what to do."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The numbers of an output, and the input that it answers (None: the canary's own)."""

    input: str | None
    vector: tuple[float, ...]


def read_reference(file: str) -> Reference:
    """Reads it anew at each run, so that a new file counts from the next. Raises ReferenceFileError."""
    try:
        with Path(file).open("rb") as handle:
            data = json.loads(handle.read(_MOST_BYTES))
    except OSError as error:
        raise ReferenceFileError(f"{file}: {error.strerror}; write it with probe --write-reference") from None
    except (ValueError, RecursionError):
        data = None
    vector = numbers_of(data.get("vector")) if isinstance(data, dict) else None
    given = data.get("input") if isinstance(data, dict) else None
    if vector is None or not isinstance(given, str | None):
        raise ReferenceFileError(f"{file} is no reference; write it with probe --write-reference")
    return Reference(given, vector)


def write_reference(file: str, result: CanaryResult, given: str | None) -> None:
    """Writes the result's numbers whole or not at all, with what they are of. Raises OSError."""
    if result.vector is None:
        raise ValueError("the load gave no numbers")
    data = {
        "schema": SCHEMA,
        "model": result.model,
        "path": result.path,
        "written": result.started,
        "input": given,
        "parameters": result.parameters,
        "dtype": result.dtype,
        "quantization": result.quantization,
        "versions": dict(result.versions),
        "vector": list(result.vector),
    }
    hidden = f"{file}.{os.getpid()}.tmp"
    try:
        Path(hidden).write_text(json.dumps(data) + "\n")
        os.replace(hidden, file)
    except OSError:
        Path(hidden).unlink(missing_ok=True)
        raise
