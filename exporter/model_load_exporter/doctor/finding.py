"""One finding of the doctor: what is so, why it matters for a load, and the command that changes it."""

from dataclasses import dataclass

SEVERITIES = ("problem", "warning", "fine")
"""problem: a load will fail. warning: it may, or nobody would learn why. fine: looked at, nothing to do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """severity: one of SEVERITIES. area: what was looked at. what, why: a sentence each.

    fix: a command, or what to set; '' for fine. package: the package that does not fit, where it is one.
    """

    severity: str
    area: str
    what: str
    why: str = ""
    fix: str = ""
    package: str = ""


def fine(area: str, what: str) -> Finding:
    """Looked at, nothing to do."""
    return Finding("fine", area, what)
