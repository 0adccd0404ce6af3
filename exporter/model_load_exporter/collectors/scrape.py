"""One scrape: every collector brought up to date, each on its own, and the answer put together.

A collector that raises costs its own series; one that does not come back in time costs them too, while its thread goes
on waiting and no second one is started. Scrapes that come together share one run.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from prometheus_client import Metric

from model_load_exporter.collectors.base import Collector, NoData, gauge
from model_load_exporter.collectors.exposition import EOF_LINE, Segment, gzip_eof

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 2.0
"""How long a scrape waits for a collector that waits for a disk or a driver."""

BLOCKING_SECONDS = 5.0
"""How long what a blocking collector said is fresh: no thread is started for every scrape."""

SHARED_SECONDS = 0.25
"""A scrape this soon after another is answered from the same run."""


@dataclass(slots=True)
class _Status:
    """How a collector's last run went."""

    success: bool = True
    seconds: float = 0.0
    message: str = ""


@dataclass(slots=True)
class _Kept:
    """A collector and what is kept of it: a segment for each format."""

    collector: Collector
    text: Segment = field(default_factory=Segment)
    openmetrics: Segment = field(default_factory=Segment)
    status: _Status = field(default_factory=_Status)
    busy: bool = False
    ran: dict[bool, float] = field(default_factory=dict)

    def fresh(self, *, openmetrics: bool) -> bool:
        """True for a blocking collector that ran well a moment ago."""
        age = time.monotonic() - self.ran.get(openmetrics, -BLOCKING_SECONDS)
        return self.status.success and age < BLOCKING_SECONDS

    def update(self, *, openmetrics: bool) -> None:
        """Runs the collector and renders; failure is noted, not raised."""
        segment = self.openmetrics if openmetrics else self.text
        began = time.perf_counter()
        try:
            segment.update(self.collector, openmetrics=openmetrics)
            self.status = _Status(True, time.perf_counter() - began)
        except NoData as nothing:
            segment.clear()
            self.status = _Status(True, time.perf_counter() - began, str(nothing))
        except Exception as error:  # whatever a collector does, the others' series stay
            segment.clear()
            if self.status.success:
                logger.warning("collector %s failed: %s: %s", self.collector.name, type(error).__name__, error)
            self.status = _Status(False, time.perf_counter() - began, f"{type(error).__name__}: {error}")
        self.ran[openmetrics] = time.monotonic()


class Scraper:
    """All collectors, and the bytes they last said. Used from one event loop."""

    def __init__(self, collectors: Sequence[Collector]) -> None:
        self._kept = [_Kept(collector) for collector in collectors]
        self._own = _Kept(_CollectorStatus(self._kept))
        self._runs: dict[bool, tuple[float, asyncio.Task[None] | None]] = {}

    @property
    def own(self) -> Collector:
        """The collector that says how the others fared."""
        return self._own.collector

    @property
    def names(self) -> tuple[str, ...]:
        """The collectors, as `collect[]` names them."""
        return tuple(kept.collector.name for kept in self._kept)

    def messages(self) -> dict[str, str]:
        """What each collector that has no series says about it."""
        return {kept.collector.name: kept.status.message for kept in self._kept if kept.status.message}

    async def scrape(self, *, openmetrics: bool, gzipped: bool, only: Collection[str] = ()) -> bytes:
        """The exposition. only: names of collectors; empty = all."""
        await self._run(openmetrics=openmetrics)
        parts = []
        for kept in [*self._kept, self._own]:
            if only and kept.collector.name not in only and kept is not self._own:
                continue
            segment = kept.openmetrics if openmetrics else kept.text
            parts.append(segment.gzipped() if gzipped else segment.plain)
        if openmetrics:
            parts.append(gzip_eof() if gzipped else EOF_LINE)
        return b"".join(parts)

    async def _run(self, *, openmetrics: bool) -> None:
        when, task = self._runs.get(openmetrics, (0.0, None))
        if task is None or (task.done() and time.monotonic() - when > SHARED_SECONDS):
            task = asyncio.create_task(self._update(openmetrics=openmetrics))
            self._runs[openmetrics] = (time.monotonic(), task)
        # Shielded: a client that hangs up must not cancel the run that others wait for.
        await asyncio.shield(task)

    async def _update(self, *, openmetrics: bool) -> None:
        waiting = [
            self._in_thread(kept, openmetrics=openmetrics)
            for kept in self._kept
            if kept.collector.blocking and not kept.fresh(openmetrics=openmetrics)
        ]
        gathered = asyncio.gather(*waiting)
        for kept in self._kept:
            if not kept.collector.blocking:
                kept.update(openmetrics=openmetrics)
        await gathered
        self._own.update(openmetrics=openmetrics)

    async def _in_thread(self, kept: _Kept, *, openmetrics: bool) -> None:
        """Runs a collector that may hang on a thread of its own; gives up waiting after TIMEOUT_SECONDS."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        if kept.busy:
            self._late(kept)
            return

        def work() -> None:
            kept.update(openmetrics=openmetrics)
            kept.busy = False
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_resolve, done)

        kept.busy = True
        # A daemon thread: one that hangs in a dead mount must not keep the process from ending.
        threading.Thread(target=work, name=f"collector-{kept.collector.name}", daemon=True).start()
        try:
            await asyncio.wait_for(done, TIMEOUT_SECONDS)
        except TimeoutError:
            self._late(kept)

    def _late(self, kept: _Kept) -> None:
        kept.text.clear()
        kept.openmetrics.clear()
        if kept.status.success:
            logger.warning("collector %s does not come back; its series are missing until it does", kept.collector.name)
        kept.status = _Status(False, TIMEOUT_SECONDS, "did not come back in time")


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class _CollectorStatus:
    """How the other collectors fared in this run."""

    name = "collector_status"
    blocking = False

    def __init__(self, kept: Sequence[_Kept]) -> None:
        self._kept = kept

    def collect(self) -> Iterable[Metric]:
        success = gauge("model_load_exporter_collector_success", "1 if the collector's last run went well.")
        seconds = gauge("model_load_exporter_collector_duration_seconds", "Duration of the collector's last run.")
        for kept in self._kept:
            labels = {"collector": kept.collector.name}
            success.add_sample(success.name, labels, int(kept.status.success))
            seconds.add_sample(seconds.name, labels, round(kept.status.seconds, 6))
        return [success, seconds]
