"""What classify says of a line, and whether the line's speaker gave up or goes on."""

import re

from model_load_exporter.analysis import entry
from model_load_exporter.analysis.following import shown
from model_load_exporter.analysis.scan import Line
from model_load_exporter.analysis.sign import CLIENT, END, Sign
from model_load_exporter.classify.patterns import compiled
from model_load_exporter.classify.text import Verdict, line_verdict

# Times, long numbers and ids; short numbers (an HTTP status, an error number) may decide.
_CHANGING = re.compile(r"\d\d:\d\d:\d\d(?:[.,]\d+)?|\b[0-9a-f]{8,}\b|\d{4,}|\b0x[0-9a-f]+")

# The speaker has another way: what fails after it is what counts.
_GOES_ON = (
    r"(?i)\bfall(?:s|ing)? ?back\b|\bfallback to\b|\bretrying\b|\bwill retry\b|\btrying again\b|\bskipping\b|"
    r"\bignor(?:ed|ing)\b|\bwill ignore\b|\bdefaulting to\b|\bcontinuing without\b|\bproceeding without\b|"
    r"\busing \S+ instead\b|\bCannot import \S.* module for custom nodes:|"
    r"\b[Aa]ttempt \d+(?: of |/)\d+ failed"
)
_WARNING = r"(?:^|[\s\[(:|\"])(?:WARN|WARNING|warn|warning)(?=[\s\]):|\"]|$)|(?:^\s*|\d: )W(?:\d{4})? \w"
# What is done without: the traceback below says why it was not found.
_WITHOUT = r"(?i)\b(?:will|would) not be (?:enabled|used|available|loaded|supported)\b|\bnon-fatal\b"
_UNRAISED = ("Traceback", "Exception ignored in")
_CAUGHT = "Error caught was: "
_ALLOWED = "Do you wish to run the custom code? [y/N] y"
_GAVE_UP = r"(?i)no (?:more )?retr|retries exceeded|giving up|not retrying|cannot be ignored"


class Judge:
    """classify's verdicts, remembered: a log says the same again and again, with another time and other numbers."""

    _KEPT = 512

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Verdict | None] = {}

    def __call__(self, line: Line) -> Verdict | None:
        """What classify says of the line and of what belongs to it below."""
        text, following = line.text, entry.rest(line.text, line.following)
        key = tuple(_CHANGING.sub("#", one) for one in (text, *following))
        if key not in self._known:
            if len(self._known) >= self._KEPT:
                self._known.clear()
            self._known[key] = line_verdict(text, following)
        return self._known[key]


def goes_on(line: Line) -> bool:
    """Whether the line, or one just below it that is no traceback, says that the speaker has another way."""
    near = " ".join((line.text, *(text for text in line.following[:2] if not text.startswith((" ", *_UNRAISED)))))
    if any(_ALLOWED in text for text in line.following):
        return True
    return compiled(_GOES_ON).search(near) is not None and compiled(_GAVE_UP).search(near) is None


def heads_traceback(line: Line) -> bool:
    """Whether a traceback begins here or just below, and is not another one than a warning's that named its error."""
    near = (line.text, *line.following[:2])
    return any("Traceback (most" in text for text in near) and not any(_CAUGHT in text for text in near)


def is_warned(line: Line) -> bool:
    """Whether the line, or one of those just above it, is a warning's: a traceback below one is no failure."""
    above = [text for raw in line.above for text in shown(raw)[-1:]]
    if above and _CAUGHT in above[0]:
        return False  # the warning has named its error already
    near = (line.text, *above)
    return any(
        ("warn" in text.lower() and compiled(_WARNING).search(text) is not None)
        or compiled(_WITHOUT).search(text) is not None
        for text in near
    )


def outweighs(told: Sign | None, verdict: Verdict) -> bool:
    """Whether a sign says more of its line than classify does."""
    if told is None or told.role not in (END, CLIENT):
        return False
    return told.rank > verdict[1] or (told.rank == verdict[1] and verdict[0] == "unknown")
