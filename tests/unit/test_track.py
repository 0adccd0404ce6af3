"""track_load inside one process: what each way to use it tells the journal, and that the load's own errors go on."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import model_load_exporter
from model_load_exporter import track_load
from model_load_exporter.attempt import LoadAttempt
from support.recording import attempts


def only(spool: Path) -> LoadAttempt:
    [attempt] = attempts(spool)
    return attempt


def stages(attempt: LoadAttempt) -> list[str]:
    return [stage.name for stage in attempt.stages]


def test_what_a_service_imports() -> None:
    """The names of the package are the contract's."""
    assert model_load_exporter.__all__ == [
        "LoadFailedError", "health_app", "instrument", "load_with_recovery", "record_inference", "serve_health",
        "track_load", "unloaded",
    ]  # fmt: skip


def test_a_load_with_stages(spool: Path) -> None:
    """Begin, stages with memory, end; who, what and where from."""
    with track_load("nllb-200", path="/models/nllb", target="app") as load:
        witnessed = load.witnessed
        with load.stage("tokenizer"):
            pass
        with load.stage("weights"):
            pass
    assert (witnessed, load.witnessed) == (True, False)
    attempt = only(spool)
    assert (attempt.begin.model, attempt.begin.path, attempt.begin.target) == ("nllb-200", "/models/nllb", "app")
    assert (attempt.outcome, stages(attempt)) == ("loaded", ["tokenizer", "weights"])
    assert all(stage.seconds is not None and stage.rss and stage.anonymous for stage in attempt.stages)
    assert attempt.peak_rss is not None
    assert attempt.peak_rss > (attempt.peak_anonymous or 0) > 0
    assert attempt.begin.monotonic is not None


def test_an_error_goes_on_unchanged(spool: Path) -> None:
    """The very exception, with its traceback ending in the load; told with reason, message and stage."""
    error = FileNotFoundError(2, "No such file or directory", "/models/nllb/config.json")
    with pytest.raises(FileNotFoundError) as caught, track_load("nllb") as load, load.stage("config"):
        raise error
    assert caught.value is error
    assert error.__context__ is None
    assert error.__cause__ is None
    assert Path(caught.traceback[-1].path).name == Path(__file__).name
    attempt = only(spool)
    assert (attempt.outcome, attempt.reason, attempt.stage) == ("failed", "file_missing", "config")
    assert "/models/nllb/config.json" in attempt.message


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (KeyboardInterrupt(), "cancelled", None),
        (asyncio.CancelledError(), "cancelled", None),
        (GeneratorExit(), "cancelled", None),
        (MemoryError(), "failed", "host_memory_error"),
        (ModuleNotFoundError("No module named 'sentencepiece'", name="sentencepiece"), "failed", "dependency_missing"),
        (SystemExit(1), "failed", "process_died"),
        (ValueError("\udce4 odd"), "failed", "unknown"),
        (RuntimeError(), "failed", "unknown"),
    ],
)
def test_each_end_has_its_outcome(spool: Path, error: BaseException, outcome: str, reason: str | None) -> None:
    """Ctrl-C and cancellation are no failures; everything else is one, and passes on."""
    with pytest.raises(type(error)) as caught, track_load("nllb"):
        raise error
    assert caught.value is error
    attempt = only(spool)
    assert (attempt.outcome, attempt.reason) == (outcome, reason)


def test_an_error_that_cannot_even_be_printed_goes_on(spool: Path) -> None:
    """The classifier meets whatever a library raises: the load's error is not replaced by one of its own."""

    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text either")

        __repr__ = __str__

    with pytest.raises(UnprintableError), track_load("nllb"):
        raise UnprintableError
    assert only(spool).outcome == "failed"


def test_a_decorated_function_is_a_load_each_call(spool: Path) -> None:
    """Arguments, result, name and errors are the function's own; recursion is one load."""

    @track_load("nllb")
    def load(depth: int, *, name: str = "x") -> tuple[int, str]:
        """Loads."""
        if depth < 0:
            raise ValueError("depth")
        return load(depth - 1, name=name) if depth else (depth, name)

    assert load.__name__ == "load"
    assert load.__doc__ == "Loads."
    assert load(2, name="y") == (0, "y")
    assert load(0) == (0, "x")
    with pytest.raises(ValueError, match="depth"):
        load(-1)
    found = attempts(spool)
    assert [attempt.outcome for attempt in found] == ["loaded", "loaded", "failed"]
    assert stages(found[0]) == ["other", "other"]


def test_coroutines_and_async_with(spool: Path) -> None:
    """A load takes from the first to the last line of a coroutine, and its cancellation is none of its failures."""

    @track_load("decorated")
    async def load(event: asyncio.Event) -> str:
        await event.wait()
        return "model"

    async def use() -> None:
        event = asyncio.Event()
        task = asyncio.create_task(load(event))
        await asyncio.sleep(0)
        assert only(spool).open, "the load is open while the coroutine waits"
        event.set()
        assert await task == "model"
        cancelled = asyncio.create_task(load(asyncio.Event()))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        async with track_load("with") as inner:
            with inner.stage("weights"):
                await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), track_load("slow"):
                await asyncio.sleep(60)

    asyncio.run(use())
    assert [(attempt.begin.model, attempt.outcome) for attempt in attempts(spool)] == [
        ("decorated", "loaded"), ("decorated", "cancelled"), ("with", "loaded"), ("slow", "cancelled"),
    ]  # fmt: skip


def test_a_generator_function_is_refused() -> None:
    """Its call loads nothing yet: the load would look instant. Told where it is decorated."""

    def generator() -> object:
        yield 1

    async def async_generator() -> object:
        yield 1

    for function in (generator, async_generator):
        with pytest.raises(TypeError, match="inside a generator use `with`"):
            track_load("nllb")(function)


def test_a_closed_generator_is_a_cancelled_load(spool: Path) -> None:
    """`with` inside a generator that its user gives up."""

    def loading() -> object:
        with track_load("nllb"):
            yield 1
            yield 2

    generator = loading()
    next(generator)  # type: ignore[call-overload]  # an object to its reader
    generator.close()  # type: ignore[attr-defined]  # likewise
    assert only(spool).outcome == "cancelled"


@pytest.mark.parametrize(
    ("inner", "one"),
    [
        (lambda: track_load("nllb", path="/models/nllb"), True),
        (lambda: track_load("tokenizer", path="/models/nllb/tokenizer"), True),
        (lambda: track_load("x", path="/models/nllb/../nllb/./sub"), True),
        (lambda: track_load("nllb"), True),
        (lambda: track_load("aya"), False),
        (lambda: track_load("aya", path="/models/aya"), False),
        (lambda: track_load("nllb", path="/models/nllb-large"), False),
        (lambda: track_load("parent", path="/models"), False),
    ],
)
def test_a_load_at_or_below_an_open_one_is_its_stage(spool: Path, inner: Callable[[], track_load], one: bool) -> None:
    """The same path, below it, or the same name: one attempt, in which the inner one is a stage; else two."""
    with track_load("nllb", path="/models/nllb") as outer:
        with inner() as load, load.stage("weights"):
            assert load.witnessed
        assert outer.witnessed
    found = attempts(spool)
    assert len(found) == (1 if one else 2)
    assert stages(found[0]) == (["other", "weights"] if one else [])
    assert [attempt.outcome for attempt in found] == ["loaded"] * len(found)


def test_the_same_repo_is_one_load(spool: Path) -> None:
    """By the hub's id, where there is no path."""
    with track_load(repo="facebook/nllb"), track_load("part", repo="facebook/nllb"), track_load("b", repo="o/other"):
        pass
    assert [attempt.begin.model for attempt in attempts(spool)] == ["facebook/nllb", "b"]


def test_a_nested_load_that_fails_does_not_fail_the_outer_one(spool: Path) -> None:
    """What the service catches, it got over; what it does not catch is the outer load's failure, at that stage."""
    with track_load("nllb") as outer:
        with pytest.raises(ValueError, match="first try"), track_load("nllb") as inner, inner.stage("device"):
            raise ValueError("first try")
        with outer.stage("weights"):
            pass
    assert (only(spool).outcome, only(spool).stages[0].failed) == ("loaded", True)
    with pytest.raises(MemoryError), track_load("aya"), track_load("aya") as inner, inner.stage("device"):
        raise MemoryError
    last = attempts(spool)[-1]
    assert (last.outcome, last.reason, last.stage) == ("failed", "host_memory_error", "device")


def test_loads_in_threads(spool: Path) -> None:
    """A thread of the same load is its stage, of another model a load of its own; they may overlap in any way."""
    barrier = threading.Barrier(3)

    def load(model: str) -> None:
        with track_load(model) as inner, inner.stage("weights"):
            barrier.wait(10)
            barrier.wait(10)

    with track_load("nllb"):
        threads = [threading.Thread(target=load, args=(model,)) for model in ("nllb", "aya")]
        for thread in threads:
            thread.start()
        barrier.wait(10)
    barrier.wait(10)
    for thread in threads:
        thread.join(10)
    found = {attempt.begin.model: attempt for attempt in attempts(spool)}
    assert set(found) == {"nllb", "aya"}
    assert (found["aya"].outcome, stages(found["aya"])) == ("loaded", ["weights"])
    assert (found["nllb"].outcome, stages(found["nllb"])) == ("loaded", ["other", "weights"])


def test_names_come_from_what_is_known(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name given, the hub's, the folder's; the target from the environment unless it is given."""
    monkeypatch.setenv("MODEL_LOAD_EXPORTER_TARGET", "from-environment")
    snapshot = "/cache/models--facebook--nllb/snapshots/abc"
    for keys in ({"repo": "o/n"}, {"path": snapshot}, {"path": Path("/models/aya")}, {"model": "m", "target": "t"}, {}):
        with track_load(**keys):
            pass
    begins = [attempt.begin for attempt in attempts(spool)]
    assert [begin.model for begin in begins] == ["o/n", "facebook/nllb", "aya", "m", "unknown"]
    assert [begin.target for begin in begins] == ["from-environment"] * 3 + ["t", "from-environment"]


def test_one_object_may_be_used_again(spool: Path) -> None:
    """The same track_load entered twice, nested and in turn."""
    tracked = track_load("nllb")
    with tracked, tracked:
        pass
    with tracked:
        pass
    assert [attempt.outcome for attempt in attempts(spool)] == ["loaded", "loaded"]
