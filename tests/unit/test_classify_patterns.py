"""Each wording of the table, said as its library says it."""

import re
import time
from pathlib import Path

import pytest

from model_load_exporter.classify import patterns
from model_load_exporter.reasons import REASONS

WORDINGS = Path(__file__).with_name("classify_wordings")
"""One file a branch of the tree of reasons; in each line a reason and what its library prints."""

LINES = [
    tuple(line.split(" | ", 1))
    for file in sorted(WORDINGS.glob("*.txt"))
    for line in file.read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize(("reason", "line"), LINES, ids=[f"{reason}-{at}" for at, (reason, _) in enumerate(LINES)])
def test_a_wording_gives_its_reason(reason: str, line: str) -> None:
    """A line that a library, runtime or kernel prints is given its reason by the table."""
    hit = patterns.search(line, log=True)
    assert hit is not None
    assert hit[0].reason == reason, hit[0]


def test_each_pattern_has_a_line_that_it_fits() -> None:
    """No row of the table is without an example of its own reason."""
    untested = [
        pattern
        for pattern in patterns.PATTERNS
        if not any(
            reason == pattern.reason and patterns.fits(pattern, line, line.lower()) is not None
            for reason, line in LINES
        )
    ]
    assert untested == []


def test_each_row_is_well_formed() -> None:
    """Reasons are of the closed set, needles stand in lower case, expressions compile, no row is there twice."""
    for pattern in patterns.PATTERNS:
        assert pattern.reason in REASONS, pattern
        assert pattern.needle == pattern.needle.lower() != "", pattern
        assert pattern.rank in (patterns.FAILED, patterns.LAST, patterns.VAGUE, patterns.PLAIN, patterns.EXACT), pattern
        re.compile(pattern.regex)
    rows = [(pattern.needle, pattern.regex) for pattern in patterns.PATTERNS]
    assert len(rows) == len(set(rows))


def test_no_expression_is_slow_on_a_hostile_line() -> None:
    """A line made of an expression's own words, over and over, costs no pattern more than a moment."""
    for pattern in patterns.PATTERNS:
        words = re.sub(r"\\[dwsSb]|[^\w .:']", " ", pattern.regex)
        line = (f"{pattern.needle} {words} " * 2000)[:2000]
        begun = time.process_time()
        patterns.fits(pattern, line, line.lower())
        patterns.fits(pattern, line + "error", line)
        assert time.process_time() - begun < 0.1, pattern
