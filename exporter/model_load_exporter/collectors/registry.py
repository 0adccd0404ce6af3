"""Every collector, a line each: its name is its file's, `--no-collector.NAME` switches it off."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from model_load_exporter.canary.standing import Standings
from model_load_exporter.collectors.artifacts import ArtifactsCollector
from model_load_exporter.collectors.base import Collector
from model_load_exporter.collectors.cache_disk import CacheDiskCollector
from model_load_exporter.collectors.canary import CanaryCollector
from model_load_exporter.collectors.cgroup import CgroupCollector
from model_load_exporter.collectors.environment import EnvironmentCollector
from model_load_exporter.collectors.gpu import GpuCollector
from model_load_exporter.collectors.holders import HoldersCollector
from model_load_exporter.collectors.host import HostCollector
from model_load_exporter.collectors.inference import InferenceCollector
from model_load_exporter.collectors.loads import LoadsCollector
from model_load_exporter.collectors.oom import OomCollector
from model_load_exporter.collectors.own import ConfigStatus, OwnCollector, ProcessMetrics
from model_load_exporter.collectors.prediction import PredictionCollector
from model_load_exporter.collectors.services import ServicesCollector
from model_load_exporter.config import Config
from model_load_exporter.loads import Loads
from model_load_exporter.looks.looker import Looker
from model_load_exporter.recorder import Recorder
from model_load_exporter.services.standing import ServiceStandings
from model_load_exporter.verification.standings import FileStandings


@dataclass(frozen=True, slots=True)
class Sources:
    """What collectors may read. config: the configuration in force, which a reload replaces."""

    loads: Loads
    standings: Standings
    files: FileStandings
    services: ServiceStandings
    recorder: Recorder
    config_status: ConfigStatus
    config: Callable[[], Config]
    looker: Looker
    procfs: str
    sysfs: str = "/sys"


COLLECTORS: dict[str, Callable[[Sources], Collector]] = {
    "loads": lambda sources: LoadsCollector(sources.loads),
    "holders": lambda sources: HoldersCollector(sources.loads),
    "inference": lambda sources: InferenceCollector(sources.loads),
    "services": lambda sources: ServicesCollector(sources.services),
    "canary": lambda sources: CanaryCollector(sources.standings, lambda: {m.name: m for m in sources.config().models}),
    "artifacts": lambda sources: ArtifactsCollector(sources.files, sources.config),
    "prediction": lambda sources: PredictionCollector(lambda: sources.config().models, sources.looker),
    "environment": lambda sources: EnvironmentCollector(sources.config),
    "host": lambda sources: HostCollector(sources.procfs),
    "cache_disk": lambda sources: CacheDiskCollector(lambda: sources.config().cache_paths, sources.looker),
    "oom": lambda sources: OomCollector(sources.recorder.oom.kills, readable=sources.recorder.evidence["kernel_log"]),
    "cgroup": lambda sources: CgroupCollector(sources.recorder.writers, sources.procfs, sources.sysfs),
    "gpu": lambda sources: GpuCollector(sources.recorder.writers, lambda: _kernel_xids(sources.recorder)),
    "exporter": lambda sources: OwnCollector(sources.recorder, sources.config_status),
    "process": lambda _sources: ProcessMetrics(),
}


def _kernel_xids(recorder: Recorder) -> Mapping[tuple[str, int], int] | None:
    log = recorder.witness.kernel_log
    return log.xids if log is not None else None


def collectors(sources: Sources, disabled: Collection[str] = ()) -> list[Collector]:
    """The collectors that are switched on."""
    return [make(sources) for name, make in COLLECTORS.items() if name not in disabled]
