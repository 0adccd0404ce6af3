"""What a row of the table of wordings is, and how one is tried on a text."""

import re
from functools import lru_cache

EXACT = 3
"""Said in this one situation only: decides, at whatever depth it is found."""
PLAIN = 2
"""Says what happened, though a more exact line elsewhere may say why."""
VAGUE = 1
"""The top line of several different failures: believed when nothing else speaks."""
LAST = 0
"""The process's end rather than its cause."""
FAILED = -1
"""Something failed, and that is all."""


class Pattern:
    """One wording.

    reason: of the closed set. needle: lower-case text that must occur. regex: confirms it (case-sensitive), or "".
    libraries, versions: who says so, and in which releases ("" where all known ones do). rank: how far it is
    believed. log: only in logs, never in an exception's message. loud: counts in a line whose level says that nothing
    failed, since its speaker knows no better. note: why, where the wording does not tell.
    """

    # No dataclass: its generated methods alone would take a third of the import's budget of 3 ms.
    __slots__ = ("libraries", "log", "loud", "needle", "note", "rank", "reason", "regex", "versions")

    def __init__(
        self,
        reason: str,
        needle: str,
        regex: str = "",
        libraries: str = "",
        versions: str = "",
        rank: int = EXACT,
        log: bool = False,
        loud: bool = False,
        note: str = "",
    ) -> None:
        self.reason = reason
        self.needle = needle
        self.regex = regex
        self.libraries = libraries
        self.versions = versions
        self.rank = rank
        self.log = log
        self.loud = loud
        self.note = note

    def __repr__(self) -> str:
        return f"Pattern({self.reason!r}, {self.needle!r})"


def fits(pattern: Pattern, text: str, lower: str) -> int | None:
    """Where the pattern stands in the text (`lower` is the text in lower case), or None."""
    start = lower.find(pattern.needle)
    if start < 0:
        return None
    return start if not pattern.regex or compiled(pattern.regex).search(text) else None


@lru_cache(maxsize=1024)
def compiled(regex: str) -> re.Pattern[str]:
    """The expression, compiled at its first use: an import that compiled them all would slow every service's start."""
    return re.compile(regex)
