"""The exporter's own test loads: whether the next real load would work."""

from grafana_foundation_sdk.models.dashboard import Panel
from look import BAD, BUSY, BYTES, CALM, COUNT, GOOD, RATIO, SECONDS, WARN, Column, States, exporter_link
from panels import lines, query, rows, stacked_stages, states_over_time
from queries import cells, copied, model

from model_load_exporter.reasons import REASONS

NO_CANARY = "No canary ran in this time range"
CANARY_LABELS = "job, instance, model"

RESULT: States = {-1: ("never ran", CALM), 0: ("failing", BAD), 1: ("ok", GOOD)}
OUTPUT: States = {0: ("wrong", BAD), 1: ("as expected", GOOD)}


def panels() -> list[Panel]:
    """Results over time, duration, memory, stages; the state of each canary; why the failing ones fail."""
    by_model = "max by (model, instance)"
    legend = "{{model}} {{instance}}"
    return [
        states_over_time(
            "Canary results",
            "The result of each model's last canary load. A gap: the exporter was not scraped, or no canary ran yet. "
            "Runbook: ModelCanaryFailing.",
            query(f"min by (model, instance) ({model('model_canary_success')})", legend),
            RESULT,
            nothing=NO_CANARY,
        ),
        stacked_stages(
            "Stages of the last canary load",
            "Where each model's last canary load spent its time (the slowest host). A failed one ends early.",
            f"max by (model, stage) ({model('model_canary_stage_duration_seconds')})",
            nothing=NO_CANARY,
        ),
        lines(
            "Canary duration",
            "Seconds that the last canary load took, per model and host. A slow rise is a cache that no longer holds "
            "the files, or a slower disk.",
            [query(f"{by_model} ({model('model_canary_duration_seconds')})", legend)],
            SECONDS,
            nothing=NO_CANARY,
        ),
        lines(
            "Canary peak memory",
            "Resident peak of the last canary load, every page touched. A step up is a new revision, another dtype or "
            "another loader: it comes before the OOM kill in the service.",
            [query(f"{by_model} ({model('model_canary_peak_rss_bytes')})", legend)],
            BYTES,
            nothing=NO_CANARY,
        ),
        _canaries(),
        _reasons(),
    ]


def _by_canary(expr: str) -> str:
    return cells(expr, CANARY_LABELS)


def _canaries() -> Panel:
    interval = model("model_canary_interval_seconds")
    result = f"{model('model_canary_success')} or {interval} * 0 - 1"
    age = f"time() - {model('model_canary_last_run_timestamp_seconds')}"
    skipped = f"sum by ({CANARY_LABELS}) (round(increase({model('model_canary_skipped_total')}[24h])))"
    skipped += f" and on ({CANARY_LABELS}) {interval}"
    return rows(
        "Canaries",
        "One row for each configured canary. A last run older than three intervals means that it is skipped (no room "
        "for it beside what runs; counted here over 24 hours) or stuck.",
        [
            Column("Result", _by_canary(result), states=RESULT, width=88),
            Column("Model", label="model"),
            Column("Exporter", label="instance", width=110, link=exporter_link("Status page of this exporter", "/")),
            Column("Last run", _by_canary(age), unit=SECONDS, decimals=0, width=78),
            Column("Interval", _by_canary(interval), unit=SECONDS, decimals=0, width=78),
            Column("of interval", _by_canary(f"({age}) / {interval}"), unit=RATIO,
                   decimals=0, steps=((None, CALM), (2, WARN), (3, BAD)), width=92),
            Column("Running", _by_canary(model("model_canary_in_progress")), width=75,
                   states={0: ("no", "transparent"), 1: ("yes", BUSY)}),
            Column("Output", _by_canary(model("model_canary_output_match")), states=OUTPUT, width=98),
            Column("Skipped", _by_canary(skipped), unit=COUNT, width=75),
        ],
        nothing="No canary is configured, or no exporter answers",
        height=7,
        sort=("Result", False),
    )  # fmt: skip


def _reasons() -> Panel:
    failing = f"({model('model_canary_success')} == 0)"
    failures = f"{model('model_canary_failures_total')} and on ({CANARY_LABELS}) {failing}"
    told = copied(cells(failures, f"{CANARY_LABELS}, reason"), "reason", "first")
    runbook = exporter_link("Runbook: this reason", "/runbooks/ModelLoadFailure#${__data.fields.Reason:raw}")
    return rows(
        "Why canaries fail",
        "For each canary that fails now: every reason that it has ever failed for, and how often. "
        "Runbook: ModelCanaryFailing.",
        [
            Column("Count", told, unit=COUNT, width=80),
            Column("Model", label="model", width=150),
            Column("Exporter", label="instance", width=105),
            Column("Reason", label="reason", width=130, link=runbook),
            Column(
                "First thing to do", label="first", wrap=True, words={name: one.remedy for name, one in REASONS.items()}
            ),
        ],
        nothing="No canary fails, or no exporter answers",
        height=7,
        sort=("Count", True),
    )
