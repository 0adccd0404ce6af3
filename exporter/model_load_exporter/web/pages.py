"""HTML pages: templates beside this file, escaped by default."""

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from model_load_exporter.units import format_size

if TYPE_CHECKING:
    from jinja2 import Environment


@lru_cache(maxsize=1)
def _environment() -> "Environment":
    # Here: pages are for people, and the daemon starts and is scraped without one.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("model_load_exporter.web"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["size"] = lambda value: "-" if value is None else format_size(value)
    environment.filters["seconds"] = seconds
    environment.filters["ago"] = ago
    return environment


def render(template: str, **values: Any) -> str:
    """The page."""
    return _environment().get_template(template).render(**values)


def seconds(value: float | None) -> str:
    """A duration for a person: 0.4 ms, 42 ms, 1.27 s, 12.3 s, 3 min 20 s, 2 h 5 min."""
    if value is None:
        return "-"
    if value < 0.01:
        return f"{value * 1000:.1f} ms"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 10:
        return f"{value:.2f} s"
    if value < 60:
        return f"{value:.1f} s"
    if value < 3600:
        return f"{int(value // 60)} min {int(value % 60)} s"
    if value < 2 * 86400:
        return f"{int(value // 3600)} h {int(value % 3600 // 60)} min"
    return f"{int(value // 86400)} days"


def ago(when: float | None) -> str:
    """A time for a person: `3 min 20 s ago`; `never` for 0 and None."""
    if not when:
        return "never"
    passed = max(0, round(time.time() - when))
    return f"{passed} s ago" if passed < 60 else f"{seconds(passed)} ago"
