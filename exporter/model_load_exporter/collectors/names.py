"""The collectors' names, for flags and help texts: without importing what the collectors need."""

COLLECTOR_NAMES = (
    "loads", "holders", "inference", "services", "canary", "artifacts", "prediction", "environment", "host",
    "cache_disk", "oom", "cgroup", "gpu", "exporter", "process",
)  # fmt: skip
