"""Where one entry of a log ends: a message may go on in the lines below it, and the next entry is not part of it."""

from collections.abc import Sequence

from model_load_exporter.analysis import timestamps
from model_load_exporter.classify.patterns import compiled

_LEVEL = r"^\W{0,3}(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)\b"
_HEAD = 32


def rest(text: str, following: Sequence[str]) -> tuple[str, ...]:
    """The lines below that belong to the line's own entry.

    Servers that stamp every line of a message print the same head before each; then these lines belong together.
    """
    stamp = timestamps.parse(text)
    for number, line in enumerate(following):
        below = timestamps.parse(line)
        if below is not None:
            same = stamp is not None and below.kind == stamp.kind and abs(below.value - stamp.value) < 1
            if not same or _head(line) != _head(text):
                return tuple(following[:number])
        elif compiled(_LEVEL).search(line):
            return tuple(following[:number])
    return tuple(following)


def _head(text: str) -> str:
    """What a logger prints before each line, its numbers apart."""
    return compiled(r"\d+").sub("#", text[:_HEAD])[: _HEAD // 2]
