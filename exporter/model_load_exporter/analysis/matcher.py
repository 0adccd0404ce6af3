"""A table of rows, ready to be looked for."""

from collections.abc import Iterable, Sequence

from model_load_exporter.analysis.engines import UNTOLD, Data, Hit, engine
from model_load_exporter.analysis.literals import Row, literals
from model_load_exporter.classify import patterns

# No letter outside ASCII counts as one of ASCII, though without regard to case Python takes these four for one.
_NOT_ASCII = {ord(letter): "\ufffd" for letter in "\u0130\u0131\u017f\u212a"}


class Matcher:
    """Where rows may fit, and whether they do. Raises EngineError; ValueError for a row that names no text."""

    def __init__(self, table: Sequence[Row], name: str | None) -> None:
        self._table = tuple(table)
        under: dict[bytes, list[int]] = {}
        for index, row in enumerate(self._table):
            for literal in literals(row):
                under.setdefault(literal, []).append(index)
        self._rows = list(under.values())
        self._engine = engine(list(under), name)

    def hits(self, data: Data, end: int) -> Sequence[Hit]:
        """Where in data[:end] rows may fit, ascending."""
        return self._engine.hits(data, end)

    def candidates(self, line: bytes, hits: Iterable[int] | None = None) -> Sequence[int]:
        """The rows that may fit the line, ascending. hits: the literals that were found in it, if that is known."""
        found = set(self._engine.present(line) if hits is None else hits)
        if UNTOLD in found:
            found = set(self._engine.present(line))
        if len(found) == 1:
            return self._rows[found.pop()]
        return sorted({row for literal in found for row in self._rows[literal]})

    def fit(self, text: str, candidates: Sequence[int]) -> tuple[int, ...]:
        """Those of the candidates that fit the text, as patterns.fits() defines it."""
        if not text.isascii():
            text = text.translate(_NOT_ASCII)
        lower = text.lower()
        # Not by calling it: in a log where every line holds some literal, its calls are a third of all work.
        return tuple(
            [
                index
                for index in candidates
                if (row := self._table[index]).needle in lower
                and (not row.regex or patterns.compiled(row.regex).search(text) is not None)
            ]
        )
