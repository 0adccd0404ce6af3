"""What every handler needs of the daemon, and where it finds it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from model_load_exporter.canary.schedule import Schedule
from model_load_exporter.canary.standing import Standings
from model_load_exporter.collectors.own import ConfigStatus
from model_load_exporter.collectors.scrape import Scraper
from model_load_exporter.loads import Loads
from model_load_exporter.recorder import Recorder
from model_load_exporter.services.standing import ServiceStandings
from model_load_exporter.verification.standings import FileStandings


@dataclass(slots=True)
class Context:
    """The running daemon. reload: reads the config file again; answers '' or what is wrong with it."""

    loads: Loads
    recorder: Recorder
    standings: Standings
    schedule: Schedule
    files: FileStandings
    services: ServiceStandings
    scraper: Scraper
    config: ConfigStatus
    config_file: str | None
    state_folder: str
    version: str
    reload: Callable[[], Awaitable[str]]


CONTEXT = web.AppKey("context", Context)
