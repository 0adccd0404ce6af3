"""What reading a hostile file may cost, and what it may raise."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import strategies as st

from model_load_exporter.artifacts.summary import ArtifactError
from model_load_exporter.reasons import REASONS


@contextlib.contextmanager
def within(seconds: float, mebibytes: float) -> Iterator[None]:
    """Fails where the block takes more processor time, or more resident memory at once."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    before, began = _status("VmRSS"), time.process_time()
    yield
    assert time.process_time() - began < seconds
    assert _status("VmHWM") - before < mebibytes * 1024


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def refused(read: Callable[[Path], object], path: Path) -> ArtifactError:
    """The error that names the file in one line and has a reason of the closed set."""
    with pytest.raises(ArtifactError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 400
    assert caught.value.reason in REASONS
    return caught.value


Change = tuple[str, int, bytes]


def changes(size: int) -> st.SearchStrategy[list[Change]]:
    """Cuts, overwritten and inserted bytes: near the front, where headers are, as often as anywhere."""
    place = st.one_of(st.integers(0, min(size, 600) - 1), st.integers(0, size - 1))
    numbers = st.sampled_from((b"\xff" * 8, b"\0" * 8, b"\xff" * 7 + b"\x7f", b"\xff\xff\xff\x7f", b"\x80", b"\x01"))
    return st.lists(
        st.one_of(
            st.tuples(st.just("cut"), place, st.just(b"")),
            st.tuples(st.sampled_from(("write", "insert")), place, st.one_of(numbers, st.binary(min_size=1))),
        ),
        min_size=1, max_size=4,
    )  # fmt: skip


def changed(raw: bytes, what: list[Change]) -> bytes:
    """The bytes with the changes in them."""
    for kind, at, content in what:
        if kind == "cut":
            raw = raw[:at]
        elif kind == "insert":
            raw = raw[:at] + content + raw[at:]
        else:
            raw = raw[:at] + content + raw[at + len(content) :]
    return raw


def survives(read: Callable[[Path], object], path: Path) -> None:
    """Answers, or refuses as it is meant to, in bounded time. Any other exception is a failure."""
    began = time.process_time()
    with contextlib.suppress(ArtifactError, OSError):
        read(path)
    assert time.process_time() - began < 1
