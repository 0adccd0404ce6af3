"""Model files on the disk, as the exporter verifies them without loading them."""

from grafana_foundation_sdk.models.dashboard import Panel
from look import BAD, BUSY, BYTES, CALM, COUNT, GOOD, RATIO, SECONDS, WARN, Column, States, exporter_link
from panels import bars, query, rows, states_over_time
from queries import cells, copied, counted, model

from model_load_exporter.reasons import REASONS

NOT_VERIFIED = "No files were verified in this time range"
MODEL_LABELS = "job, instance, model"

VERDICT: States = {-1: ("not yet", CALM), 0: ("bad", BAD), 1: ("good", GOOD)}


def panels() -> list[Panel]:
    """Verdicts and changes over time; the state of each model's files; why the bad ones are bad."""
    return [
        states_over_time(
            "Files good or bad",
            "The last verdict on each model's files, without loading them. A gap: the exporter was not scraped, or the "
            "files were not verified yet. Runbook: ModelArtifactInvalid.",
            query(f"min by (model, instance) ({model('model_artifact_valid')})", "{{model}} {{instance}}"),
            VERDICT,
            nothing=NOT_VERIFIED,
        ),
        bars(
            "Changes of files",
            "How often verifications saw other contents than before. A deployment is one; anything else is a question. "
            "Runbook: ModelArtifactChanged.",
            query(counted("model, instance", model("model_artifact_changes_total")), "{{model}} {{instance}}"),
            nothing="No files changed in this time range",
        ),
        _files(),
        _problems(),
    ]


def _by_model(expr: str) -> str:
    return cells(expr, MODEL_LABELS)


def _age(name: str) -> str:
    return f"time() - {model(name)}"


def _files() -> Panel:
    interval = model("model_artifact_verification_interval_seconds")
    verdict = f"{model('model_artifact_valid')} or {interval} * 0 - 1"
    verified, read = (
        _age("model_artifact_verified_timestamp_seconds"),
        _age("model_artifact_checksum_timestamp_seconds"),
    )
    status = exporter_link("Status page of this exporter", "/")
    late = ((None, CALM), (2, WARN), (3, BAD))
    work = f"2 * {model('model_artifact_verification_stuck')} > 0 or {model('model_artifact_verification_in_progress')}"
    errors = f"sum by ({MODEL_LABELS}) (round(increase({model('model_artifact_verification_errors_total')}[24h])))"
    errors += f" and on ({MODEL_LABELS}) {interval}"
    return rows(
        "Model files",
        "One row for each model whose files are verified. Verified: names, sizes and headers; read: every byte, which "
        "has an interval of its own. No verdict: tries of the last 24 hours that came to none. Later than three "
        "intervals means a mount that hangs, or too much to read. "
        "Runbook: ModelArtifactUnverified.",
        [
            Column("Files", _by_model(verdict), states=VERDICT, width=80),
            Column("Model", label="model"),
            Column("Exporter", label="instance", width=110, link=status),
            Column("Size", _by_model(model("model_artifact_size_bytes")), unit=BYTES, decimals=1, width=85),
            Column("Verified", _by_model(verified), unit=SECONDS, decimals=0, width=85),
            Column("of interval", _by_model(f"({verified}) / {interval}"), unit=RATIO, decimals=0, steps=late,
                   width=92),
            Column("Read", _by_model(read), unit=SECONDS, decimals=0, width=85),
            Column("of read interval", _by_model(f"({read}) / {model('model_artifact_checksum_interval_seconds')}"),
                   unit=RATIO, decimals=0, steps=late, width=126),
            Column("Work", _by_model(work), width=72,
                   states={0: ("idle", "transparent"), 1: ("running", BUSY), 2: ("stuck", BAD)}),
            Column("No verdict", _by_model(errors), unit=COUNT, steps=((None, CALM), (1, WARN)), width=92),
            Column("Modified", _by_model(_age("model_artifact_modified_timestamp_seconds")), unit=SECONDS, decimals=0,
                   width=85),
            Column("Changed", _by_model(_age("model_artifact_changed_timestamp_seconds")), unit=SECONDS, decimals=0,
                   width=85),
            Column("Changes", _by_model(model("model_artifact_changes_total")), unit=COUNT, width=75),
        ],
        nothing="No model's files are verified (config: verify), or no exporter answers",
        height=7,
        sort=("Files", False),
    )  # fmt: skip


def _problems() -> Panel:
    told = copied(
        cells(f"{model('model_artifact_problem')} == 1", f"{MODEL_LABELS}, reason"), "reason", "what", "first"
    )
    runbook = exporter_link("Runbook: this reason", "/runbooks/ModelLoadFailure#${__data.fields.Reason:raw}")
    return rows(
        "Why files are bad",
        "Every reason for which a file of the model is bad now; the exporter's status page names the files. "
        "Runbook: ModelArtifactInvalid.",
        [
            Column("Model", told, label="model", width=170),
            Column("Exporter", label="instance", width=110),
            Column("Reason", label="reason", width=140, link=runbook),
            Column("What it is", label="what", wrap=True, words={name: one.sentence for name, one in REASONS.items()}),
            Column("What to do", label="first", wrap=True, words={name: one.remedy for name, one in REASONS.items()}),
        ],
        nothing="No files are bad, or no exporter answers",
        height=6,
        sort=("Model", False),
    )
