"""record_inference: what a service records reaches the counters once, whoever restarts in between."""

import asyncio
import contextlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from model_load_exporter import record_inference, track_load, unloaded
from model_load_exporter.collectors.inference import InferenceCollector
from model_load_exporter.collectors.scrape import Scraper
from model_load_exporter.instrument import holder as holder_module
from model_load_exporter.instrument.holder import holder
from model_load_exporter.tally import Tally
from support.recording import Recording, drop, event, hold, holdings, lines
from support.wait import until

BUCKETS = [0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0]


def counts(tally: Tally) -> tuple[int, int]:
    return tally.inferences, tally.inference_failures


def test_what_is_recorded_is_counted(recording: Recording) -> None:
    """By hand, as a context manager, and as a decorator of a function and of a coroutine function."""
    with track_load("nllb", target="app"):
        pass

    @record_inference("nllb")
    def translate(text: str) -> str:
        return text.upper()

    @record_inference("nllb")
    async def translate_later(text: str) -> str:
        return translate(text)

    record_inference("nllb", 0.2)
    record_inference("nllb", 70.0, failed=True)
    with record_inference("nllb"):
        pass
    assert translate("a") == "A"
    assert asyncio.run(translate_later("b")) == "B"
    with pytest.raises(ValueError, match="x"), record_inference("nllb"):
        raise ValueError("x")
    recording.until(lambda: counts(recording.tally("nllb", "app")) == (7, 2), "all seven are counted")
    tally = recording.tally("nllb", "app")
    assert sum(tally.inference_buckets) == 7
    assert tally.inference_buckets[-1] == 1
    assert 70.2 <= tally.inference_seconds < 80


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit, KeyboardInterrupt])
def test_who_cancels_has_not_failed(spool: Path, error: type[BaseException]) -> None:
    """A client that went away, a generator that nobody reads on: an inference, and no failure."""

    @record_inference("nllb")
    async def translate() -> None:
        raise error

    with pytest.raises(error), record_inference("nllb"):
        raise error
    with pytest.raises(error):
        translate().__await__().send(None)
    with pytest.raises(ValueError, match="x"), record_inference("nllb"):
        raise ValueError("x")
    holder.exit()
    [holding] = holdings(spool)
    assert (holding.inferences["nllb"].count, holding.inferences["nllb"].failures) == (3, 1)


def test_a_task_that_is_cancelled_has_not_failed(spool: Path) -> None:
    """As a server does it when the client goes away."""

    @record_inference("nllb")
    async def translate() -> None:
        await asyncio.Event().wait()

    async def serve() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(translate(), 0.01)

    asyncio.run(serve())
    holder.exit()
    [holding] = holdings(spool)
    assert (holding.inferences["nllb"].count, holding.inferences["nllb"].failures) == (1, 0)


def test_a_line_a_second_and_none_is_lost(spool: Path) -> None:
    """A thousand inferences are a line or two; the last of them are told when the process ends."""
    with track_load("nllb"):
        pass
    for _ in range(1000):
        record_inference("nllb", 0.001)
    holder.exit()
    [holding] = holdings(spool)
    assert holding.inferences["nllb"].count == 1000
    [file] = spool.glob("h-*.jsonl")
    assert file.read_bytes().count(b'"inference"') <= 3


def test_the_last_ones_are_told_soon_after(spool: Path) -> None:
    """No further call has to come for it."""
    with track_load("nllb"):
        pass
    record_inference("nllb", 0.001)
    record_inference("nllb", 0.001)
    until(lambda: holdings(spool)[0].inferences["nllb"].count == 2, 10, "both stand in the holder file")


def test_a_model_that_serves_is_held(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though nobody tracked its load: by the target of the environment."""
    monkeypatch.setenv("MODEL_LOAD_EXPORTER_TARGET", "app")
    record_inference("aya", 0.1)
    recording.until(lambda: recording.holders("aya", "app") == 1, "the process holds aya")
    recording.until(lambda: counts(recording.tally("aya", "app")) == (1, 0), "its inference is counted")
    unloaded("aya")


def test_numbers_that_are_none_do_no_harm(recording: Recording) -> None:
    """NaN, infinity, a negative time, and what is no number at all: the service goes on, and so do the counts."""
    with track_load("nllb"):
        pass
    for seconds in (float("nan"), float("inf"), -1.0, "x"):
        record_inference("nllb", seconds)  # type: ignore[arg-type]  # a service's mistake
    record_inference("nllb", 0.1)
    recording.until(lambda: counts(recording.tally("nllb")) == (4, 0), "the four numbers are counted")


def test_a_generator_is_refused() -> None:
    """Its call is over before its first line runs."""
    with pytest.raises(TypeError, match="generator"):

        @record_inference("nllb")
        def stream() -> object:
            yield 1


def test_a_rotated_file_counts_on(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file counts from its own beginning; the sum is right."""
    monkeypatch.setattr(holder_module, "ROTATE_AT", 1)
    monkeypatch.setattr(holder_module, "TELL_SECONDS", 0.0)
    with track_load("nllb"):
        pass
    for _ in range(20):
        record_inference("nllb", 0.001)
    recording.until(lambda: counts(recording.tally("nllb")) == (20, 0), "all are counted once")
    recording.until(lambda: recording.holders("nllb") == 1, "one process holds it")


def test_counters_stay_over_restarts_of_the_daemon(spool: Path, recording: Recording) -> None:
    """What was counted of a file is not counted again, whether the ledger was written or the daemon was killed."""
    with track_load("nllb"):
        pass
    record_inference("nllb", 0.1)
    recording.until(lambda: counts(recording.tally("nllb")) == (1, 0), "the first is counted")
    recording.stop()
    record_inference("nllb", 0.1)
    until(lambda: holdings(spool)[0].inferences["nllb"].count == 2, 10, "the second is told")
    for _ in range(2):
        recording.start()
        recording.until(lambda: counts(recording.tally("nllb")) == (2, 0), "both are counted, once")
        recording.stop()


def test_a_dead_process_leaves_its_counts(recording: Recording) -> None:
    """A service that was killed while it held the model: what it had told counts, and its death does."""
    code = """
        import os, signal
        from model_load_exporter import record_inference, track_load
        with track_load("nllb"):
            pass
        record_inference("nllb", 0.1)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, env=os.environ)
    recording.until(lambda: sum(recording.tally("nllb").deaths.values()) == 1, "its death is counted")
    assert counts(recording.tally("nllb")) == (1, 0)
    recording.until_recorded()
    recording.stop()
    recording.start()
    assert counts(recording.tally("nllb")) == (1, 0)


def test_another_writers_lines_are_taken_or_refused(recording: Recording) -> None:
    """Without buckets all count as long; what does not add up is a bad line, and the rest of the file counts."""
    path = drop(
        recording.spool, "h-1",
        lines(
            hold("h-1"),
            event("inference", model="nllb", count=3, failures=1, seconds=0.42, buckets=BUCKETS),
            event("inference", model="nllb", count=9, buckets=[1, 2]),
            event("inference", model="nllb", count=-1),
            event("inference", model="nllb", count=4, failures=1, seconds=0.5, buckets=[0] * 13 + [4]),
            event("exit"),
        ),
    )  # fmt: skip
    recording.until(lambda: counts(recording.tally("nllb")) == (4, 1), "the good lines are counted")
    until(lambda: not path.exists(), 10, "the file is on record")
    assert recording.problems() == {"bad_event": 2}


def test_the_series(recording: Recording) -> None:
    """At 0 as soon as the model is held; a cumulative histogram; none for a model that nobody holds."""
    with track_load("nllb", target="app"):
        pass
    recording.until(lambda: recording.holders("nllb", "app") == 1, "it is held")
    scraper = Scraper([InferenceCollector(recording.loads)])
    labels = '{model="nllb",target="app"}'

    def text() -> str:
        return asyncio.run(scraper.scrape(openmetrics=False, gzipped=False)).decode()

    assert f"model_inference_total{labels} 0.0" in text()
    assert f"model_inference_timestamp_seconds{labels} 0.0" in text()
    record_inference("nllb", 0.2)
    record_inference("nllb", 0.01, failed=True)
    recording.until(lambda: counts(recording.tally("nllb", "app")) == (2, 1), "both are counted")
    until(lambda: f"model_inference_total{labels} 2.0" in text(), 10, "both are shown")
    assert f"model_inference_failures_total{labels} 1.0" in text()
    assert 'model_inference_duration_seconds_bucket{le="0.1",model="nllb",target="app"} 1.0' in text()
    assert 'model_inference_duration_seconds_bucket{le="+Inf",model="nllb",target="app"} 2.0' in text()
