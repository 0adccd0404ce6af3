"""docs/JOURNAL.md says what the code does: its examples are taken, its limits and causes are the code's."""

import json
import re
from pathlib import Path

import pytest

from model_load_exporter.attempt import MAX_STAGES, OUTCOMES, STAGES
from model_load_exporter.holding import MAX_HELD
from model_load_exporter.instrument.holder import ROTATE_AT
from model_load_exporter.journal import format as journal_format
from model_load_exporter.journal.format import CAUSES, decode
from model_load_exporter.journal.line import MAX_FILE, MAX_LINE
from model_load_exporter.journal.spool import _UNSAFE_TYPES, MAX_BYTES, MAX_FILES, SYSTEM_SPOOL

DOCUMENT = (Path(__file__).parents[2] / "docs" / "JOURNAL.md").read_text()
PROSE = re.sub(r"```(?:sh|c)\n.*?```", "", DOCUMENT, flags=re.DOTALL)
EXAMPLES = [line for block in re.findall(r"```text\n(.*?)```", DOCUMENT, re.DOTALL) for line in block.splitlines()]


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_line_is_taken(example: str) -> None:
    """As an event that this version knows."""
    assert decode(example.encode()) is not None


def test_every_event_has_an_example() -> None:
    """From begin to exit."""
    assert {json.loads(example)["event"] for example in EXAMPLES} == set(journal_format._PARSERS)


def test_every_key_that_is_read_is_documented() -> None:
    """What the parser asks a line for stands in the document, as code."""
    source = Path(journal_format.__file__).read_text()
    keys = set(re.findall(r'data(?:\.get\(|, |\[)"(\w+)"', source))
    assert len(keys) > 25
    assert {key for key in keys if f"`{key}`" not in PROSE} == set()


def test_limits_and_names_are_the_codes() -> None:
    """Numbers, closed sets and folders."""
    assert f"{MAX_LINE} bytes" in PROSE
    assert MAX_FILE == 2**20
    assert "1 MiB" in PROSE
    assert ROTATE_AT == 64 * 1024
    assert "64 KiB" in PROSE
    assert f"| stages of an attempt | {MAX_STAGES} |" in PROSE
    assert f"| models of a process | {MAX_HELD} |" in PROSE
    assert f'{{"format": 1, "max_files": {MAX_FILES}, "max_bytes": {MAX_BYTES}}}' in PROSE
    assert f"`{SYSTEM_SPOOL}`" in PROSE
    assert ", ".join(STAGES) in PROSE
    for name in (*CAUSES, *OUTCOMES):
        assert f"`{name}`" in PROSE
    for kind in _UNSAFE_TYPES:
        assert kind in PROSE
