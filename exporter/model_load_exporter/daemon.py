"""The daemon: puts the parts together, serves until a signal, and ends in good order."""

import asyncio
import contextlib
import errno
import logging
import os
import resource
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from model_load_exporter.canary.schedule import Schedule
from model_load_exporter.canary.standing import Standings
from model_load_exporter.collectors.own import ConfigStatus
from model_load_exporter.collectors.registry import Sources, collectors
from model_load_exporter.collectors.scrape import Scraper
from model_load_exporter.config import Config, ConfigError, load_config
from model_load_exporter.config.discover import expand, patterns
from model_load_exporter.identity import ModelIndex
from model_load_exporter.journal.line import READER_LOCK
from model_load_exporter.journal.reader import create_spool, lock_spool
from model_load_exporter.ledger import Ledger
from model_load_exporter.loads import Loads
from model_load_exporter.looks.looker import Looker
from model_load_exporter.notify import notify
from model_load_exporter.oom_count import OomCount
from model_load_exporter.recorder import Recorder
from model_load_exporter.scout import Scout
from model_load_exporter.services.prober import Prober, probed
from model_load_exporter.services.standing import ServiceStandings
from model_load_exporter.verification.schedule import Verifications, with_verify
from model_load_exporter.verification.standings import FileStandings
from model_load_exporter.version import VERSION
from model_load_exporter.web.app import application
from model_load_exporter.web.context import Context
from model_load_exporter.witness.witness import Witness

logger = logging.getLogger(__name__)

_SHUTDOWN_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Options:
    """What `serve` was told on its command line."""

    config_file: str | None
    listen: Sequence[str]
    spool: str
    state: str
    procfs: str = "/proc"
    sysfs: str = "/sys"
    evidence_disabled: Sequence[str] = ()
    collectors_disabled: Sequence[str] = ()


class StartError(Exception):
    """The daemon cannot start; the message is one line that says what to do."""


class Daemon:
    """One exporter: spool, recorder, canary and HTTP side of one host."""

    def __init__(self, options: Options) -> None:
        """Opens all it needs. Raises StartError, ConfigError, SpoolError, LedgerError."""
        self.options = options
        self._given = load_config(options.config_file) if options.config_file else Config()
        self.status = ConfigStatus(success_time=time.time())
        self._looker = Looker()
        threading.Thread(target=self._advise, name="advice", daemon=True).start()
        self._told: tuple[str, ...] = ()
        self._scout = Scout(patterns(self._given))
        self._scout.first()
        self.config = Config()
        self.config = self._expanded()
        _raise_file_limit()
        create_spool(options.spool)
        last_alive = _modified(f"{options.spool}/{READER_LOCK}")
        self._lock = lock_spool(options.spool)
        self.ledger = Ledger.open(options.state)
        if self.ledger.set_aside:
            logger.error(
                "the ledger was damaged: it is kept as %s, and counting begins anew in %s",
                self.ledger.set_aside, self.ledger.path,
            )  # fmt: skip
        self.loads = Loads(self.config, self.ledger, index=self._index(self.config))
        witness = Witness(options.procfs, options.sysfs, options.evidence_disabled, OomCount(self.ledger).cursor)
        self.recorder = Recorder(options.spool, self.loads, self.ledger, witness, options.procfs, last_alive)
        self.recorder.beat_on(self._lock)
        self.standings = Standings(self.ledger)
        self.standings.configure(_with_canary(self.config))
        self.schedule = Schedule(
            self.standings, self.recorder, options.spool, self._looker.ask, options.procfs, options.sysfs
        )
        self.files = FileStandings(self.ledger)
        self.files.configure(with_verify(self.config))
        self.verifications = Verifications(self.files, self.recorder, self._canary_runs)
        self.services = ServiceStandings(self.ledger)
        self.services.configure(set(probed(self.config)))
        self.prober = Prober(self.services, self.recorder, self.loads)
        sources = Sources(
            self.loads, self.standings, self.files, self.services, self.recorder, self.status, lambda: self.config,
            self._looker, options.procfs, options.sysfs,
        )  # fmt: skip
        self.scraper = Scraper(collectors(sources, options.collectors_disabled))
        self._reloading = asyncio.Lock()

    async def serve(self) -> None:
        """Serves until SIGTERM or SIGINT. Raises StartError when an address cannot be had."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        tasks: set[asyncio.Task[str]] = set()
        loop.add_signal_handler(signal.SIGHUP, lambda: tasks.add(asyncio.create_task(self.reload())))

        context = Context(
            self.loads, self.recorder, self.standings, self.schedule, self.files, self.services, self.scraper,
            self.status, self.options.config_file, self.options.state, VERSION, self.reload,
        )  # fmt: skip
        runner = web.AppRunner(application(context), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            addresses = await _listen(runner, self.options.listen)
            self.recorder.start()
            self.schedule.apply_config(self.config)
            self.verifications.apply_config(self.config)
            self.prober.apply_config(self.config)
            self._scout.watch(self._rediscover)
            for address in addresses:
                logger.info("listening on %s: status page at %s/, series at %s/metrics", address, address, address)
            await self._announce()
            await stop.wait()
            logger.info("stopping")
            notify("STOPPING=1")
        finally:
            self._scout.close()
            self._looker.close()
            await self.prober.stop()
            await self.verifications.stop()
            await self.schedule.stop()
            await runner.cleanup()
            if self.recorder.is_alive():
                await asyncio.to_thread(self.recorder.stop)
            else:
                self.ledger.close()
            os.close(self._lock)

    async def reload(self) -> str:
        """Reads the config file again. '' when it is in force; else what is wrong, and nothing has changed."""
        async with self._reloading:
            if self.options.config_file is None:
                return "there is no config file to read: start with --config.file"
            notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
            try:
                config = await asyncio.to_thread(load_config, self.options.config_file)
            except ConfigError as error:
                self.status.successful, self.status.message = False, str(error)
                for line in str(error).splitlines():
                    logger.error("reload: %s", line)
                logger.error("reload: the configuration in force stays")
                return str(error)
            finally:
                notify("READY=1")
            await self._take(config)
            self.status.successful, self.status.message, self.status.success_time = True, "", time.time()
            await asyncio.to_thread(self._advise)
            logger.info("reloaded %s", self.options.config_file)
            return ""

    async def _take(self, given: Config) -> None:
        """Puts a config file's content in force, with the models that its globs stand for now."""
        # A reload looks at once. Where the last look hangs, the next would hang beside it.
        if patterns(given) != self._scout.globs or not self._scout.hangs:
            scout = Scout(patterns(given), self._scout.matches)
            await asyncio.to_thread(scout.first)
            self._scout.close()
            self._scout = scout
            scout.watch(self._rediscover)
        self._given = given
        await self._apply(self._expanded())

    async def _rediscover(self) -> None:
        """Something else matches the globs: models came or went."""
        async with self._reloading:
            before, config = {model.name for model in self.config.models}, self._expanded()
            now = {model.name for model in config.models}
            if config == self.config:
                return
            await self._apply(config)
            for what, names in (("found", now - before), ("gone", before - now)):
                if names:
                    logger.info("models %s: %s", what, ", ".join(sorted(names)))

    def _expanded(self) -> Config:
        """The config file's content with plain models in place of its globs. Matches left out are told once."""
        expansion = expand(self._given, self._scout.matches, {model.name for model in self.config.models})
        for note in expansion.notes:
            if note not in self._told:
                logger.warning("%s", note)
        self._told = expansion.notes
        return expansion.config

    async def _apply(self, config: Config) -> None:
        """Hands the configuration to the recorder's thread, which owns the ledger, and then to the rest."""
        index = await asyncio.to_thread(self._index, config)
        applied = asyncio.Event()
        loop = asyncio.get_running_loop()

        def apply() -> None:
            with self.loads.lock:
                self.loads.apply_config(config, index)
            self.standings.configure(_with_canary(config))
            self.files.configure(with_verify(config))
            self.services.configure(set(probed(config)))
            loop.call_soon_threadsafe(applied.set)

        self.recorder.submit(apply)
        await applied.wait()
        self.config = config
        self.schedule.apply_config(config)
        self.verifications.apply_config(config)
        self.prober.apply_config(config)

    def _advise(self) -> None:
        """Says what the config file asks for in vain."""
        if self.options.config_file is None:
            return
        try:
            lines = self._looker.ask("advice", os.path.abspath(self.options.config_file))
        except TimeoutError:
            lines = ["a path that the config names does not answer: does its mount hang?"]
        except OSError as error:
            lines = [f"whether all that the config names is there is not known: {error.strerror}"]
        for line in lines:
            logger.warning("%s", line)

    def _index(self, config: Config) -> ModelIndex:
        """The models by their paths and by where these lead; a path that does not answer is taken as it is written."""
        paths = [model.path for model in config.models if model.path and model.path.startswith("/")]
        links = {}
        for path, answer in zip(paths, self._looker.ask_all([("link", path) for path in paths]), strict=True):
            with contextlib.suppress(OSError):
                links[path] = answer.value()
        return ModelIndex(config, links)

    def _canary_runs(self) -> bool:
        return any(self.standings.running(model.name) for model in self.config.models)

    async def _announce(self) -> None:
        """Tells systemd when what was in the spool is on record."""
        while not self.recorder.caught_up.is_set() and self.recorder.is_alive():
            await asyncio.sleep(0.01)
        notify("READY=1")


async def _listen(runner: web.AppRunner, addresses: Sequence[str]) -> list[str]:
    """Opens every address and answers them as URLs. Raises StartError."""
    urls: list[str] = []
    for address in addresses:
        host, port = _split(address)
        opened = len(runner.addresses)
        try:
            site = web.TCPSite(runner, host or None, port, backlog=128)
            await site.start()
        except OSError as error:
            hint = (
                "end the other program, or name another address"
                if error.errno == errno.EADDRINUSE
                else "name another address"
            )
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise StartError(f"cannot listen on {address}: {reason}; {hint}: --web.listen-address") from None
        name = f"[{host}]" if ":" in host else host or "localhost"
        # Not the port that was asked for: 0 has become a free one.
        urls.append(f"http://{name}:{runner.addresses[opened][1]}")
    return urls


def _split(address: str) -> tuple[str, int]:
    """Host ('' for all) and port of an address. Raises StartError."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise StartError(f"--web.listen-address {address}: write HOST:PORT or :PORT, with a port of 0 to 65535")
    return host.strip("[]"), int(port)


def _with_canary(config: Config) -> set[str]:
    return {model.name for model in config.models if model.canary is not None}


def _modified(path: str) -> float:
    with contextlib.suppress(OSError):
        return os.stat(path).st_mtime
    return 0.0


def _raise_file_limit() -> None:
    """Every open load and every process that holds a model costs two descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 1 << 20
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
