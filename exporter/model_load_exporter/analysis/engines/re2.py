"""google-re2: one automaton for all literals."""

from collections.abc import Iterable, Sequence

import re2  # type: ignore[import-untyped]  # it ships no types

from model_load_exporter.analysis.engines import UNTOLD, Data, Hit

_MEMORY = 64 << 20
"""For each automaton. With the default of 8 MiB its cache is thrown away over and over."""


class Re2Engine:
    """See Engine."""

    def __init__(self, literals: Sequence[bytes]) -> None:
        options = re2.Options()
        options.case_sensitive = False
        options.encoding = re2.Options.Encoding.LATIN1
        options.never_capture = True
        options.max_mem = _MEMORY
        self._any = re2.compile(b"|".join(map(re2.escape, literals)), options)
        self._each = re2.Set.SearchSet(options)
        for literal in literals:
            self._each.Add(re2.escape(literal))
        self._each.Compile()

    def hits(self, data: Data, end: int) -> Sequence[Hit]:
        """See Engine."""
        return [(match.start(), UNTOLD) for match in self._any.finditer(data, 0, end)]

    def present(self, line: bytes) -> Iterable[int]:
        """See Engine."""
        found: list[int] | None = self._each.Match(line)
        return found or ()  # of an empty line it says None
