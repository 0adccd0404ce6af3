"""When the canary loads which model: each at its interval, with jitter, one at a time, never twice at once.

A scheduled run and a request for one (/probe) share a run. A run outlives the request that began it.
"""

import asyncio
import logging
import random
import time
import uuid

from model_load_exporter.canary.result import CanaryResult
from model_load_exporter.canary.run import run_canary
from model_load_exporter.canary.standing import Standing, Standings
from model_load_exporter.config import Config, Model
from model_load_exporter.looks import Look
from model_load_exporter.recorder import Recorder

logger = logging.getLogger(__name__)

FIRST_SECONDS = 3.0
"""The first runs after the start begin within this time: a new user waits for them."""
_JITTER = 0.1


class Schedule:
    """The canaries of one configuration. Lives on one event loop."""

    def __init__(
        self, standings: Standings, recorder: Recorder, spool: str, look: Look, procfs: str, sysfs: str
    ) -> None:  # fmt: skip
        """look: how to look at model files: Looker.ask."""
        self._standings = standings
        self._recorder = recorder
        self._spool = spool
        self._look = look
        self._procfs, self._sysfs = procfs, sysfs
        self._models: dict[str, Model] = {}
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._runs: dict[str, asyncio.Task[CanaryResult]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._last_skip: dict[str, float] = {}

    def apply_config(self, config: Config) -> None:
        """Takes a configuration, the first or a new one. A model that did not change keeps its rhythm."""
        models = {model.name: model for model in config.models if model.canary is not None}
        for name in list(self._loops):
            if models.get(name) != self._models.get(name):
                self._loops.pop(name).cancel()
        self._models = models
        for name in models:
            if name not in self._loops:
                self._loops[name] = asyncio.create_task(self._repeat(name), name=f"canary-{name}")

    def names(self) -> tuple[str, ...]:
        """The models that have a canary."""
        return tuple(self._models)

    def model(self, name: str) -> Model | None:
        """A model that has a canary."""
        return self._models.get(name)

    def due(self, name: str) -> bool:
        """True when the model's last run, or the try that was skipped, is a full interval ago."""
        return self._wait(name) <= 0

    def run(self, name: str) -> "asyncio.Task[CanaryResult]":
        """The model's run: the one under way, or a new one."""
        task = self._runs.get(name)
        if task is None or task.done():
            task = self._runs[name] = asyncio.create_task(self._run(self._models[name]), name=f"canary-run-{name}")
        return task

    def standing(self, name: str) -> Standing | None:
        """The model's counters and last result."""
        return self._standings.get(name)

    async def stop(self) -> None:
        """Ends every run; each leaves no process behind."""
        tasks = [*self._loops.values(), *self._runs.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _repeat(self, name: str) -> None:
        await asyncio.sleep(random.uniform(0, FIRST_SECONDS))  # noqa: S311 - jitter is no secret
        while True:
            wait = self._wait(name)
            if wait > 0:
                canary = self._models[name].canary
                assert canary is not None  # noqa: S101 - only such models are here
                await asyncio.sleep(wait + random.uniform(0, _JITTER * canary.interval))  # noqa: S311
                if not self.due(name):
                    continue
            try:
                await asyncio.shield(self.run(name))
            except asyncio.CancelledError:
                raise
            except Exception:  # the next interval is another chance
                logger.exception("the canary of %s could not be run", name)
                self._last_skip[name] = time.time()

    def _wait(self, name: str) -> float:
        """Seconds until the model's next run; at most one interval, whatever the clock did meanwhile."""
        canary = self._models[name].canary
        standing = self._standings.get(name)
        last = max(standing.last_run or 0.0 if standing is not None else 0.0, self._last_skip.get(name, 0.0))
        assert canary is not None  # noqa: S101 - only such models are here
        return min(last + canary.interval - time.time(), canary.interval)

    async def _run(self, model: Model) -> CanaryResult:
        async with self._one_at_a_time:
            attempt_id = f"c-{uuid.uuid4().hex}"
            self._recorder.adopted.add(attempt_id)
            self._standings.mark(model.name, running=True)
            try:
                result = await run_canary(
                    model,
                    spool_dir=self._spool,
                    attempt_id=attempt_id,
                    baseline=self._standings.baseline(model.name),
                    look=self._look,
                    culprit=False,
                    procfs=self._procfs,
                    sysfs=self._sysfs,
                )
                await self._record(result)
            finally:
                self._standings.mark(model.name, running=False)
                self._recorder.submit(lambda: self._recorder.forget_file(attempt_id))
        if result.outcome == "skipped":
            self._last_skip[model.name] = time.time()
        _log(result)
        return result

    async def _record(self, result: CanaryResult) -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def record() -> None:
            self._standings.record(result)
            loop.call_soon_threadsafe(done.set)

        self._recorder.submit(record)
        await done.wait()


def _log(result: CanaryResult) -> None:
    if result.outcome == "loaded":
        logger.info("canary of %s: loaded in %.2f s", result.model, result.duration_seconds)
        for check in result.checks:
            if check.ok is False:
                logger.warning(
                    "canary of %s: not as expected: %s: expected %s, found %s",
                    result.model, check.name, check.expected, check.found,
                )  # fmt: skip
    elif result.outcome == "skipped":
        logger.info("canary of %s: skipped, %s", result.model, result.message)
    else:
        logger.warning(
            "canary of %s: failed%s, %s: %s",
            result.model,
            f" at stage {result.stage}" if result.stage else "",
            result.reason,
            result.message,
        )
