"""The last lines of a child's standard error or a log to one reason."""

from model_load_exporter.classify import patterns, tracebacks
from model_load_exporter.classify.exceptions import Classification, one_line
from model_load_exporter.classify.judge import Judgement, judge

_LIMIT = 64 * 1024
_LINES = 600
_LINE = 2000
_UNRECOGNISED = -1
"""The rank of an exception that nothing is known of: something failed, and that is all."""

# Of these levels nothing failed: a library that warns of a missing kernel goes on without it.
_HARMLESS = (
    r"(?:^|[\s\[(:|\"])(?:DEBUG|INFO|NOTICE|WARN|WARNING|debug|info|warn|warning)(?=[\s\]):|\"]|$)"
    r"|\b\w*Warning: |(?:^|\d: )[DIW](?:\d{4})? \w"
)

_Verdict = tuple[str, int, str]
"""(reason, rank, message)."""


def classify_text(text: str) -> Classification | None:
    """The reason that the text's last 64 KiB tell, with its deciding line; None where no failure is recognised.

    The most exact line decides, and among equals the first: what follows a cause is its consequences. Never raises.
    """
    try:
        return _classify_text(text)
    except Exception:  # see classify(): a second failure helps nobody
        return None


def _classify_text(text: str) -> Classification | None:
    lines = [line[:_LINE] for line in text[-_LIMIT:].splitlines()[-_LINES:]]
    lower = "\n".join(lines).lower()
    present = [pattern for pattern in patterns.PATTERNS if pattern.needle in lower]
    best: _Verdict | None = None
    for number, line in enumerate(lines):
        if best is not None and best[1] == patterns.EXACT:
            break
        if not line.strip() or _harmless(line):
            continue
        verdict = _verdict(line, lines, number, present)
        if verdict is not None and (best is None or verdict[1] > best[1]):
            best = verdict
    return Classification(best[0], best[2]) if best else None


def _verdict(line: str, lines: list[str], number: int, present: list[patterns.Pattern]) -> _Verdict | None:
    found: list[_Verdict] = []
    lower = line.lower()
    for pattern in present:
        start = patterns.fits(pattern, line, lower)
        if start is not None:
            found.append((pattern.reason, pattern.rank, one_line(line, start)))
    link = tracebacks.parse_line(line, lines, number)
    if link is not None:
        judged = judge(link) or Judgement("unknown", _UNRECOGNISED, link)
        found.append((judged.reason, judged.rank, one_line(line)))
    return max(found, key=lambda verdict: verdict[1], default=None)


def _harmless(line: str) -> bool:
    return patterns.compiled(_HARMLESS).search(line[:80]) is not None
