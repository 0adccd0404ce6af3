"""Services as their clients see them: asked by the exporter at their health addresses."""

from grafana_foundation_sdk.models.dashboard import Panel
from look import BAD, BUSY, CALM, COUNT, GOOD, RATIO, SECONDS, WARN, Column, States, exporter_link
from panels import bars, lines, query, rows, states_over_time
from queries import cells, counted, load, service

NOT_ASKED = "No service is asked (config: services[].url), or no exporter answers"
SERVICE_LABELS = "job, instance, target"

STATES: States = {0: ("down", BAD), 1: ("no answer while loading", BUSY), 2: ("up", GOOD)}

UP = f"min by ({SERVICE_LABELS}) ({service('model_service_up')})"
LOADING = f"sum by ({SERVICE_LABELS}) ({load('model_load_in_progress')}) > 0"
STATE = f"({UP} == 0 and {LOADING}) * 0 + 1 or {UP} * 2"

CAUSES = {"^refused": "red", "^reset": "orange", "^timeout": "yellow", "^http_status": "purple", "^(tls|dns)": "blue"}

HELD = f"sum by ({SERVICE_LABELS}) ({load('model_loaded')})"
TOLD = f"min by ({SERVICE_LABELS}) ({service('model_service_model_loaded')})"
AGREES = f"{TOLD} - clamp_max({HELD}, 1) or {TOLD}"
"""0: the service and its journal say the same; 1: it says loaded and no process holds a model; -1: the other way."""


def panels() -> list[Panel]:
    """Whether they answer, why not, how fast; and how long not, because a model loaded."""
    failures = service("model_service_probe_failures_total")
    unresponsive = service("model_service_loading_unresponsive_seconds_total")
    return [
        states_over_time(
            "Services up or not",
            "The last probe of each service's health address. Down: refused, reset, no answer in time, or a bad "
            "status. Runbook: ModelServiceDown.",
            query(f"min by (target, instance) ({STATE})", "{{target}} {{instance}}"),
            STATES,
            nothing=NOT_ASKED,
        ),
        bars(
            "Failed probes by cause",
            "Refused and reset connections around a failed load are what its clients saw of it. "
            "Runbook: ModelConnectionResets.",
            query(counted("cause, target", failures), "{{cause}} {{target}}"),
            nothing="Every probe was answered well in this time range",
            colors=CAUSES,
        ),
        lines(
            "Time of the health answer",
            "Duration of the last probe, answered or not. A line at its top is the time limit of a probe.",
            [query(f"max by (target, instance) ({service('model_service_health_duration_seconds')})",
                   "{{target}} {{instance}}")],
            SECONDS,
            nothing=NOT_ASKED,
        ),
        lines(
            "No answer while a model loads",
            "Share of time in which a service gave no answer while one of its loads was open. "
            "Runbook: ModelServiceUnresponsiveWhileLoading.",
            [query(f"max by (target, instance) (rate({unresponsive}[$__rate_interval]))", "{{target}} {{instance}}")],
            RATIO,
            nothing=NOT_ASKED,
        ),
        _services(),
    ]  # fmt: skip


def _services() -> Panel:
    probes = service("model_service_probes_total")
    failed = service("model_service_probe_failures_total")
    unresponsive = service("model_service_loading_unresponsive_seconds_total")
    recent = f"topk by ({SERVICE_LABELS}) (1, round(increase({failed}[5m])) > 0)"
    any_failed = f"sum by ({SERVICE_LABELS}) (round(increase({failed}[24h])))"
    answer = service("model_service_health_duration_seconds")
    return rows(
        "Services",
        "One row for each service that is asked. Says: what the service itself answers (model_loaded); held: by the "
        "journal, over all models of the service. Where they disagree, one of them is not to be believed: the status "
        "page says which model. No answer: seconds, while one of its loads was open. "
        "Runbooks: ModelServiceDown, ModelServiceUnresponsiveWhileLoading.",
        [
            Column("State", _each(STATE), states=STATES, width=175),
            Column("Service", label="target"),
            Column("Exporter", label="instance", width=120, link=exporter_link("Status page of this exporter", "/")),
            Column("Answer", _each(answer), unit=SECONDS, decimals=1, width=85),
            Column("Says", _each(TOLD), states={0: ("not loaded", WARN), 1: ("loaded", GOOD)}, width=95),
            Column("Held", _each(HELD + f" and on ({SERVICE_LABELS}) {probes}"), unit=COUNT, width=60),
            Column("Word against journal", _each(AGREES), width=170,
                   states={-1: ("says not loaded, held", WARN), 0: ("agree", "transparent"),
                           1: ("says loaded, none held", WARN)}),
            Column("Failed, 5 min", cells(recent, f"{SERVICE_LABELS}, cause"), unit=COUNT,
                   steps=((None, CALM), (1, WARN)), width=105),
            Column("Cause", label="cause", width=100),
            Column("Failed, 24 h", _each(any_failed), unit=COUNT, width=100),
            Column("No answer, 24 h", _each(f"increase({unresponsive}[24h])"), unit=SECONDS, decimals=0,
                   steps=((None, CALM), (30, WARN)), width=125),
        ],
        nothing=NOT_ASKED,
        height=7,
        sort=("State", False),
    )  # fmt: skip


def _each(expr: str) -> str:
    return cells(expr, SERVICE_LABELS)
