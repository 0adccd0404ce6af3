"""What libraries, runtimes and kernels say when a load fails: the one table of wordings.

    row.py       what a row is; EXACT, PLAIN, VAGUE, LAST, FAILED: how far a wording is believed
    files.py  memory.py  gpu.py  hub.py  process.py            the rows, one file a branch of the tree of reasons;
    remote_code.py  versions.py  packages.py  shapes.py  configuration.py    of the branch `fit`, one a reason
    signals.py   ends by a signal        platforms.py   what clouds, clusters and notebooks say of an end
    python.py    Python's own exceptions that tell no more than a name
    general.py   what errors of unknown libraries have in common: believed when no row above speaks

A pattern is tried on a line as Python prints an exception (`torch.OutOfMemoryError: CUDA out of memory. ...`) and on
a line of a log, so it may name the exception's type. `needle` is found first, in lower case; `regex` then confirms it
where the needle alone would also fit other texts. A new wording is a new row in its branch's file and its line in
tests/unit/classify_wordings/, quoted as the library says it; a wording that is also printed by loads that go on
needs its frightening line in tests/unit/test_classify_calm.py.
"""

from model_load_exporter.classify.patterns import (
    configuration,
    files,
    general,
    gpu,
    hub,
    memory,
    packages,
    platforms,
    process,
    python,
    remote_code,
    shapes,
    signals,
    versions,
)
from model_load_exporter.classify.patterns.row import EXACT, FAILED, LAST, PLAIN, VAGUE, Pattern, compiled, fits

__all__ = ["EXACT", "FAILED", "LAST", "PATTERNS", "PLAIN", "VAGUE", "Pattern", "compiled", "fits", "search"]

PATTERNS: tuple[Pattern, ...] = (
    *files.ROWS,
    *remote_code.ROWS,
    *versions.ROWS,
    *packages.ROWS,
    *shapes.ROWS,
    *configuration.ROWS,
    *memory.ROWS,
    *gpu.ROWS,
    *hub.ROWS,
    *process.ROWS,
    *signals.ROWS,
    *platforms.ROWS,
    *python.ROWS,
    *general.ROWS,
)
"""In the order of the tree of reasons; among equal ranks the first row that fits a text decides."""


def search(text: str, log: bool = False) -> tuple[Pattern, int] | None:
    """The pattern of the highest rank that fits the text and where its needle stands. `log` admits those of logs."""
    lower = text.lower()
    best: tuple[Pattern, int] | None = None
    for pattern in PATTERNS:
        if (pattern.log and not log) or (best is not None and pattern.rank <= best[0].rank):
            continue
        start = fits(pattern, text, lower)
        if start is not None:
            best = (pattern, start)
            if pattern.rank == EXACT:
                break
    return best
