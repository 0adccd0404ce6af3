"""What a line must hold before a row of a table can fit it: texts that are searched for at gigabytes a second.

A row's needle alone is often a poor guide: "401" stands in every tenth line of an access log. Where the row's regex
demands something longer ("401 client error", "status code: 401"), that is searched for instead. Either way it is only
where to look: `fits()` then judges the line.
"""

import importlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple, Protocol

# Since Python 3.11 the parser has no public name. It is looked up when called, and without it the needles serve.
_PARSER = "re._parser"
_MOST = 16
"""Literals of one row: more cost more than they save."""

# What a JSON writer may write in another way (\", \u003c, \/): not looked for, so that wrapped logs are found too.
_PLAIN = re.compile(r"[ !#-%(-*,\-.0-;=?-\[\]-_a-~]+")
_ENOUGH = 8
"""Letters of ASCII that are looked for in place of a longer text with others, which is written in several ways."""

_RARE = 14
"""A needle this long stands in few lines: its row's expression is not asked for more."""


class Row(Protocol):
    """A row of a table; `classify.patterns.Pattern` is one."""

    @property
    def needle(self) -> str:
        """Text that a line must hold, in any (ASCII) case."""

    @property
    def regex(self) -> str:
        """Confirms it, or ""."""


def literals(row: Row) -> tuple[bytes, ...]:
    """In lower case; at least one of them stands in each line that fits the row, in any ASCII case.

    Text outside ASCII is looked for as it is, capitalised and in capitals, and as JSON writes it in ASCII.

    Raises ValueError for a row with neither a needle nor a regex that demands a literal.
    """
    best = _plain([row.needle])
    if row.regex and _selectivity(best) < _RARE:
        best = max(best, _demanded(row.regex), key=_selectivity)
    if not _selectivity(best):
        raise ValueError(f"neither the needle {row.needle!r} nor the regex {row.regex!r} names text to look for")
    return tuple(text.encode().lower() for text in best)


def _selectivity(texts: Sequence[str]) -> int:
    return min((len(text) for text in texts), default=0)


def _plain(texts: Iterable[str]) -> tuple[str, ...]:
    """Of each text the longest run that every writer writes in one way, else all ways to write it."""
    return tuple(dict.fromkeys(way for text in texts for way in _ways(text)))


def _ways(text: str) -> Iterable[str]:
    run = max(_PLAIN.findall(text), key=len, default="")
    if len(run) >= _ENOUGH or text.isascii():
        return (run or text,)
    cases = (text, text.capitalize(), text.upper())
    return (*cases, *(json.dumps(case)[1:-1] for case in cases))


@lru_cache(maxsize=4096)
def _demanded(regex: str) -> tuple[str, ...]:
    try:
        parsed = importlib.import_module(_PARSER).parse(regex)
        return _sequence(parsed).demanded
    except (ImportError, AttributeError, TypeError, ValueError):
        return ()


class _Found(NamedTuple):
    """exact: all texts that the part matches, or None. demanded: texts of which one is in each match, or ()."""

    exact: frozenset[str] | None
    demanded: tuple[str, ...]


_NOTHING = _Found(None, ())
_EMPTY = frozenset({""})


def _sequence(items: Iterable[Any]) -> _Found:
    """Parts in a row: neighbours whose texts are all known are joined, and the most selective run is demanded."""
    whole = True
    run = _EMPTY
    choices: list[tuple[str, ...]] = []
    for operation, argument in items:
        part = _part(str(operation), argument)
        if part.exact is not None and len(part.exact) * len(run) <= _MOST:
            run = frozenset(left + right for left, right in product(run, part.exact))
            continue
        whole = False
        choices += (tuple(sorted(run)), part.demanded)
        run = part.exact if part.exact is not None else _EMPTY
    choices.append(tuple(sorted(run)))
    return _Found(run if whole else None, max((_plain(texts) for texts in choices), key=_selectivity))


def _part(operation: str, argument: Any) -> _Found:
    match operation:
        case "LITERAL":
            return _exact([argument])
        case "IN":
            single = all(str(kind) == "LITERAL" for kind, _ in argument)
            return _exact([code for _, code in argument]) if single and len(argument) <= _MOST else _NOTHING
        case "AT" | "ASSERT" | "ASSERT_NOT":
            return _Found(_EMPTY, ())
        case "SUBPATTERN":
            return _sequence(argument[-1])
        case "ATOMIC_GROUP":
            return _sequence(argument)
        case "BRANCH":
            return _either([_sequence(branch) for branch in argument[1]])
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            least, most, body = argument
            inner = _sequence(body)
            if most == 1 and least == 0:
                return _Found(inner.exact | _EMPTY if inner.exact is not None else None, ())
            return inner if least == most == 1 else _Found(None, inner.demanded if least else ())
    return _NOTHING  # any character, a category, a reference, or an operation of a later Python


def _exact(codes: Sequence[int]) -> _Found:
    if not all(code < 0x80 for code in codes):
        return _NOTHING  # its other case is not searched for
    texts = frozenset(chr(code).lower() for code in codes)
    return _Found(texts, tuple(sorted(texts)))


def _either(branches: Sequence[_Found]) -> _Found:
    exact: frozenset[str] | None = frozenset()
    for branch in branches:
        exact = exact | branch.exact if exact is not None and branch.exact is not None else None
    demanded = tuple(dict.fromkeys(text for branch in branches for text in branch.demanded))
    if not all(branch.demanded for branch in branches) or len(demanded) > _MOST:
        demanded = ()
    return _Found(exact if exact is not None and len(exact) <= _MOST else None, demanded)
