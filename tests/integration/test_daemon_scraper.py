"""Scraper: a collector that fails or hangs costs its own series, and the scrape goes on."""

import asyncio
import gzip
import logging
import threading
from collections.abc import Callable, Coroutine, Hashable, Iterable, Iterator
from typing import Any

import pytest
from prometheus_client import Metric

from model_load_exporter.collectors import scrape
from model_load_exporter.collectors.base import Collector, NoData, gauge
from model_load_exporter.collectors.scrape import Scraper
from support.daemon import Series
from support.wait import until

SUCCESS = "model_load_exporter_collector_success"


class Fake:
    """A collector of one series NAME_value, which counts its runs. before: called in each run, may raise or wait."""

    def __init__(self, name: str, before: Callable[[], None] = lambda: None, *, blocking: bool = False) -> None:
        self.name = name
        self.blocking = blocking
        self.before = before
        self.runs = 0

    def collect(self) -> Iterable[Metric]:
        self.runs += 1
        self.before()
        metric = gauge(f"{self.name}_value", "A value.")
        metric.add_sample(metric.name, {}, self.runs)
        return [metric]


class FakeVersioned(Fake):
    """One that says whether anything changed."""

    shown: Hashable = 1

    def version(self) -> Hashable:
        return self.shown


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(scrape, "SHARED_SECONDS", 0.0)
    monkeypatch.setattr(scrape, "BLOCKING_SECONDS", 0.0)


@pytest.fixture
def hang() -> Iterator[threading.Event]:
    """What a hanging collector waits for; let go at the end, so that no thread is left."""
    event = threading.Event()
    yield event
    event.set()
    until(lambda: not any(t.name.startswith("collector-") for t in threading.enumerate()), 10, "no thread is left")


def run(steps: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(steps, 20))


async def series(scraper: Scraper, **options: Any) -> Series:
    return Series.parse((await scraper.scrape(openmetrics=False, gzipped=False, **options)).decode())


def wait(event: threading.Event) -> None:
    event.wait(20)


def fail() -> None:
    raise RuntimeError("the disk is on fire")


@pytest.mark.parametrize("blocking", [False, True])
def test_one_that_raises(blocking: bool, caplog: pytest.LogCaptureFixture) -> None:
    """It has no series, not even its last good ones; the others do, and it is back when it works again."""
    bad, good = Fake("bad", blocking=blocking), Fake("good")

    async def steps() -> None:
        scraper = Scraper([bad, good])
        assert (await series(scraper)).value("bad_value") == 1
        bad.before = fail
        for _ in range(3):
            found = await series(scraper)
            assert found.value("bad_value") is None
            assert (found.value("good_value") or 0) > 1
            assert found.value(SUCCESS, collector="bad") == 0
            assert found.value(SUCCESS, collector="good") == 1
        assert scraper.messages() == {"bad": "RuntimeError: the disk is on fire"}
        bad.before = lambda: None
        found = await series(scraper)
        assert found.value("bad_value") == bad.runs
        assert found.value(SUCCESS, collector="bad") == 1
        assert scraper.messages() == {}

    with caplog.at_level(logging.WARNING):
        run(steps())
    assert [record.getMessage() for record in caplog.records] == [
        "collector bad failed: RuntimeError: the disk is on fire"
    ]


def test_half_a_collector() -> None:
    """One that raises in the middle of its families shows none of them."""

    class Half(Fake):
        def collect(self) -> Iterable[Metric]:
            yield from super().collect()
            fail()

    async def steps() -> None:
        found = await series(Scraper([Half("half"), Fake("good")]))
        assert found.value("half_value") is None
        assert found.value("good_value") == 1

    run(steps())


def test_one_without_data() -> None:
    """One that has nothing to say on this host says why, and counts as well."""

    def nothing() -> None:
        raise NoData("no GPU here")

    async def steps() -> None:
        scraper = Scraper([Fake("none", nothing)])
        found = await series(scraper)
        assert found.value("none_value") is None
        assert found.value(SUCCESS, collector="none") == 1
        assert scraper.messages() == {"none": "no GPU here"}

    run(steps())


def test_one_that_hangs(hang: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    """It has no series while it hangs, is started no second time, and is back when it comes back."""
    slow, good = Fake("slow", blocking=True), Fake("good")

    async def steps() -> None:
        scraper = Scraper([slow, good])
        assert (await series(scraper)).value("slow_value") == 1
        slow.before = lambda: wait(hang)
        for _ in range(3):
            found = await series(scraper)
            assert found.value("slow_value") is None
            assert (found.value("good_value") or 0) > 1
            assert found.value(SUCCESS, collector="slow") == 0
        assert slow.runs == 2
        assert scraper.messages() == {"slow": "did not come back in time"}
        hang.set()
        async with asyncio.timeout(10):
            while (await series(scraper)).value(SUCCESS, collector="slow") != 1:
                await asyncio.sleep(0.01)
        assert (await series(scraper)).value("slow_value") == slow.runs

    with caplog.at_level(logging.WARNING):
        run(steps())
    assert len(caplog.records) == 1


def test_two_that_hang_wait_together(hang: threading.Event) -> None:
    """The wait for several hanging ones is that for one."""

    async def steps() -> None:
        scraper = Scraper([Fake(f"slow{n}", lambda: wait(hang), blocking=True) for n in range(10)])
        began = asyncio.get_running_loop().time()
        await series(scraper)
        assert asyncio.get_running_loop().time() - began < 0.9

    run(steps())


def test_scrapes_together(hang: threading.Event) -> None:
    """Scrapes that come together share one run, and a client that hangs up spoils it for nobody."""
    slow = Fake("slow", lambda: wait(hang), blocking=True)

    async def steps() -> None:
        scraper = Scraper([slow])
        first, *others = [asyncio.create_task(series(scraper)) for _ in range(10)]
        async with asyncio.timeout(10):
            while slow.runs == 0:
                await asyncio.sleep(0.001)
        first.cancel()
        hang.set()
        for found in await asyncio.gather(*others):
            assert found.value("slow_value") == 1
        assert slow.runs == 1

    run(steps())


def test_nothing_is_rendered_twice() -> None:
    """One that says that nothing changed is not asked again, until it says otherwise."""
    steady = FakeVersioned("steady")

    async def steps() -> None:
        scraper = Scraper([steady])
        for _ in range(3):
            assert (await series(scraper)).value("steady_value") == 1
        assert steady.runs == 1
        steady.shown = 2
        assert (await series(scraper)).value("steady_value") == 2

    run(steps())


def test_only_some() -> None:
    """`only` leaves the others' series out, in plain and compressed answers."""

    async def steps() -> None:
        fakes: list[Collector] = [Fake("one"), Fake("two")]
        scraper = Scraper(fakes)
        packed = await scraper.scrape(openmetrics=True, gzipped=True, only=["two"])
        text = gzip.decompress(packed).decode()
        assert "two_value" in text
        assert "one_value" not in text
        assert text.endswith("# EOF\n")

    run(steps())
