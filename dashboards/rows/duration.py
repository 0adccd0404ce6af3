"""How long loads take, against their limits, and where the time goes."""

from grafana_foundation_sdk.models.dashboard import Panel
from look import SECONDS
from panels import LIMIT_LEGEND, lines, query, stacked_stages
from queries import load


def panels() -> list[Panel]:
    """Duration of loads and of their stages."""
    count = load("model_load_stage_duration_seconds_count")
    return [
        lines(
            "Load duration",
            "The longest load of each model: elapsed time while one is open, its duration for ten minutes after its "
            "end, else 0. Dashed: the models' limits. Runbook: ModelLoadTime.",
            [
                query(f"max by (model, target) ({load('model_load_duration_seconds')})", "{{model}} {{target}}"),
                query(
                    f"max by (model) ({load('model_load_duration_threshold_seconds')})",
                    LIMIT_LEGEND + "{{model}}",
                    ref="B",
                ),
            ],
            SECONDS,
        ),
        stacked_stages(
            "Mean time by stage",
            "Where loads spend their time: the mean of every finished stage that the exporters have on record, failed "
            "loads included. Canary loads are not counted here.",
            f"sum by (model, stage) ({load('model_load_stage_duration_seconds_sum')}) "
            f"/ (sum by (model, stage) ({count}) > 0)",
            nothing="No load has named its stages",
        ),
    ]
