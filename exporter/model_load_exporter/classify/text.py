"""The last lines of a child's standard error or a log to one reason."""

from collections.abc import Sequence

from model_load_exporter.classify import levels, patterns, tracebacks
from model_load_exporter.classify.exceptions import Classification, one_line
from model_load_exporter.classify.judge import Judgement, judge, looked_up

_LIMIT = 64 * 1024
_LINES = 600
_LINE = 2000
_FOLLOWING = 12

Verdict = tuple[str, int, str]
"""(reason, rank, message): of the closed set; as patterns ranks; the deciding line's words."""


def classify_text(text: str) -> Classification | None:
    """The reason that the text's last 64 KiB tell, with its deciding line; None where no failure is recognised.

    The most exact line decides, and among equals the first: what follows a cause is its consequences. Never raises.
    """
    try:
        return _classify_text(text)
    except Exception:  # see classify(): a second failure helps nobody
        return None


def line_verdict(text: str, following: Sequence[str] = ()) -> Verdict | None:
    """What one line of a log tells; None where it tells of no failure, or only warns of one. Never raises.

    following: the lines below it. An exception's message may go on there: torch tells what is wrong in the sixth line
    of its advice. Among several lines the highest rank decides, and among equals the first.
    """
    try:
        return _line_verdict(text[:_LINE], [line[:_LINE] for line in following[:_FOLLOWING]], patterns.PATTERNS)
    except Exception:  # as above
        return None


def _classify_text(text: str) -> Classification | None:
    lines = [line[:_LINE] for line in text[-_LIMIT:].splitlines()[-_LINES:]]
    lower = "\n".join(lines).lower()
    present = [pattern for pattern in patterns.PATTERNS if pattern.needle in lower]
    best: Verdict | None = None
    for number, line in _heard(lines):
        if best is not None and best[1] == patterns.EXACT:
            break
        verdict = _line_verdict(line, lines[number + 1 : number + 1 + _FOLLOWING], present)
        if verdict is not None and (best is None or verdict[1] > best[1]):
            best = verdict
    return Classification(best[0], best[2]) if best else None


def _heard(lines: list[str]) -> list[tuple[int, str]]:
    """The lines with their numbers, without the tracebacks that Python prints and ignores."""
    heard: list[tuple[int, str]] = []
    ignored = False
    for number, line in enumerate(lines):
        if levels.IGNORED in line:
            ignored = True
        elif not ignored:
            heard.append((number, line))
        elif tracebacks.parse_line(line) is not None:
            ignored = False
    return heard


def _line_verdict(line: str, following: Sequence[str], table: Sequence[patterns.Pattern]) -> Verdict | None:
    line = levels.said(line)
    if not line.strip():
        return None
    link = tracebacks.parse_line(line, following)
    harmless = levels.harmless(line, exception=link is not None)
    found: list[Verdict] = []
    lower = line.lower()
    for pattern in table:
        start = patterns.fits(pattern, line, lower) if pattern.loud or not harmless else None
        if start is not None:
            found.append((pattern.reason, pattern.rank, one_line(line, start)))
    if link is not None and not harmless:
        judged = judge(link) or Judgement("unknown", patterns.FAILED, link)
        found.append((judged.reason, judged.rank, one_line(line)))
    best = max(found, key=lambda verdict: verdict[1], default=None)
    if best is not None and best[1] > patterns.VAGUE and link is not None and looked_up(link):
        return best[0], patterns.VAGUE, best[2]  # what was raised then says more
    return best
