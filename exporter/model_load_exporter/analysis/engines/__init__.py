"""Finds literals in blocks of log: three engines with one answer, the fastest that is installed."""

from collections.abc import Iterable, Sequence
from typing import Protocol

Data = bytes | bytearray

Hit = tuple[int, int]
"""(an offset inside the occurrence, the index of the literal or UNTOLD)."""
UNTOLD = -1
"""Some literal: present() tells which."""


class EngineError(Exception):
    """An engine that is unknown, or whose package is missing: one line that says what to do."""


class Engine(Protocol):
    """Searches for a set of literals, given in ASCII lower case, in any ASCII case.

    It may find more than that (a caller judges each line itself), never less.
    """

    def __init__(self, literals: Sequence[bytes]) -> None: ...

    def hits(self, data: Data, end: int) -> Sequence[Hit]:
        """Where literals stand in data[:end], ascending: for each line that holds some, all of them, or UNTOLD."""

    def present(self, line: bytes) -> Iterable[int]:
        """The indices of the literals in the line, in any order, perhaps repeated."""


NAMES = ("hyperscan", "re2", "std")
"""Fastest first."""

_PACKAGES = {"hyperscan": "hyperscan", "re2": "google-re2"}


def engine(literals: Sequence[bytes], name: str | None = None) -> Engine:
    """The engine of that name, else the fastest that is installed and runs on this processor. Raises EngineError."""
    if name is not None:
        return _engine(name, literals)
    for each in NAMES[:-1]:
        try:
            return _engine(each, literals)
        except EngineError:
            continue
    return _engine(NAMES[-1], literals)


def _engine(name: str, literals: Sequence[bytes]) -> Engine:
    # Imported here: each has a package of its own, and most hosts have none of them.
    try:
        match name:
            case "hyperscan":
                from model_load_exporter.analysis.engines.hyperscan import HyperscanEngine

                return HyperscanEngine(literals)
            case "re2":
                from model_load_exporter.analysis.engines.re2 import Re2Engine

                return Re2Engine(literals)
            case "std":
                from model_load_exporter.analysis.engines.std import StdEngine

                return StdEngine(literals)
    except ImportError:
        package = _PACKAGES[name]
        raise EngineError(f"the engine {name} needs the package {package}: pip install {package}") from None
    raise EngineError(f"there is no engine {name!r}: use one of {', '.join(NAMES)}")
