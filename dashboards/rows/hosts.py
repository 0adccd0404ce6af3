"""The hosts that the models load on: memory, disk, OOM kills."""

from grafana_foundation_sdk.models.dashboard import Panel
from look import BYTES, RATIO
from panels import bars, lines, query
from queries import counted, host

NOT_COLLECTED = "No data: the host collector is off, or no exporter is scraped"


def panels() -> list[Panel]:
    """What a load needs from its host."""
    return [
        lines(
            "Memory available",
            "What a load can take before the kernel has to reclaim or kill: MemAvailable of each host.",
            [query(f"max by (instance) ({host('model_host_memory_available_bytes')})", "{{instance}}")],
            BYTES,
            nothing=NOT_COLLECTED,
        ),
        lines(
            "Memory pressure",
            "Share of time in which at least one task waited for memory. Loads slow down before anything is killed.",
            [
                query(
                    f"max by (instance) (rate({host('model_host_memory_pressure_waiting_seconds_total')}"
                    "[$__rate_interval]))",
                    "{{instance}}",
                )
            ],
            RATIO,
            nothing=NOT_COLLECTED,
        ),
        lines(
            "Cache disk available",
            "Free space where models are stored and downloaded (cache_paths). A download that fills the disk "
            "fails with disk_full.",
            [
                query(
                    f"min by (instance, mountpoint) ({host('model_host_cache_disk_available_bytes')})",
                    "{{instance}} {{mountpoint}}",
                )
            ],
            BYTES,
            nothing=NOT_COLLECTED,
        ),
        bars(
            "OOM kills by scope",
            "Processes that the kernel killed for memory. host: the machine ran out; cgroup: a container's limit.",
            query(
                counted("scope, instance", host("model_host_oom_kills_total")),
                "{{scope}} {{instance}}",
            ),
            nothing="No OOM kill in this time range",
        ),
    ]
