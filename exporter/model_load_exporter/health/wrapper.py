"""What stands in an app's place: its attributes are the app's, whoever reads or sets them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

_OWN = "_health_"
"""What a wrapper's own attributes begin with: short names could be the app's, too."""

_COPYING = frozenset({"__copy__", "__deepcopy__", "__getnewargs__", "__getnewargs_ex__", "__setstate__"})
"""Asked by `copy` and `pickle`: the app's answer would make a copy of the app alone."""


class Wrapper:
    """The app by all but its call."""

    _health_inner: Any
    _health_models: tuple[str, ...]

    def __init__(self, app: Any, models: Collection[str] = ()) -> None:
        """models: without which the service is not ready; one name may come alone."""
        self._health_inner = app
        self._health_models = (models,) if isinstance(models, str) else tuple(models)

    def __getattr__(self, name: str) -> Any:
        # A copy in the making has no app yet: to look for one there would end in a RecursionError.
        if name.startswith(_OWN) or name in _COPYING:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._health_inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith(_OWN):
            super().__setattr__(name, value)
        else:
            setattr(self._health_inner, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._health_inner, name)
