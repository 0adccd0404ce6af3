"""load_with_recovery: again where that can help, a fallback where it cannot, and each attempt in the journal."""

import asyncio
import errno
import functools
import gc
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_load_exporter import LoadFailedError, load_with_recovery, track_load
from model_load_exporter.health.own import snapshot
from model_load_exporter.instrument import recovery, state
from support.recording import attempts, holdings


class Model:
    """Stands for a loaded model."""


def reset() -> Model:
    raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")


def corrupted() -> Model:
    raise ValueError("Error while deserializing header: HeaderTooLarge")


def after(failures: int, call: Callable[[], Model] = reset) -> Callable[[], Model]:
    """Fails so often, then loads."""
    left = [failures]

    def load() -> Model:
        left[0] -= 1
        return call() if left[0] >= 0 else Model()

    return load


def told(spool: Path) -> list[tuple[str | None, str | None]]:
    return [(one.outcome, one.reason) for one in attempts(spool)]


def test_what_passes_is_tried_again(spool: Path) -> None:
    """A reset connection, twice, then the model: three attempts of one model in the journal."""
    assert isinstance(load_with_recovery("nllb", [after(2)], backoff=0.001), Model)
    assert told(spool) == [("failed", "network_error"), ("failed", "network_error"), ("loaded", None)]


def test_what_cannot_pass_is_not_tried_again(spool: Path) -> None:
    """A corrupted file is the same file a second later: one attempt, then what serves in its place."""
    assert isinstance(load_with_recovery("nllb", [corrupted, ("small", Model)], backoff=0.001), Model)
    assert told(spool) == [("failed", "file_corrupted"), ("loaded", None)]


def test_which_fallback_serves_is_told(spool: Path) -> None:
    """In the journal, and in this process; a later success of the model itself takes it back."""
    kept = load_with_recovery("nllb", [corrupted, ("small", Model)], target="app")
    [holding] = holdings(spool)
    assert (holding.held["nllb"].fallback, holding.held["nllb"].target) == ("small", "app")
    assert state.fallbacks == {"nllb": "small"}
    again = load_with_recovery("nllb", [Model], target="app")
    [holding] = holdings(spool)
    assert holding.held["nllb"].fallback == ""
    assert state.fallbacks == {}
    assert kept is not again


def test_all_of_them_fail(spool: Path) -> None:
    """The error says what was tried and why it failed, and comes from the first loader's own."""
    with pytest.raises(LoadFailedError, match="nllb could not be loaded: reset, attempt 1: network_error") as caught:
        load_with_recovery("nllb", [reset, ("small", corrupted)], attempts=2, backoff=0.001)
    assert [row[:3] for row in caught.value.tried] == [
        ("reset", 1, "network_error"), ("reset", 2, "network_error"), ("small", 1, "file_corrupted"),
    ]  # fmt: skip
    assert isinstance(caught.value.__cause__, ConnectionResetError)
    assert state.attempts == {}


def test_the_files_are_looked_at_first(spool: Path, tmp_path: Path) -> None:
    """A Git LFS pointer costs no load; its reason is the file's."""
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 9\n")
    called: list[int] = []
    load_with_recovery("nllb", [lambda: called.append(1), ("small", Model)], path=weights)
    assert called == []
    assert told(spool) == [("failed", "lfs_pointer"), ("loaded", None)]


def test_a_load_that_hangs_ends_in_time(spool: Path) -> None:
    """Python code is ended in its thread."""
    ended = threading.Event()

    def hangs() -> Model:
        try:
            while True:
                time.sleep(0.001)
        finally:
            ended.set()

    began = time.monotonic()
    with pytest.raises(LoadFailedError, match=r"did not finish within 0\.2 seconds"):
        load_with_recovery("nllb", [hangs], timeout=0.2)
    assert ended.wait(10)
    assert time.monotonic() - began < 10
    assert told(spool) == [("failed", "timeout")]


def test_a_load_that_hangs_leaves_time_for_those_behind_it(spool: Path) -> None:
    """In native code too, with all its attempts left: each loader gets its share, the last one as well."""
    let_go = threading.Event()
    began = time.monotonic()
    hangs = ("hangs", lambda: let_go.wait(60))
    try:
        assert isinstance(load_with_recovery("nllb", [hangs, hangs, ("small", Model)], timeout=1.5), Model)
    finally:
        let_go.set()
    assert time.monotonic() - began < 1.5
    assert told(spool) == [("failed", "timeout"), ("failed", "timeout"), ("loaded", None)]
    assert "did not finish within 0.5 seconds" in (attempts(spool)[0].message or "")
    assert state.fallbacks == {"nllb": "small"}


def test_no_wait_takes_the_time_of_those_behind(spool: Path) -> None:
    """A second attempt that would begin in the next loader's share is left out."""
    loaders = [reset, ("small", Model), ("on the CPU", Model)]
    assert isinstance(load_with_recovery("nllb", loaders, backoff=16, timeout=18), Model)
    assert told(spool) == [("failed", "network_error"), ("loaded", None)]


def test_what_native_code_keeps_is_left_behind(spool: Path) -> None:
    """A call that does not come back keeps its thread; the caller goes on."""
    let_go = threading.Event()
    with pytest.raises(LoadFailedError, match="timeout"):
        load_with_recovery("nllb", [lambda: let_go.wait(60)], timeout=0.1)
    let_go.set()
    assert told(spool) == [("failed", "timeout")]


def test_within_its_time_it_is_as_without(spool: Path) -> None:
    """The loader's value and its own error come through the thread."""
    assert load_with_recovery("nllb", [lambda: 7], timeout=60) == 7
    with pytest.raises(LoadFailedError) as caught:
        load_with_recovery("nllb", [corrupted], timeout=60)
    assert isinstance(caught.value.__cause__, ValueError)


def test_no_wait_goes_beyond_the_time_limit(spool: Path) -> None:
    """An attempt that could begin only after it is not waited for."""
    began = time.monotonic()
    with pytest.raises(LoadFailedError):
        load_with_recovery("nllb", [reset], attempts=5, backoff=30, timeout=10)
    assert time.monotonic() - began < 10
    assert told(spool) == [("failed", "network_error")]


def test_a_failed_attempt_gives_its_memory_back(spool: Path) -> None:
    """What it loaded is gone before the next attempt begins."""
    seen: list[weakref.ref[Model]] = []

    def load() -> Model:
        if seen:
            assert seen[0]() is None
            return Model()
        half = Model()
        seen.append(weakref.ref(half))
        return reset()

    gc.disable()
    try:
        assert isinstance(load_with_recovery("nllb", [load], backoff=0.001), Model)
    finally:
        gc.enable()


def test_a_pair_is_held_until_both_are_gone(spool: Path) -> None:
    """Model and tokenizer in a tuple, which itself takes no weak reference."""
    model, tokenizer = load_with_recovery("nllb", [lambda: (Model(), Model())])
    del model
    gc.collect()
    [holding] = holdings(spool)
    assert "nllb" in holding.held
    del tokenizer
    gc.collect()
    [holding] = holdings(spool)
    assert holding.held == {}


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
def test_who_cancels_is_obeyed(spool: Path, error: type[BaseException]) -> None:
    """No second attempt, no fallback."""

    def cancelled() -> Any:
        raise error

    with pytest.raises(error):
        load_with_recovery("nllb", [cancelled, ("small", Model)])
    assert told(spool) == [("cancelled", None)]


def test_a_call_that_cannot_work_says_so() -> None:
    """No loader, or no attempt."""
    with pytest.raises(ValueError, match="needs a loader"):
        load_with_recovery("nllb", [])
    with pytest.raises(ValueError, match="at least one attempt"):
        load_with_recovery("nllb", [Model], attempts=0)


async def load_later() -> Model:
    return Model()


class LoadsLater:
    """An object to call, which answers with a coroutine."""

    async def __call__(self) -> Model:
        return Model()


@pytest.mark.parametrize(
    ("loaders", "message"),
    [
        ([load_later], "load_later is a coroutine function; .*asyncio.to_thread"),
        ([Model, ("small", functools.partial(load_later))], "small is a coroutine function"),
        ([LoadsLater()], "is a coroutine function"),
        ([("x",)], r"loader 1 is \('x',\), not \(name, function\)"),
        ([Model, ("a", 3)], "loader 2 is 3, not a function"),
        ([(Model, "a")], "not \\(name, function\\)"),
        ([None], "loader 1 is None, not a function"),
        ("abc", "loader 1 is 'a', not a function"),
        (Model, "a list of loaders"),
        (7, "a list of loaders, not int"),
    ],
)
def test_what_is_no_loader_is_refused(spool: Path, loaders: Any, message: str) -> None:
    """Before anything is tried or told: a mistake in the service's code is no failed load."""
    with pytest.raises(TypeError, match=message):
        load_with_recovery("nllb", loaders)
    assert attempts(spool) == []
    assert snapshot().failures == ()


@pytest.mark.filterwarnings("error")
def test_a_coroutine_is_no_model(spool: Path) -> None:
    """Of a function that only its result gives away: no second attempt, no fallback, nothing held."""
    with pytest.raises(TypeError, match="later is a coroutine function"):
        load_with_recovery("nllb", [("later", lambda: load_later()), ("small", Model)], timeout=60)
    gc.collect()
    assert [outcome for outcome, _ in told(spool)] == ["failed"]
    assert holdings(spool) == []


def test_a_load_that_tells_itself_is_told_once(spool: Path) -> None:
    """track_load inside of a loader: its stages are the attempt's, and no stage lies around them."""

    def load() -> Model:
        with track_load("nllb") as inner, inner.stage("weights"):
            return Model()

    load_with_recovery("nllb", [load])
    [attempt] = attempts(spool)
    assert [stage.name for stage in attempt.stages] == ["weights"]


def test_between_two_attempts_it_is_loading(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last attempt failed, the next has not begun: nobody should take the service for lost."""
    seen: list[tuple[str, ...]] = []

    def sleep(_: float) -> None:
        now = snapshot()
        seen.append((*(one.model for one in now.open), *(one.reason for one in now.failures)))

    monkeypatch.setattr(recovery.time, "sleep", sleep)
    with pytest.raises(LoadFailedError):
        load_with_recovery("nllb", [reset], attempts=2)
    assert seen == [("nllb",)]
    assert [(one.model, one.reason) for one in snapshot().failures] == [("nllb", "network_error")]
