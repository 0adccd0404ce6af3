"""instrument(): loads are witnessed without a change to the code that makes them.

It imports none of the libraries: each is hooked when the service imports it, or at once where it has already.
"""

import importlib
import os
import sys
import threading
from types import ModuleType

from model_load_exporter.instrument import imports, log, patch
from model_load_exporter.instrument.hooks.registry import HOOKS

DISABLE = "MODEL_LOAD_EXPORTER_DISABLE"
"""Hooks that stay out, by name, separated by commas; `all` for every one."""

_lock = threading.Lock()
_finder: imports.Finder | None = None


def instrument() -> None:
    """From now on, loads by the libraries that are installed are told to the journal, with their stages.

    Call it once, before or after the imports. A call more changes nothing. Never raises.
    """
    global _finder
    try:
        with _lock:
            if _finder is None and sys.platform == "linux":
                _finder = imports.listen({name: _hook(library) for name, library in _wanted().items()})
    except Exception:
        log.trouble("loads are not instrumented")


def uninstrument() -> None:
    """Undoes instrument(), for tests: the libraries' own functions are back."""
    global _finder
    with _lock:
        if _finder is not None:
            imports.silence(_finder)
            patch.revert()
            _finder = None


def _wanted() -> dict[str, str]:
    """Module to library of the hooks that are not switched off."""
    off = {name.strip() for name in os.environ.get(DISABLE, "").split(",")}
    unknown = off - set(HOOKS) - {"", "all"}
    if unknown:
        log.warning("%s names no hook: %s; there are: %s", DISABLE, ", ".join(sorted(unknown)), ", ".join(HOOKS))
    if "all" in off:
        return {}
    return {module: library for library, modules in HOOKS.items() if library not in off for module in modules}


def _hook(library: str) -> imports.Listener:
    def apply(module: ModuleType) -> None:
        hook = importlib.import_module(f"model_load_exporter.instrument.hooks.{library}")
        hook.hook(module)

    return apply
