"""When which model's files are verified, in two lanes that do not wait for each other.

Looks: every model at its interval. Names, sizes and headers; a second of work, one at a time.
Reads: contents, when a look found other sizes or times than at the last read, and each `checksum_interval`: damage on
the disk leaves no other trace. Hours of slow work for large models, one at a time, not begun beside a canary load.

A mount that hangs costs its models their verdicts, and one process in each lane; the other models go on.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable

from model_load_exporter.config import Config, Model, Verify
from model_load_exporter.recorder import Recorder
from model_load_exporter.verification import launch
from model_load_exporter.verification.finding import Finding
from model_load_exporter.verification.mounts import mount_of
from model_load_exporter.verification.standing import Change, FileStanding
from model_load_exporter.verification.standings import FileStandings

logger = logging.getLogger(__name__)

FIRST_SECONDS = 3.0
"""The first looks after the start begin within this time."""

AGAIN_SECONDS = 300.0
"""How soon files that are bad are looked at again: a repair must not wait for the interval."""

SETTLE_SECONDS = 60.0
"""Files that were written so lately are not called bad yet: somebody may be copying them."""

_JITTER = 0.1
_BUSY_SECONDS = 1.0
_BUSY_MOST_SECONDS = 600.0


class Verifications:
    """The verifications of one configuration. Lives on one event loop."""

    def __init__(self, standings: FileStandings, recorder: Recorder, busy: Callable[[], bool] = lambda: False) -> None:
        """busy: True while a canary load runs."""
        self._standings = standings
        self._recorder = recorder
        self._busy = busy
        self._models: dict[str, Model] = {}
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._reading: tuple[str, asyncio.Task[None]] | None = None
        self._to_read: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._look_at_a_time = asyncio.Lock()
        self._hung: list[tuple[str, launch.Child, str | None]] = []
        self._put_off: dict[tuple[str, str], float] = {}
        self._tried: dict[str, float] = {}
        self._nudges: dict[str, asyncio.Event] = {}

    def apply_config(self, config: Config) -> None:
        """Takes a configuration, the first or a new one. A model that did not change keeps its rhythm."""
        models = with_verify(config)
        changed = {name for name in self._models if not _same(models.get(name), self._models[name])}
        for name in changed:
            self._loops.pop(name).cancel()
            self._to_read.pop(name, None)
            for level in ("header", "checksum"):
                self._put_off.pop((name, level), None)
            self._tried.pop(name, None)
            self._nudges.pop(name, None)
            if self._reading is not None and self._reading[0] == name:
                self._reading[1].cancel()
        self._models = models
        for name in models:
            if name not in self._loops:
                loop = self._repeat(name, at_once=name in changed)
                self._loops[name] = asyncio.create_task(loop, name=f"verify-{name}")
        if models and self._reader is None:
            self._reader = asyncio.create_task(self._read_in_turn(), name="verify-contents")

    async def stop(self) -> None:
        """Ends everything that is under way; a process that cannot be ended stays until its mount answers."""
        tasks = [*self._loops.values(), *([self._reader] if self._reader else [])]
        if self._reading is not None:
            tasks.append(self._reading[1])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- looks --------------------------------------------------------------------------------------------------

    async def _repeat(self, name: str, *, at_once: bool) -> None:
        await asyncio.sleep(random.uniform(0, FIRST_SECONDS))  # noqa: S311 - jitter is no secret
        while True:
            if not at_once:
                await self._until_due(name)
            at_once = False
            try:
                async with self._look_at_a_time:
                    await self._look(self._models[name])
            except asyncio.CancelledError:
                raise
            except Exception:  # the next interval is another chance
                logger.exception("the files of %s could not be verified", name)
            self._tried[name] = time.time()

    async def _until_due(self, name: str) -> None:
        """Sleeps until the model's next look. What a read of its contents found meanwhile may bring that forward."""
        nudge = self._nudges.setdefault(name, asyncio.Event())
        spread = random.uniform(1, 1 + _JITTER)  # noqa: S311 - jitter is no secret
        while (wait := self._wait(name)) > 0:
            nudge.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(nudge.wait(), wait * spread)

    def _wait(self, name: str) -> float:
        """Seconds until the model's next look; at most one interval, whatever the clock did meanwhile."""
        verify = _verify(self._models[name])
        standing = self._standings.get(name)
        interval = verify.interval
        if any((name, level) in self._put_off for level in ("header", "checksum")):
            interval = min(interval, SETTLE_SECONDS)
        elif standing is not None and standing.verified and not standing.valid:
            interval = min(interval, AGAIN_SECONDS)
        last = max((standing.verified if standing is not None else None) or 0.0, self._tried.get(name, 0.0))
        return min(last + interval - time.time(), interval)

    async def _look(self, model: Model) -> None:
        finding = await self._run(model, "header")
        if finding is None or self._too_fresh(model, finding):
            return
        verify = _verify(model)
        standing = await self._record(model, finding)
        if standing is None or verify.level != "checksum":
            return
        if self._reading is not None and self._reading[0] == model.name:
            return
        read = standing.checksummed
        if read is None or standing.stamp != finding.stamp or time.time() - read >= verify.checksum_interval:
            self._to_read[model.name] = None
            self._wake.set()

    # -- reads --------------------------------------------------------------------------------------------------

    async def _read_in_turn(self) -> None:
        while True:
            self._wake.clear()
            while self._to_read:
                await self._quiet()
                name = next(iter(self._to_read), "")
                self._to_read.pop(name, None)
                if name not in self._models:
                    continue
                task = asyncio.create_task(self._read(self._models[name]), name=f"verify-contents-{name}")
                self._reading = name, task
                # Waited for, not awaited: a reload cancels the one model's read and not this lane.
                await asyncio.wait((task,))
                self._reading = None
                if not task.cancelled() and (error := task.exception()) is not None:
                    logger.error("the files of %s could not be read", name, exc_info=error)
            await self._wake.wait()

    async def _quiet(self) -> None:
        """Waits while a canary load runs; canaries that run one after another do not hold this up for ever."""
        deadline = time.monotonic() + _BUSY_MOST_SECONDS
        while self._busy() and time.monotonic() < deadline:
            await asyncio.sleep(_BUSY_SECONDS)

    async def _read(self, model: Model) -> None:
        finding = await self._run(model, "checksum")
        if finding is not None and not self._too_fresh(model, finding):
            await self._record(model, finding)
        if model.name in self._nudges:
            self._nudges[model.name].set()

    # -- both ---------------------------------------------------------------------------------------------------

    async def _run(self, model: Model, level: str) -> Finding | None:
        """One verification in its process; None where it came to no verdict, which is counted and told."""
        if self._is_stuck(model):
            return None
        verify = _verify(model)
        spec = {"path": model.path, "manifest": verify.manifest, "level": level, "rate": verify.rate}
        self._standings.began(model.name)
        try:
            ended = await launch.run(spec, verify.timeout)
        finally:
            self._standings.ended(model.name)
        if ended.finding is not None:
            return ended.finding
        if ended.left is not None:
            self._hung.append((model.name, ended.left, mount_of(model.path or "")))
            self._standings.mark_stuck(model.name, stuck=True)
        self._recorder.submit(lambda: self._standings.fail(model.name, ended.cause, ended.message))
        logger.warning("the files of %s are not verified: %s", model.name, ended.message)
        return None

    def _is_stuck(self, model: Model) -> bool:
        """True while a process still hangs over this model's files, or over another model's on the same mount."""
        for hung in list(self._hung):
            if not hung[1].alive():
                logger.info("the read of the files of %s that hung has ended", hung[0])
                self._hung.remove(hung)
        mount = mount_of(model.path or "")
        # Everything is below /: there, only the model itself can be told to hang.
        stuck = any(
            name == model.name or (mount == where and mount not in (None, "/")) for name, _, where in self._hung
        )
        self._standings.mark_stuck(model.name, stuck=stuck)
        return stuck

    def _too_fresh(self, model: Model, finding: Finding) -> bool:
        """True where bad files were written a moment ago: they are looked at again before anybody is told.

        For an interval at most: a file that is written all the time is judged as it is.
        """
        interval = _verify(model).interval
        settle = min(SETTLE_SECONDS, interval)
        now = time.time()
        bad = any(not file.ok for file in finding.files)
        if not bad or finding.touched is None or now - finding.touched > settle:
            self._put_off.pop((model.name, finding.level), None)
            return False
        first = self._put_off.setdefault((model.name, finding.level), now)
        return now - first <= interval

    async def _record(self, model: Model, finding: Finding) -> FileStanding | None:
        """Hands a verdict to the recorder's thread; the model's standing then, None for a model that has left."""
        before = self._standings.get(model.name)
        done: asyncio.Future[tuple[FileStanding, Change | None] | None] = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()
        reads = _verify(model).level == "checksum"

        def record() -> None:
            try:
                result = self._standings.record(model.name, finding, time.time(), reads=reads)
            except KeyError:
                result = None
            loop.call_soon_threadsafe(_resolve, done, result)

        self._recorder.submit(record)
        recorded = await done
        if recorded is None or before is None:
            return None
        _log(model.name, before, *recorded)
        return recorded[0]


def with_verify(config: Config) -> dict[str, Model]:
    """The models whose files are verified, by name."""
    return {model.name: model for model in config.models if model.verify is not None and model.path}


def _verify(model: Model) -> Verify:
    assert model.verify is not None  # noqa: S101 - only such models are here
    return model.verify


def _same(one: Model | None, other: Model) -> bool:
    return one is not None and (one.path, one.verify) == (other.path, other.verify)


def _resolve(
    future: "asyncio.Future[tuple[FileStanding, Change | None] | None]",
    result: tuple[FileStanding, Change | None] | None,
) -> None:
    if not future.done():
        future.set_result(result)


def _log(name: str, before: FileStanding, now: FileStanding, change: Change | None) -> None:
    if change is not None:
        first = change.files[0]
        more = f", and {change.count - 1} more" if change.count > 1 else ""
        logger.warning(
            "the files of %s changed: %s, sha256 %s -> %s%s",
            name, first.path, first.old or "none", first.new or "none", more,
        )  # fmt: skip
    if now.valid:
        if before.verified is None or not before.valid:
            logger.info("the files of %s are good", name)
    elif {(p.path, p.reason) for p in now.problems} != {(p.path, p.reason) for p in before.problems}:
        first_problem = now.problems[0]
        more = f", and {len(now.problems) - 1} more" if len(now.problems) > 1 else ""
        logger.warning(
            "the files of %s are bad: %s, %s: %s%s",
            name, first_problem.path, first_problem.reason, first_problem.detail, more,
        )  # fmt: skip
