"""Logs and exceptions of any kind: one reason or none, in words that are safe to show."""

import pytest
from entries_text import LOGS, TARGETS, WORDS
from fuzz_target import Target
from fuzzing import examples
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated

_COUNT = {"analyze": 30, "engines": 20}
BY_NAME = {target.name: target for target in TARGETS}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_changed_logs_are_judged(target: Target) -> None:
    """A real log changed in a few places."""

    @examples(_COUNT.get(target.name, 120))
    @given(mutated(target.seeds))
    def run(data: bytes) -> None:
        target.try_with(data)

    run()


_HEADS = (
    b"", b"2026-01-31 10:00:00,1 ERROR ", b"[  1.000000] ", b"INFO: ", b"\x1b[31m", b'  File "a", line 1, in ',
    b'{"log":"',
)  # fmt: skip
_TAILS = (b"", b"\r", b"\r\n", b" error: failed", b": " + b"x" * 3000, b"\0\0", "é\u2028".encode())
_LINE = st.builds(
    lambda *parts: b"".join(parts),
    st.sampled_from(_HEADS), st.sampled_from(WORDS) | st.binary(max_size=20), st.sampled_from(_TAILS),
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_logs_of_every_wording_are_judged(target: Target) -> None:
    """Lines put together from all that libraries say, in any order and with anything around it."""

    @examples(_COUNT.get(target.name, 80))
    @given(st.lists(_LINE | st.sampled_from(LOGS), max_size=12).map(b"\n".join))
    def run(data: bytes) -> None:
        target.try_with(data)

    run()
