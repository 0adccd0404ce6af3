"""The standard library's engine: a log says the same words over and over, so its vocabulary is searched, not its text.

A block is turned into its set of words (runs of letters), which is many times smaller than the block. Only words that
were not seen before are searched for the words of the literals, and only literals whose words are all there are then
searched for in the block itself.
"""

import re
from collections.abc import Iterable, Sequence

from model_load_exporter.analysis.engines import Data, Hit

_LETTERS = bytes(byte if byte >= 0x80 or chr(byte).islower() else 0x20 for byte in bytes(range(0x100)).lower())
"""Letters in lower case, bytes outside ASCII as they are, all else a space."""

_WORD = re.compile(rb"[a-z\x80-\xff]{3,}")
"""Shorter ones are in every log."""

_WORDS_KEPT = 200_000
_BYTES_KEPT = 4 << 20
_PREFIX, _WORDLESS_PREFIX = 7, 2


class StdEngine:
    """See Engine."""

    def __init__(self, literals: Sequence[bytes]) -> None:
        self._literals = tuple(literals)
        self._words = [frozenset(_WORD.findall(literal)) for literal in literals]
        self._wordless = [index for index, words in enumerate(self._words) if not words]
        self._under: dict[bytes, list[int]] = {}
        """word -> the literals of which it is the longest word"""
        for index, words in enumerate(self._words):
            if words:
                self._under.setdefault(max(sorted(words), key=len), []).append(index)
        self._wanted = sorted(frozenset().union(*self._words))
        self._forget()

    def hits(self, data: Data, end: int) -> Sequence[Hit]:
        """See Engine."""
        text = bytes(memoryview(data)[:end])
        candidates = self._candidates(text)
        if not candidates:
            return ()
        lower = text.lower()
        found: list[Hit] = []
        for prefix, group in self._by_prefix(candidates).items():
            if len(group) > 1 and prefix not in lower:
                continue
            for index in group:
                literal = self._literals[index]
                at = lower.find(literal)
                while at >= 0:
                    found.append((at, index))
                    at = lower.find(literal, at + len(literal))
        found.sort()
        return found

    def present(self, line: bytes) -> Iterable[int]:
        """See Engine."""
        lower = line.lower()
        return [index for index in self._candidates(line) if self._literals[index] in lower]

    def _by_prefix(self, candidates: Sequence[int]) -> dict[bytes, list[int]]:
        """Literals that begin alike ("status 401", "status 403"): one search tells that none of them is there."""
        groups: dict[bytes, list[int]] = {}
        for index in candidates:
            literal = self._literals[index]
            groups.setdefault(literal[: _PREFIX if self._words[index] else _WORDLESS_PREFIX], []).append(index)
        return groups

    def _candidates(self, text: bytes) -> list[int]:
        """The literals whose words are all there."""
        words = set(text.translate(_LETTERS).split())
        if new := words - self._seen:
            if len(self._seen) > _WORDS_KEPT or self._bytes > _BYTES_KEPT:
                self._forget()
                new = words
            self._learn(new)
        there: set[bytes] = set()
        for word in words:
            if word in self._telling:
                there |= self._telling[word]
        under = (index for word in there for index in self._under.get(word, ()))
        return self._wordless + [index for index in under if self._words[index] <= there]

    def _forget(self) -> None:
        self._seen: set[bytes] = set()
        self._bytes = 0
        self._telling: dict[bytes, set[bytes]] = {}
        """word of the log -> the literals' words in it"""

    def _learn(self, new: set[bytes]) -> None:
        joined = b" ".join(new)
        for wanted in self._wanted:
            if wanted in joined:
                for word in new:
                    if wanted in word:
                        self._telling.setdefault(word, set()).add(wanted)
        self._seen |= new
        self._bytes += len(joined)
