"""What collectors wrap around a line is taken off, and what is no wrapper is left alone."""

import json

import pytest

from model_load_exporter.analysis import wrapping
from model_load_exporter.analysis.wrapping import Unwrapped, unwrap


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            '{"log":"CUDA \\u003cout\\u003e of memory\\n","stream":"stderr","time":"2026-01-01T00:00:00.5Z"}',
            Unwrapped("CUDA <out> of memory", "2026-01-01T00:00:00.5Z"),
        ),
        (
            "2026-01-01T00:00:00.000000000Z stderr F CUDA out of memory",
            Unwrapped("CUDA out of memory", "2026-01-01T00:00:00.000000000Z"),
        ),
        (
            '2026-01-01T00:00:00+01:00 stdout F {"level": "warning", "message": "no GPU"}',
            Unwrapped("WARNING no GPU", "2026-01-01T00:00:00+01:00"),
        ),
        (
            '{"MESSAGE":"Killed","__REALTIME_TIMESTAMP":"1767225600000000"}',
            Unwrapped("Killed", "2026-01-01T00:00:00.000000+00:00"),
        ),
        ('{"MESSAGE":[75,195,169],"__REALTIME_TIMESTAMP":"x"}', Unwrapped("Ké", "")),
        (
            '{"event": "load failed", "level": "error", "ts": 1767225600.123456789, "exception": "Traceback\\nX"}',
            Unwrapped("ERROR load failed\nTraceback\nX", "1767225600.123456789"),
        ),
        ('{"jsonPayload": {"message": "inside"}, "severity": "ERROR"}', Unwrapped("ERROR inside", "")),
        ('{"log": "half a \\ud83d character"}', Unwrapped("half a ? character", "")),
    ],
)
def test_a_wrapped_line_is_unwrapped(line: str, expected: Unwrapped) -> None:
    """Docker, Kubernetes, the journal, JSON loggers, and one within the other; the time as the outermost says it."""
    assert unwrap(line.encode()) == expected


@pytest.mark.parametrize(
    "line",
    [
        "",
        "plain text",
        '{"event":"stage_begin","v":1}',
        '{"unknown": "keys"}',
        '{"log": true}',
        '{"log": "cut',
        "[1, 2]",
        "2026-01-01T00:00:00 INFO stdout F is no stream",
        "2026-01-01 00:00:00,123 INFO text",
        "{" * 5000,
        '{"a":' * 50_000,
        '{"log": "x", "n": ' + "9" * 5000,
    ],
    ids=lambda line: line[:30],
)
def test_any_other_line_is_left_alone(line: str) -> None:
    """A spool's journal, other JSON, and input made to break a parser."""
    assert unwrap(line.encode()) is None


def test_wrappers_are_followed_to_a_limit() -> None:
    """A line may not make the work grow without end."""
    line = "x"
    for _ in range(50):
        line = json.dumps({"log": line})
        if len(line) > 4000:
            break
    found = unwrap(line.encode())
    assert found is not None
    assert found.text.startswith("{")


CRI = "2026-01-01T00:00:00Z {} {} {}\n"


def test_parts_of_a_message_are_joined_under_their_first_line() -> None:
    """Streams apart; the lines taken are made up by empty ones."""
    data = "".join(
        CRI.format(*part)
        for part in (("stdout", "P", "ab"), ("stderr", "F", "other"), ("stdout", "P", "cd"), ("stdout", "F", "ef"))
    ).encode()
    joined = wrapping.joined(data, len(data))
    assert joined is not None
    assert joined.used == len(data)
    assert joined.data.decode().split("\n") == [
        "2026-01-01T00:00:00Z stdout P abcdef",
        "2026-01-01T00:00:00Z stderr F other",
        "",
        "",
        "",
    ]


def test_a_message_that_goes_on_waits_for_its_rest() -> None:
    """It is left out, with what follows it, unless nothing more comes."""
    data = (
        CRI.format("stdout", "F", "whole") + CRI.format("stdout", "P", "ab") + CRI.format("stderr", "F", "x")
    ).encode()
    joined = wrapping.joined(data, len(data))
    assert joined is not None
    assert joined.data == data[: joined.used] == CRI.format("stdout", "F", "whole").encode()
    last = wrapping.joined(data, len(data), wait=False)
    assert last is not None
    assert last.data.count(b"\n") == 3


def test_lines_without_parts_are_not_touched() -> None:
    """Which is nearly all of them."""
    data = CRI.format("stdout", "F", "whole P of").encode()
    assert wrapping.joined(data, len(data)) is None
