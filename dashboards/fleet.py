"""Builds fleet.json, the Grafana dashboard "ML model loads: fleet overview".

python dashboards/fleet.py           writes fleet.json
python dashboards/fleet.py --check   exits 1 if fleet.json is not what this code builds
"""

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard
from look import DATASOURCE
from queries import TARGET, host, load
from rows import artifacts, canary, duration, exporters, failures, hosts, memory, now, services

GRID = 24

OUT = Path(__file__).with_suffix(".json")

ROWS: tuple[tuple[str, ModuleType], ...] = (
    ("Now", now),
    ("Failures", failures),
    ("Services", services),
    ("Load time", duration),
    ("Memory", memory),
    ("Canary loads", canary),
    ("Model files", artifacts),
    ("Hosts", hosts),
    ("Exporters", exporters),
)


def fleet() -> dashboard.Dashboard:
    """The whole dashboard."""
    board = (
        build.Dashboard("ML model loads: fleet overview")
        .uid("model-load-fleet")
        .description(
            "Which models are loaded, which fail to load and why, on every host that runs model-load-exporter."
        )
        .tags(["machine-learning", "model-load-exporter"])
        .time("now-6h", "now")
        .timezone("browser")
        .refresh("1m")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .annotation(_FailureMarks())
    )
    for variable in _variables():
        board.with_variable(variable)
    built = board.build()
    built.panels = _placed()
    return built


def _variables() -> list[build.DatasourceVariable | build.QueryVariable]:
    known, build_info = "model_load_duration_threshold_seconds", "model_load_exporter_build_info"
    source = build.DatasourceVariable("datasource").label("Data source").type("prometheus")
    return [
        source.current(dashboard.VariableOption(selected=True, text="default", value="default")),
        # No pattern for All: it must mean these jobs alone, because `up` exists for every other job too.
        _choice("job", "Job", f"label_values({build_info}, job)", everything=None),
        _choice("instance", "Exporter", f'label_values({build_info}{{job=~"$job"}}, instance)'),
        _choice("target", "Service", f"label_values({host(known)}, target)"),
        _choice("model", "Model", f"label_values({host(known, TARGET)}, model)"),
    ]


def _choice(name: str, label: str, query: str, everything: str | None = ".*") -> build.QueryVariable:
    """Several values or All, which for `.*` takes in the series without that label."""
    everyone = dashboard.VariableOption(selected=True, text=["All"], value=["$__all"])
    choice = build.QueryVariable(name).label(label).datasource(DATASOURCE).query({"query": query, "refId": name})
    choice.refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    choice.multi(True).include_all(True).current(everyone)
    return choice if everything is None else choice.all_value(everything)


class _Failure(dashboard.AnnotationQuery):
    """A mark on every graph at the time of each failure.

    The Prometheus data source reads its own keys, which the SDK's model lacks: the value of the series is the
    time of the mark, in milliseconds.
    """

    def to_json(self) -> dict[str, object]:
        return super().to_json() | {
            "useValueForTime": "on",
            "titleFormat": "{{model}} failed: {{reason}}",
            "textFormat": "service {{target}}, stage {{stage}}, seen by {{instance}}",
            "step": "60s",
        }


class _FailureMarks(build.AnnotationQuery):
    def __init__(self) -> None:
        self._internal = _Failure(
            name="Failed loads",
            datasource=DATASOURCE,
            icon_color="red",
            expr=f"{load('model_load_failure_timestamp_seconds')} * 1000",
            built_in=None,
            hide=None,
        )


def _placed() -> list[dashboard.Panel | dashboard.RowPanel]:
    """Every row's panels from left to right and top to bottom on the grid of 24 columns, numbered in that order."""
    placed: list[dashboard.Panel | dashboard.RowPanel] = []
    y = 0
    for title, row in ROWS:
        placed.append(dashboard.RowPanel(title=title, grid_pos=dashboard.GridPos(h=1, w=24, x=0, y=y), panels=[]))
        x, y, height = 0, y + 1, 0
        for panel in row.panels():
            if x + panel.grid_pos.w > GRID:
                x, y, height = 0, y + height, 0
            panel.grid_pos.x, panel.grid_pos.y = x, y
            x, height = x + panel.grid_pos.w, max(height, panel.grid_pos.h)
            placed.append(panel)
        y += height
    for number, panel in enumerate(placed, 1):
        panel.id_val = number
    return placed


def main() -> int:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description="Build the Grafana dashboard fleet.json.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is out of date")
    arguments = parser.parse_args()
    # The encoded text is compared, not what a reader of the file makes of it: the SDK's from_json drops keys.
    text = json.dumps(fleet(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
    if not arguments.check:
        OUT.write_text(text, encoding="utf-8")
        return 0
    if OUT.is_file() and OUT.read_text(encoding="utf-8") == text:
        return 0
    print(f"{OUT}: not what {Path(__file__).name} builds; run: make dashboards", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
