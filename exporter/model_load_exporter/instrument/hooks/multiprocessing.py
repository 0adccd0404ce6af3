"""Processes that multiprocessing spawns (spawn, forkserver) are instrumented as their parent is.

They start as new interpreters and get what they need in a pickled dictionary, whose unknown keys they pass over. The
value that is added there does its work by being unpickled. It names only `exec` of the builtins, because a child whose
path lacks this package must start all the same.
"""

import builtins
from types import ModuleType
from typing import Any

from model_load_exporter.instrument import patch

_CODE = """
try:
    from model_load_exporter.instrument.auto import instrument
    instrument()
except Exception:
    pass
"""


class _Instrument:
    def __reduce__(self) -> tuple[Any, tuple[str, dict[str, Any]]]:
        return builtins.exec, (_CODE, {})


def _carry(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "model_load_exporter": _Instrument()}


def hook(module: ModuleType) -> None:
    """multiprocessing.spawn is there."""
    patch.replace_result(module, "get_preparation_data", _carry)
