"""The sources of evidence, by name: `--evidence.disable` and model_load_exporter_evidence_available use these."""

SOURCES = ("exit_status", "kernel_log", "cgroup", "locks")
