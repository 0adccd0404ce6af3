"""Tells when one of some modules has been imported: a finder that lets the others find, and listens.

It costs a dictionary look-up an import. The module's own loader stays in place, so that whoever asks a module for its
loader, source or resources gets what there would be without us; only its `exec_module` is followed by the call.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

from model_load_exporter.instrument import log

TYPE_CHECKING = False  # typing itself would be most of what importing this costs a service
if TYPE_CHECKING:
    from typing import Any

Listener = Callable[[ModuleType], None]


class Finder:
    """For sys.meta_path. Finds nothing itself."""

    def __init__(self, listeners: dict[str, Listener]) -> None:
        self._listeners = listeners
        self._busy = threading.local()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec that the other finders have for a module that is listened for; None for every other."""
        if name not in self._listeners or getattr(self._busy, "name", None) == name:
            return None
        self._busy.name = name
        try:
            for finder in list(sys.meta_path):
                find = getattr(finder, "find_spec", None)
                spec: ModuleSpec | None = find(name, path, target) if find is not None and finder is not self else None
                if spec is not None:
                    self._listen(name, spec.loader)
                    return spec
        finally:
            self._busy.name = None
        return None

    def _listen(self, name: str, loader: Any) -> None:
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: ModuleType) -> None:
            execute(module)
            if module.__name__ == name:  # a loader may be one for many modules: a zip file's is
                self.tell(name, module)

        try:
            loader.exec_module = exec_module
        except (AttributeError, TypeError):
            log.trouble("%s cannot be hooked: its loader takes no attributes", name)

    def tell(self, name: str, module: ModuleType) -> None:
        """The module is there now."""
        listener = self._listeners.get(name)
        try:
            if listener is not None:
                listener(module)
        except Exception:
            log.trouble("%s is not hooked", name)


def listen(listeners: dict[str, Listener]) -> Finder:
    """From now on, each listener is called with its module when that is imported; at once where it is there already."""
    finder = Finder(listeners)
    sys.meta_path.insert(0, finder)
    for name in listeners:
        module = sys.modules.get(name)
        if module is not None:
            finder.tell(name, module)
    return finder


def silence(finder: Finder) -> None:
    """No listener is called any more."""
    finder._listeners.clear()
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)
