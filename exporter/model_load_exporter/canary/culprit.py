"""Of a pickle that a loader refused: what the file itself imports, in the words of `verify`.

A loader names the first thing that it did not expect; the scan of the opcodes knows which of them run code.
"""

import os
from dataclasses import replace
from pathlib import Path

from model_load_exporter.canary.verdict import Verdict
from model_load_exporter.classify.exceptions import one_line


def with_culprit(verdict: Verdict, path: str) -> Verdict:
    """The verdict with the file's own word first, where a pickle at or below `path` runs code; else as it is.

    Nothing is unpickled. A scan reads the opcodes of every pickle there, ten seconds at most for each.
    """
    if verdict.reason != "unsafe_pickle":
        return verdict
    # Here: the daemon imports this module, and never the readers of formats.
    from model_load_exporter.artifacts.verify import verify

    try:
        found = verify([Path(os.path.abspath(path))], level="header")
    except (OSError, ValueError):  # the loader's own words stand
        return verdict
    for file in found.files:
        if file.reason == "unsafe_pickle":
            told = one_line(f"{file.path}: {file.detail} (told as: {verdict.message})")
            return replace(verdict, message=told)
    return verdict
