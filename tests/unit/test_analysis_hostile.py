"""Any text at all: the answer is of the closed set, bounded, and there is always one."""

from datetime import UTC
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_load_exporter.analysis.analyze import Options, analyze
from model_load_exporter.analysis.cause import INCIDENTS
from model_load_exporter.analysis.clock import Clock
from model_load_exporter.analysis.events import Event
from model_load_exporter.analysis.signs import SIGNS
from model_load_exporter.analysis.text import render
from model_load_exporter.analysis.timeline import LENGTH
from model_load_exporter.analysis.timestamps import parse
from model_load_exporter.attempt import STAGES
from model_load_exporter.reasons import REASONS

_STAMPS = st.sampled_from(
    ["", "2026-01-31T10:00:00Z ", "[99999999.999999] ", "Feb 29 10:00:00 h kernel: ", "0229 ", "99:99:99 ",
     "9999-12-31 23:59:60 ", "0001-01-01 00:00:00 ", "[E1399 10:00:00.0 ", "6,1,1,-;", "1999999999999999999 ",
     "Warning  X  9999999d (x5 over 1s) "]
)  # fmt: skip
_LINES = st.lists(
    st.tuples(
        _STAMPS,
        st.one_of(
            st.sampled_from([row.needle for row in SIGNS]),
            st.text(max_size=60),
            st.sampled_from(["OSError: [Errno 28] x", "Killed", "Traceback (most recent call last):"]),
        ),
        st.text(max_size=20),
    ).map("".join),
    max_size=30,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sources=st.lists(_LINES, min_size=1, max_size=3), boot=st.one_of(st.none(), st.floats(0, 4e9)))
def test_any_lines_have_an_answer(sources: list[list[str]], boot: float | None, tmp_path: Path) -> None:
    """Never a crash; reason, stage and lengths stay within their bounds, and the text is printable."""
    paths = []
    for number, lines in enumerate(sources):
        path = tmp_path / f"{number}.log"
        path.write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
        paths.append(str(path))
    found = analyze(paths, Options(zone=UTC, boot=boot))
    assert found.reason in REASONS or found.reason == "none"
    assert found.stage is None or found.stage in STAGES
    assert len(found.timeline) <= LENGTH
    assert len(found.evidence) <= 8
    assert len(found.incidents) <= INCIDENTS
    assert all(character.isprintable() or character == "\n" for character in render(found))


@settings(max_examples=500, deadline=None)
@given(stamp=_STAMPS, text=st.text(max_size=80))
def test_any_stamp_has_seconds_or_none(stamp: str, text: str) -> None:
    """A stamp of any date is a time, or none; no date is too early or too late for the clock."""
    parsed = parse(stamp + text)
    event = Event("a", 0, 1, text, "stage", "service", stamp=parsed)
    clock = Clock(UTC, 1.8e9, boot=1.7e9)
    clock.learn([event], [])
    clock.set([event])
    assert (event.seconds is None) == (parsed is None or parsed.kind == "age")
