"""What failed, why, and what to do first."""

from grafana_foundation_sdk.models.dashboard import Panel
from look import BAD, GOOD, SECONDS, Column, exporter_link
from panels import bars, query, rows
from queries import LOAD_LABELS, cells, copied, counted, load

from model_load_exporter.reasons import REASONS

FAMILY_COLORS = {
    "files": "yellow",
    "fit": "orange",
    "memory": "red",
    "gpu": "purple",
    "hub": "blue",
    "process": "green",
    "unknown": "text",
}

NO_FAILURE = "No failure counted in this time range (the last minute is not drawn yet)"


def panels() -> list[Panel]:
    """Failures over time and the last one of each kind."""
    failures = load("model_load_failures_total")
    return [
        bars(
            "Failures by reason",
            "Failed loads as the counters rose. What was counted while Prometheus could not scrape shows at the next "
            "scrape or not at all; the dashed marks and the table below have the time of the event itself.",
            query(counted("reason", failures), "{{reason}}"),
            nothing=NO_FAILURE,
            colors={
                "|".join(f"^{name}$" for name, one in REASONS.items() if one.family == family): color
                for family, color in FAMILY_COLORS.items()
            },
        ),
        bars(
            "Failures by model",
            "The same failures by model and service: one model alone points to its "
            "files or its limits, all at once to the host.",
            query(counted("model, target", failures), "{{model}} {{target}}"),
            nothing=NO_FAILURE,
        ),
        _last(),
    ]


def _last() -> Panel:
    failed, succeeded = load("model_load_failure_timestamp_seconds"), load("model_load_success_timestamp_seconds")
    by = f"{LOAD_LABELS}, reason, stage"
    still = f"{failed} > bool on ({LOAD_LABELS}) group_left () {succeeded}"
    ago = copied(cells(f"time() - {failed}", by), "reason", "what", "first")
    runbook = exporter_link("Runbook: this reason", "/runbooks/ModelLoadFailure#${__data.fields.Reason:raw}")
    return rows(
        "Last failure of each kind",
        "The last failure of each reason that a model has had, by the time at which it happened; it outlives restarts "
        "of the service and of the exporter. Open: the model has not loaded since.",
        [
            Column("Since", cells(still, by), states={0: ("recovered", GOOD), 1: ("open", BAD)}, width=95),
            Column("Ago", ago, unit=SECONDS, decimals=0, width=85),
            Column("Model", label="model", width=150),
            Column("Service", label="target", width=95),
            Column("Exporter", label="instance", width=110, link=exporter_link("Status page of this exporter", "/")),
            Column("Stage", label="stage", width=90),
            Column("Reason", label="reason", width=165, link=runbook),
            Column(
                "What happened", label="what", wrap=True, words={name: one.sentence for name, one in REASONS.items()}
            ),
            Column(
                "First thing to do", label="first", wrap=True, words={name: one.remedy for name, one in REASONS.items()}
            ),
        ],
        nothing="No failure is on record, or no exporter answers",
        height=7,
        sort=("Ago", False),
    )
