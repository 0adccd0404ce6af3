"""The engines find what a plain reading of each line finds, on any mixture of wordings, noise and borders."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from model_load_exporter.analysis import blocks, engines
from model_load_exporter.analysis.literals import literals
from model_load_exporter.analysis.matcher import Matcher
from model_load_exporter.analysis.scan import FOLLOWING, scan
from model_load_exporter.classify import patterns
from model_load_exporter.classify.patterns import PATTERNS


class Wanted(NamedTuple):
    """A row of a table."""

    needle: str
    regex: str = ""


ODD = (
    Wanted("error"),
    Wanted("error", r"ERROR: \d+"),
    Wanted("ror: 4", r"(?i)error: 4\d4"),
    Wanted("größe x"),
    Wanted("已杀死"),
    Wanted('"quoted" <b>'),
    Wanted("aa"),
    Wanted("aaa", r"^aaa$"),
    Wanted("", r"(?i)kill|sink"),
    Wanted("401", r"(?i)\b401 (?:client|unauthorized)|status(?: code)?:? 401\b"),
)
"""Rows that overlap, stand in one another, have no needle, are not ASCII, or reach from one end to the other."""

TABLE = (*PATTERNS, *ODD)

words = st.one_of(
    st.sampled_from([row.needle for row in TABLE]),
    st.sampled_from([row.needle.upper() for row in TABLE]),
    st.sampled_from([row.needle.capitalize() for row in TABLE]),
    st.sampled_from([text.decode() for row in TABLE for text in literals(row)]),
    st.sampled_from(["\x1b[31m", "\x1b[0m", "\u017f", "\u212a", "\u0130", "ill", "…", "\udc80", "Error", "a", "{"]),
    st.text(max_size=5),
)
lines = st.tuples(
    st.sampled_from(["", " ", ": "]),
    st.lists(words, max_size=6),
    st.sampled_from(["\n", "\r\n", "\r", "\0", "\n\n", ""]),
)
logs = st.lists(lines, max_size=12).map(
    lambda some: "".join(joint.join(told) + end for joint, told, end in some).encode(errors="surrogateescape")
)


def said(log: bytes) -> list[tuple[int, str, tuple[int, ...], tuple[str, ...]]]:
    """(number, text, rows, following) of each text that fits, found by trying every row on every line."""
    while (plain := re.sub(rb"\x1b\[[0-?]*[ -/]*[@-~]", b"", log)) != log:
        log = plain
    physical = log.split(b"\n")
    if not physical[-1]:
        physical.pop()
    shown = [re.split(rb"[\r\0]", line.rstrip(b"\r\0"))[-1].decode(errors="replace") for line in physical]
    found = []
    for number, line in enumerate(physical, 1):
        for text in (part.decode(errors="replace") for part in re.split(rb"[\r\0]", line)):
            judged = re.sub("[\u0130\u0131\u017f\u212a]", "\ufffd", text)
            lower = judged.lower()
            rows = tuple(index for index, row in enumerate(TABLE) if patterns.fits(row, judged, lower) is not None)
            if rows:
                found.append((number, text, rows, tuple(shown[number : number + FOLLOWING])))
    return found


@pytest.fixture(scope="module", params=engines.NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """An engine; one that is not installed is left out."""
    chosen: str = request.param
    try:
        engines.engine([b"x"], chosen)
    except engines.EngineError as error:
        pytest.skip(str(error))
    return chosen


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs") / "any.log"


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=logs, chunk=st.sampled_from([1, 3, 64, 4096]))
@example(text=b"error: 404", chunk=1)
@example(text="\u017fink \u212aill sin\u212a kill".encode(), chunk=3)
@example(text=b"cuda \x1b[31mout\x1b[0m of memory\nx\r\n", chunk=3)
@example(text=b"aaa\raaa\naaaa\r\n\raaa", chunk=1)
def test_each_engine_finds_what_reading_each_line_finds(name: str, log: Path, text: bytes, chunk: int) -> None:
    """Same lines, texts, rows and following lines, wherever the blocks end."""
    log.write_bytes(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "CHUNK", chunk)
        found = list(scan([str(log)], TABLE, engine=name))
    assert [(line.number, line.text, line.rows, tuple(line.following)) for line in found] == said(text)


BY_REGEX = [row for row in TABLE if row.regex and row.needle.encode() not in literals(row)]


@pytest.mark.parametrize("row", BY_REGEX, ids=lambda row: f"{row.needle}:{row.regex[:20]}")
def test_what_a_regex_matches_holds_one_of_its_literals(row: Wanted) -> None:
    """Looking for a row's literals misses no text that its regex takes."""
    demanded = [text.decode() for text in literals(row)]
    matcher = Matcher([row], "std")

    @settings(max_examples=25, deadline=None)
    @given(st.from_regex(row.regex))
    def holds(text: str) -> None:
        line = text + row.needle
        if "\n" not in line and matcher.fit(line, [0]):
            assert any(text in line.lower() for text in demanded)

    holds()


def test_a_short_needle_gives_way_to_what_the_regex_demands() -> None:
    """Three digits stand in every tenth line of an access log; what the expression asks for does not."""
    demanded = literals(Wanted("401", r"(?i)\b401 (?:client error|unauthorized)|status(?: code)?:? 401\b"))
    assert b"status code: 401" in demanded
    assert b"401 unauthorized" in demanded
    assert min(map(len, demanded)) > 3


@pytest.mark.parametrize(
    ("regex", "expected"),
    [
        (r"", (b"needle",)),
        (r"\d+", (b"needle",)),
        (r"abcdefg|x", (b"needle",)),
        (r"abcdefg|hijklmn", (b"abcdefg", b"hijklmn")),
        (r"(?:abcdefg)?", (b"needle",)),
        (r"(?:abcdefg)+", (b"abcdefg",)),
        (r"abc[de]fgh", (b"abcdfgh", b"abcefgh")),
        (r"abc.{0,9}defghijk", (b"defghijk",)),
        (r"(?=lookahead)(?!lookahead)x", (b"needle",)),
        (r"(abcdefgh)\1", (b"abcdefgh",)),
        (r"abcdefgh<ijk", (b"abcdefgh",)),
        (r"ab\"cdefghi", (b"cdefghi",)),
        (r"straßen", (b"needle",)),
        (r"(?>abcdefgh)", (b"abcdefgh",)),
        (r"(?:abc){2}defghijk", (b"defghijk",)),
    ],
)
def test_the_literals_of_an_expression(regex: str, expected: tuple[bytes, ...]) -> None:
    """What every match must hold, or the needle where that says no more."""
    assert literals(Wanted("needle", regex)) == expected


def test_a_row_without_text_is_refused() -> None:
    """It would have to be tried on every line."""
    with pytest.raises(ValueError, match="names text to look for"):
        scan(["x"], [Wanted("", r"\d+")])


def test_an_unknown_engine_is_refused_before_anything_is_read() -> None:
    """The names to choose from are told."""
    with pytest.raises(engines.EngineError, match="use one of hyperscan, re2, std"):
        scan(["/nowhere"], TABLE, engine="grep")


def test_an_engine_whose_package_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And without a name the next one is taken."""
    for module in ("hyperscan", "re2"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
        monkeypatch.delitem(__import__("sys").modules, f"model_load_exporter.analysis.engines.{module}", raising=False)
    with pytest.raises(engines.EngineError, match="pip install google-re2"):
        engines.engine([b"x"], "re2")
    assert type(engines.engine([b"x"])).__name__ == "StdEngine"


def test_the_standard_engine_forgets_words_before_they_fill_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of random words costs no more memory than any other, and what it says is still found."""
    from model_load_exporter.analysis.engines import std

    monkeypatch.setattr(std, "_WORDS_KEPT", 10)
    engine = std.StdEngine([b"out of memory"])
    for index in range(50):
        letters = "".join(chr(97 + int(digit)) for digit in str(index * 7919))
        assert list(engine.present(f"cuda Out Of Memory {letters}".encode())) == [0]
        assert list(engine.present(f"{letters} out of order".encode())) == []
        assert len(engine._seen) < 20
