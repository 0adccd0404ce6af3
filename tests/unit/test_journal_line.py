"""One event to one line: what the Python writer writes is a line of the format, and always fits."""

from pathlib import Path
from typing import Any

import pytest

from model_load_exporter.attempt import Begin, End
from model_load_exporter.journal.format import decode
from model_load_exporter.journal.line import MAX_LINE, encode

BEGIN: dict[str, Any] = {
    "event": "begin", "v": 1, "id": "a-" + "0" * 32, "time": 1000.5, "model": "nllb", "kind": "service", "pid": 7,
    "boot_id": "0f0e0d0c-0b0a-0908-0706-050403020100",
}  # fmt: skip


def taken(encoded: bytes) -> object:
    return decode(encoded.rstrip(b"\n"))


def test_what_is_encoded_is_decoded() -> None:
    """The Python writer's lines are lines of the format."""
    assert taken(encode({"event": "end", "time": 1, "outcome": "loaded"})) == End(1.0, "loaded")
    begin = taken(encode(BEGIN))
    assert isinstance(begin, Begin)
    assert (begin.id, begin.model, begin.pid) == (BEGIN["id"], "nllb", 7)


def test_what_json_cannot_say_is_said_as_text() -> None:
    """A path object, bytes: a writer that is handed something odd still writes a line."""
    begin = taken(encode(BEGIN | {"model": Path("/models/nllb"), "path": b"/models"}))
    assert isinstance(begin, Begin)
    assert begin.model == "/models/nllb"


@pytest.mark.parametrize(
    "keys",
    [
        {"message": "x" * 100_000},
        {"message": "\x00\ud800ä" * 5000},
        {"mapped": [["08:01:123456", 10**12]] * 3000},
        {"message": "x" * 3000, "path": "/ä" * 3000, "reason": "y" * 3000},
    ],
)
def test_a_long_event_is_cut_until_it_fits(keys: dict[str, Any]) -> None:
    """One line is at most 4096 bytes with its newline; the longest texts and lists give way."""
    encoded = encode({**BEGIN, **keys})
    assert len(encoded) <= MAX_LINE
    assert encoded.count(b"\n") == 1
    begin = taken(encoded)
    assert isinstance(begin, Begin)
    assert begin.id == BEGIN["id"], "the id is whole"


def test_an_event_that_cannot_fit_is_refused() -> None:
    """Hundreds of keys cannot be cut into a line: ValueError, which the writer turns into `not written`."""
    with pytest.raises(ValueError, match="does not fit"):
        encode({f"key{number}": "v" * 15 for number in range(1000)})
