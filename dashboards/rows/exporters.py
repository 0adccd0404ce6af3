"""The witness itself: who watches, with what evidence, and whether it can be believed."""

from grafana_foundation_sdk.models.dashboard import Panel
from look import BAD, BYTES, CALM, COUNT, GOOD, RATIO, SECONDS, WARN, Column, States, exporter_link
from panels import bars, lines, query, rows, states_over_time
from queries import cells, counted, host

INSTANCE = "job, instance"

UP: States = {0: ("down", BAD), 1: ("up", GOOD)}
CONFIG: States = {0: ("rejected", BAD), 1: ("in force", GOOD)}


def panels() -> list[Panel]:
    """The exporters one by one, their collectors, their journal."""
    duration = host("model_load_exporter_collector_duration_seconds")
    errors = host("model_load_exporter_journal_errors_total")
    return [
        _exporters(),
        states_over_time(
            "Collectors",
            "Whether each collector delivered, on the worst host. A failing collector costs its own series only.",
            query(f"min by (collector) ({host('model_load_exporter_collector_success')})", "{{collector}}"),
            {0: ("failing", BAD), 1: ("ok", GOOD)},
            nothing="No exporter is scraped",
        ),
        lines(
            "Collector duration",
            "What each collector takes of a scrape, on the slowest host. Prometheus gives up at its scrape timeout.",
            [query(f"max by (collector) ({duration})", "{{collector}}")],
            SECONDS,
            nothing="No exporter is scraped",
        ),
        bars(
            "Journal errors by cause",
            "Lines and files of the spool that could not be read, and were counted instead of guessed.",
            query(counted("cause", errors), "{{cause}}"),
            nothing="Every journal line could be read",
        ),
        lines(
            "Size of the spool",
            "Bytes in each host's spool. It is bounded; one that only grows has no exporter reading it.",
            [query(f"max by (instance) ({host('model_load_exporter_spool_bytes')})", "{{instance}}")],
            BYTES,
        ),
    ]


def _exporters() -> Panel:
    def each(expr: str) -> str:
        return cells(expr, INSTANCE)

    config = host("model_load_exporter_config_last_reload_successful")
    config_time = host("model_load_exporter_config_last_reload_success_timestamp_seconds")
    failing = f"count by ({INSTANCE}) ({host('model_load_exporter_collector_success')} == 0)"
    failing += f" or count by ({INSTANCE}) ({host('model_load_exporter_collector_success')}) * 0"
    missing = f"count by ({INSTANCE}) ({host('model_load_exporter_evidence_available')} == 0)"
    missing += f" or count by ({INSTANCE}) ({host('model_load_exporter_evidence_available')}) * 0"
    version = cells(host("model_load_exporter_build_info"), f"{INSTANCE}, version")
    return rows(
        "Exporters",
        "One row for each exporter. Evidence missing: sources (kernel log, cgroups, exit status) that this "
        "exporter may not read; deaths are still seen, with a vaguer reason. Runbook: ModelLoadExporterDown.",
        [
            Column("State", each(host("up")), states=UP, width=70),
            Column("Exporter", label="instance", link=exporter_link("Status page of this exporter", "/")),
            Column("Version", version, label="version", width=130),
            # Of `up` like the state: where all else is gone, the one result of a table would lose its column's name.
            Column("Up, 24 h", each(f"avg_over_time({host('up')}[24h])"), unit=RATIO, decimals=1, width=90),
            Column("Configuration", each(config), states=CONFIG, width=115),
            Column("Configuration age", each(f"time() - {config_time}"), unit=SECONDS, decimals=0, width=140),
            Column("Collectors failing", each(failing), unit=COUNT, steps=((None, CALM), (1, BAD)), width=140),
            Column("Evidence missing", each(missing), unit=COUNT, steps=((None, CALM), (1, WARN)), width=140),
            Column("Journal events", each(host("model_load_exporter_journal_events_total")), unit=COUNT, width=120),
        ],
        nothing="No exporter is scraped",
        height=6,
        sort=("State", False),
    )
