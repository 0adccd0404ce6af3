"""The probes of all services, each at its own interval, on the daemon's loop."""

import asyncio
import contextlib
import logging
import random
import time

import aiohttp

from model_load_exporter.config import Config, Service
from model_load_exporter.loads import Loads
from model_load_exporter.recorder import Recorder
from model_load_exporter.services.probe import UNANSWERED, Probed, probe
from model_load_exporter.services.standing import ServiceStandings
from model_load_exporter.version import VERSION

logger = logging.getLogger(__name__)

LONGEST_SECONDS = 5.0
"""How long an answer is waited for: what a load balancer or a kubelet waits at most, commonly."""


class Prober:
    """Probes the services of one configuration. Lives on one event loop."""

    def __init__(self, standings: ServiceStandings, recorder: Recorder, loads: Loads) -> None:
        self._standings, self._recorder, self._loads = standings, recorder, loads
        self._services: dict[str, Service] = {}
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None

    def apply_config(self, config: Config) -> None:
        """Takes a configuration, the first or a new one. A service that did not change keeps its rhythm."""
        services = probed(config)
        for target in list(self._loops):
            if services.get(target) != self._services.get(target):
                self._loops.pop(target).cancel()
        self._services = services
        for target, service in services.items():
            if target not in self._loops:
                self._loops[target] = asyncio.create_task(self._repeat(service), name=f"service-{target}")

    async def stop(self) -> None:
        """Ends all probes."""
        for task in self._loops.values():
            task.cancel()
        await asyncio.gather(*self._loops.values(), return_exceptions=True)
        self._loops.clear()
        if self._session is not None:
            await self._session.close()

    async def _repeat(self, service: Service) -> None:
        # Many services, one exporter: not all at the same moment.
        await asyncio.sleep(random.uniform(0, min(service.interval, 1.0)))  # noqa: S311 - no secret
        last = time.monotonic()
        while True:
            began = time.monotonic()
            try:
                last = await self._once(service, last)
            except Exception:
                # Whatever it is, the next probe follows.
                logger.exception("a probe of %s went wrong", service.target)
            await asyncio.sleep(max(0.05, service.interval - (time.monotonic() - began)))

    async def _once(self, service: Service, last: float) -> float:
        """One probe; answers when it ended."""
        before = self._loading(service.target)
        since_last = time.monotonic() - last
        timeout = min(max(service.interval, 0.1), LONGEST_SECONDS)
        result = await self._ask(service, timeout)
        loading = before or self._loading(service.target)
        standing = self._standings.get(service.target)
        up = standing.up if standing is not None else None
        counts = self._standings.take(service.target, result, since_last, loading=loading)
        if counts is not None:
            self._recorder.submit(lambda: self._standings.keep(service.target, counts))
            _log(service.target, result, up)
        return time.monotonic()

    async def _ask(self, service: Service, timeout: float) -> Probed:
        if self._session is None:
            # A connection that is kept would hide a server that accepts nobody any more.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True, limit=0),
                headers={"User-Agent": f"model-load-exporter/{VERSION}"},
                trust_env=False,
            )
        found = await probe(self._session, service.url or service.model_url or "", timeout)
        # Where nobody answered, asking at a second address would only be a longer wait.
        if service.url and service.model_url and found.cause not in UNANSWERED:
            told = await probe(self._session, service.model_url, timeout)
            return Probed(found.seconds, found.cause, told.model_loaded, found.message)
        return found

    def _loading(self, target: str) -> bool:
        with self._loads.lock:
            return any(load.key[0] == target for load in self._loads.open.values())


def probed(config: Config) -> dict[str, Service]:
    """The services that have an address to ask, by target."""
    return {service.target: service for service in config.services if service.url or service.model_url}


def _log(target: str, result: Probed, was_up: bool | None) -> None:
    """A line when it changes, none for each probe."""
    with contextlib.suppress(ValueError):
        if result.cause is not None and was_up is not False:
            logger.warning("service %s does not answer well: %s: %s", target, result.cause, result.message)
        elif result.cause is None and was_up is False:
            logger.info("service %s answers again", target)
