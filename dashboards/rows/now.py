"""The first screen: is anything wrong, with which model, and what is under way."""

from grafana_foundation_sdk.models.dashboard import Panel
from look import (
    ANY_IS_BAD,
    ANY_IS_WORTH_A_LOOK,
    BAD,
    BUSY,
    BYTES,
    CALM,
    COUNT,
    GOOD,
    RATIO,
    SECONDS,
    SHARE_OF_LIMIT,
    WARN,
    Column,
    States,
    exporter_link,
)
from panels import number, rows
from queries import (
    FAILING,
    KNOWN,
    LOAD_LABELS,
    LOADING,
    NOT_LOADED,
    cells,
    count_or_zero,
    for_each_target,
    host,
    load,
    model,
)

DAY = "86400"

STATES: States = {
    0: ("not loaded", BAD),
    1: ("last load failed", BAD),
    2: ("loading again", WARN),
    3: ("loading", BUSY),
    4: ("loaded", GOOD),
    5: ("not in use", CALM),
}

STATE = (
    f"({LOADING} and {FAILING}) * 0 + 2 or {LOADING} * 0 + 3 or {FAILING} * 0 + 1 or {NOT_LOADED} * 0"
    f" or ({load('model_loaded')} > 0) * 0 + 4 or {KNOWN} * 0 + 5"
)

LAST_SUCCESS = (
    f"(time() - ({load('model_load_success_timestamp_seconds')} > 0))"
    f" or ({load('model_load_success_timestamp_seconds')} == 0) - 1"
)

NEWEST_FAILURE = f"topk by ({LOAD_LABELS}) (1, {load('model_load_failure_timestamp_seconds')})"

FAILURES_24H = (
    f"round(increase({load('model_load_failures_total')}[24h])) > 0 or "
    f"(time() - max without (stage) ({load('model_load_failure_timestamp_seconds')}) < {DAY}) * 0 + 1"
)

OVER_LIMIT = (
    f"({load('model_load_duration_seconds')} > {load('model_load_duration_threshold_seconds')})"
    f" or ({load('model_memory_usage_bytes')} > {load('model_memory_threshold_bytes')})"
)

EXPORTER_PROBLEMS = (
    f"(max by (job, instance) ({host('up')}) == 0)"
    f" or (min by (job, instance) ({host('model_load_exporter_collector_success')}) == 0)"
    f" or (min by (job, instance) ({host('model_load_exporter_config_last_reload_successful')}) == 0)"
)


def panels() -> list[Panel]:
    """Eight numbers, the table of models, the loads in progress."""
    return [*_numbers(), _models(), _in_progress()]


def _numbers() -> list[Panel]:
    return [
        number(
            "Not loaded",
            "Models that fewer processes hold than the configuration requires (services[].models), loading or not. "
            "No data: it requires none. Runbook: ModelLoadFailure.",
            count_or_zero(NOT_LOADED, load("model_loaded_required")),
            steps=ANY_IS_BAD,
        ),
        number(
            "Models failing",
            "Models whose last load failed: the newest failure is younger than the newest success. "
            "Reason and stage stand in the table below. Runbook: ModelLoadFailure.",
            count_or_zero(FAILING, KNOWN),
            steps=ANY_IS_BAD,
        ),
        number(
            "Canaries failing",
            "Models whose last canary load failed: the next real load is likely to fail as well. "
            "No data: no canary ran. Runbook: ModelCanaryFailing.",
            count_or_zero(f"{model('model_canary_success')} == 0", model("model_canary_success")),
            steps=ANY_IS_BAD,
        ),
        number(
            "Over a limit",
            "Models that now take longer to load, or hold more memory, than their limit. "
            "Runbooks: ModelLoadTime, ModelMemoryUsage.",
            count_or_zero(OVER_LIMIT, KNOWN),
            steps=ANY_IS_WORTH_A_LOOK,
        ),
        number(
            "Loading",
            "Load attempts open now. Elapsed time and progress stand in their table below.",
            f"sum({load('model_load_in_progress')})",
            steps=((None, CALM), (1, BUSY)),
        ),
        number(
            "Failures, 24 h",
            "Loads that failed in the 24 hours before the end of the time range, recovered or not. Counted from the "
            "counters; a failure that only its time tells of (a model seen for the first time) counts as one.",
            f"sum({FAILURES_24H}) or count({KNOWN}) * 0",
            steps=ANY_IS_WORTH_A_LOOK,
        ),
        number(
            "OOM kills, 24 h",
            "Processes that the kernel killed for memory in the last 24 hours on these hosts, model loads or not. "
            "No data: the collector is off.",
            f"sum(round(increase({host('model_host_oom_kills_total')}[24h])))",
            steps=ANY_IS_WORTH_A_LOOK,
        ),
        number(
            "Exporter faults",
            "Exporters that do not answer, have a failing collector, or run on an old configuration because the new "
            "one is wrong. While one is down its models are blind. Runbook: ModelLoadExporterDown.",
            count_or_zero(EXPORTER_PROBLEMS, host("up")),
            steps=ANY_IS_BAD,
            nothing="no exporter",
        ),
    ]


def _models() -> Panel:
    duration, seconds_limit = load("model_load_last_duration_seconds"), load("model_load_duration_threshold_seconds")
    memory, bytes_limit = load("model_memory_usage_bytes"), load("model_memory_threshold_bytes")
    status = exporter_link("Status page of this exporter", "/")
    runbook = exporter_link("Runbook: what to do", "/runbooks/ModelLoadFailure#${__data.fields.Reason:raw}")
    canary = {0: ("failing", BAD), 1: ("ok", GOOD)}
    return rows(
        "Models",
        "Every known model of every service on every host, worst first. Time and memory are shown against the limits "
        "in force; a dash as service means that the load named none. The links lead to the exporter's own pages.",
        [
            Column("State", cells(STATE), states=STATES, width=112),
            Column("Model", label="model", link=status),
            Column("Service", label="target", width=86),
            Column("Exporter", label="instance", width=105, link=status),
            Column("Canary", cells(for_each_target(model("model_canary_success"))), states=canary, width=66),
            Column("Held", cells(load("model_loaded")), unit=COUNT, width=50),
            Column("Required", cells(load("model_loaded_required")), unit=COUNT, width=76),
            Column("Last success", cells(LAST_SUCCESS), unit=SECONDS, decimals=0, words={"-1": "never"}, width=104),
            Column("Last load", cells(duration), unit=SECONDS, decimals=1, width=82),
            Column("Time / limit", cells(f"{duration} / {seconds_limit}"), unit=RATIO, decimals=0,
                   steps=SHARE_OF_LIMIT, bar=True, width=98),
            Column("Last failure", cells(f"time() - {NEWEST_FAILURE}", f"{LOAD_LABELS}, reason, stage"), unit=SECONDS,
                   decimals=0, width=95),
            Column("Reason", label="reason", link=runbook, width=160),
            Column("Stage", label="stage", width=74),
            Column("Memory", cells(memory), unit=BYTES, decimals=1, width=82),
            Column("Memory / limit", cells(f"{memory} / {bytes_limit}"), unit=RATIO, decimals=0,
                   steps=SHARE_OF_LIMIT, bar=True, width=116),
            Column("Predicted", cells(for_each_target(model("model_memory_predicted_bytes"))), unit=BYTES, decimals=1,
                   width=85),
        ],
        nothing="No model is known yet, or no exporter answers",
        height=9,
        sort=("State", False),
    )  # fmt: skip


def _in_progress() -> Panel:
    started, progress = load("model_load_started_timestamp_seconds"), load("model_load_progress_timestamp_seconds")
    elapsed = f"(time() - {started}) and {LOADING}"
    by_stage = f"{LOAD_LABELS}, stage"
    return rows(
        "Open load attempts",
        "Elapsed: since the oldest open attempt began. Last progress: how long ago the loading process was last seen "
        "to move, watched from outside it. A long time with recent progress is slow; without, it hangs. "
        "Runbook: ModelLoadTime.",
        [
            Column("Model", label="model"),
            Column("Service", label="target"),
            Column("Exporter", label="instance"),
            Column("Attempts", cells(LOADING), unit=COUNT, width=90),
            Column("Elapsed", cells(elapsed), unit=SECONDS, decimals=0, width=110),
            Column("Time / limit", cells(f"({elapsed}) / {load('model_load_duration_threshold_seconds')}"), unit=RATIO,
                   decimals=0, steps=SHARE_OF_LIMIT, bar=True, width=200),
            Column("Stage", label="stage", width=110),
            Column("Last progress", cells(f"time() - {progress}", by_stage), unit=SECONDS, decimals=0,
                   steps=((None, CALM), (60, WARN)), width=130),
        ],
        nothing="No load in progress, or no exporter answers",
        height=5,
        sort=("Elapsed", True),
    )  # fmt: skip
