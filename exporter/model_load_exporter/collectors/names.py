"""The collectors' names, for flags and help texts: without importing what the collectors need."""

COLLECTOR_NAMES = (
    "loads", "holders", "canary", "prediction", "host", "cache_disk", "oom", "cgroup", "gpu", "exporter", "process",
)  # fmt: skip
