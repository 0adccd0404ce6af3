"""What the daemon reads of others, given anything: only documented errors, little work, answers of their form."""

import pytest
from entries_daemon import EVENTS, TARGETS
from fuzz_target import Target
from fuzzing import examples
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated

from model_load_exporter.journal.format import JournalError, decode
from model_load_exporter.journal.line import encode

BY_NAME = {target.name: target for target in TARGETS}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_changed_input_is_taken_or_refused(target: Target) -> None:
    """A good input changed in a few places, lengths first."""

    @examples(80)
    @given(mutated(target.seeds))
    def run(data: bytes) -> None:
        target.try_with(data)

    run()


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_arbitrary_bytes_are_taken_or_refused(target: Target) -> None:
    """Bytes that never were an input."""

    @examples(40)
    @given(st.binary(max_size=400))
    def run(data: bytes) -> None:
        target.try_with(data)

    run()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@examples(150)
@given(st.sampled_from(EVENTS), st.dictionaries(st.sampled_from(sorted({k for e in EVENTS for k in e})), _JSON))
def test_events_of_any_types_are_taken_or_refused(event: dict[str, object], changes: dict[str, object]) -> None:
    """Each key of each event with a value of any type; what is taken can be written again."""
    try:
        line = encode(event | changes)
    except ValueError:
        return
    BY_NAME["journal_line"].try_with(line)
    BY_NAME["journal_file"].try_with(line + b"\n")


@examples(100)
@given(_JSON)
def test_any_json_is_no_event_or_is_one(document: object) -> None:
    """A line of JSON that is no object is refused as such."""
    if isinstance(document, dict):
        return
    try:
        line = encode({"x": document})[5:-2]
    except ValueError:
        return
    with pytest.raises(JournalError):
        decode(line)


_SAID = ("contained", "started", "stage_begin", "stage_end", "report", "exit", "x")
_KEYS = (
    "cgroup", "refused", "python", "notes", "versions", "stage", "call", "seconds", "peak_rss", "peak_anonymous",
    "failed", "outcome", "failure", "status", "over_limit",
)  # fmt: skip
_REPORT = st.fixed_dictionaries({"event": st.sampled_from(_SAID)}, optional=dict.fromkeys(_KEYS, _JSON))


@examples(100)
@given(st.lists(_REPORT, max_size=6))
def test_reports_of_any_types_are_borne(events: list[dict[str, object]]) -> None:
    """A canary's child that says the wrong things says nothing."""
    BY_NAME["canary_reports"].try_with(b"".join(encode(event) for event in events))
