"""What loaded models hold, and what loading them took."""

from grafana_foundation_sdk.models.dashboard import Panel
from look import BYTES, LIMIT, Column
from panels import LIMIT_LEGEND, compared, lines, query
from queries import load, model


def panels() -> list[Panel]:
    """Memory held over time, and the peaks of the last loads beside prediction and limit."""
    return [
        lines(
            "Memory of loaded models",
            "Anonymous growth over the load plus the model's mapped files, over the processes that hold the model. "
            "Dashed: the models' limits. Runbook: ModelMemoryUsage.",
            [
                query(f"max by (model, target) ({load('model_memory_usage_bytes')})", "{{model}} {{target}}"),
                query(f"max by (model) ({load('model_memory_threshold_bytes')})", LIMIT_LEGEND + "{{model}}", ref="B"),
            ],
            BYTES,
            nothing="No model was held in this time range",
        ),
        compared(
            "Peak memory of the last load",
            "Resident and anonymous peak of each model's last load, beside what its files' headers predict and its "
            "limit. The anonymous peak is closest to what the OOM killer counts; a container needs room for it.",
            [
                _by_model("Peak resident", load("model_load_peak_rss_bytes"), "blue"),
                _by_model("Peak anonymous", load("model_load_peak_anonymous_bytes"), "purple"),
                _by_model("Predicted", model("model_memory_predicted_bytes"), "gray"),
                _by_model("Limit", load("model_memory_threshold_bytes"), LIMIT),
            ],
            BYTES,
            nothing="No load has ended yet",
        ),
    ]


def _by_model(header: str, expr: str, color: str) -> Column:
    return Column(header, f"max by (model) ({expr})", steps=((None, color),))
