"""The kinds of panel that the dashboard uses. Each lacks only its id and its place, which fleet.py gives."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders import barchart, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import common as shape
from grafana_foundation_sdk.builders.dashboard import FieldColor
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    GridPos,
    Panel,
)
from grafana_foundation_sdk.models.dashboard import FieldColor as FieldColorValue
from grafana_foundation_sdk.models.prometheus import PromQueryFormat
from look import DATASOURCE, LIMIT, PLAIN, STAGES, Column, States, Steps, fixed, states, thresholds

LIMIT_LEGEND = "limit of "
"""How the legend of a limit begins; such a series is drawn dashed and stays out of the panel's legend."""

LABELS = ("job", "instance", "target", "model", "stage", "reason", "cause")
"""Labels that a table shows only where a column asks for them."""

AnyPanel = TypeVar("AnyPanel", stat.Panel, table.Panel, timeseries.Panel, statetimeline.Panel, barchart.Panel)


def query(expr: str, legend: str = "", *, ref: str = "A", at_end: bool = False) -> Dataquery:
    """A query over the time range, or of the values at its end alone."""
    one = Dataquery().ref_id(ref).expr(expr).datasource(DATASOURCE).legend_format(legend or "__auto")
    one.format(PromQueryFormat.TIME_SERIES)
    return one.instant() if at_end else one.range()


def rows_query(expr: str, ref: str) -> Dataquery:
    """A query whose series at the end of the time range become rows."""
    return Dataquery().ref_id(ref).expr(expr).datasource(DATASOURCE).format(PromQueryFormat.TABLE).instant()


def number(title: str, about: str, expr: str, *, steps: Steps = PLAIN, nothing: str = "no data") -> Panel:
    """One count, now. nothing: what to say where nobody counts it."""
    panel = _begin(stat.Panel(), title, about, "none", (3, 4), nothing).with_target(query(expr, at_end=True))
    panel.thresholds(thresholds(steps)).color_scheme(FieldColor().mode(FieldColorModeId.THRESHOLDS))
    panel.reduce_options(shape.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    panel.graph_mode(common.BigValueGraphMode.NONE).color_mode(common.BigValueColorMode.VALUE)
    return panel.text_mode(common.BigValueTextMode.VALUE).build()


def rows(
    title: str,
    about: str,
    columns: Sequence[Column],
    *,
    nothing: str,
    height: int,
    sort: tuple[str, bool],
    width: int = 24,
) -> Panel:
    """A table; the columns' queries are joined by the labels that they have in common. sort: header, descending."""
    panel = _begin(table.Panel(), title, about, "none", (width, height), nothing)
    queried = [column for column in columns if column.expr]
    for column in queried:
        panel.with_target(rows_query(column.expr, column.ref))
    value = "Value #{}" if len(queried) > 1 else "Value"
    names = {column.label or value.format(column.ref): column.header for column in columns}
    brought = [value.format(column.ref) for column in queried if column.label]
    hidden = [name for name in ("Time", *LABELS, *brought) if name not in names]
    panel.with_transformation(DataTransformerConfig("merge", options={}))
    panel.with_transformation(
        DataTransformerConfig(
            "organize",
            options={
                "excludeByName": dict.fromkeys(hidden, True),
                "indexByName": {name: n for n, name in enumerate(names)},
                "renameByName": names,
            },
        )
    )
    for column in columns:
        panel.override_by_name(column.header, column.properties())
    header, descending = sort
    panel.sort_by([shape.TableSortByFieldState().display_name(header).desc(descending)])
    panel.thresholds(thresholds(PLAIN))
    return panel.cell_height(common.TableCellHeight.SM).build()


def lines(
    title: str,
    about: str,
    queries: Sequence[Dataquery],
    unit: str,
    *,
    width: int = 12,
    nothing: str = "No data in this time range",
    top: float | None = None,
) -> Panel:
    """Values over time, one line a series; limits (legend `limit of ...`) dashed."""
    panel = _graph(title, about, queries, unit, width, nothing)
    panel.line_width(2).fill_opacity(6).show_points(common.VisibilityMode.NEVER).span_nulls(False)
    panel.tooltip(shape.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING))
    if top is not None:
        panel.max(top)
    return panel.override_by_regexp(
        f"/^{LIMIT_LEGEND}/",
        [
            fixed(LIMIT),
            DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 8]}),
            DynamicConfigValue("custom.lineWidth", 1),
            DynamicConfigValue("custom.fillOpacity", 0),
            DynamicConfigValue("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False}),
        ],
    ).build()


def bars(
    title: str, about: str, one: Dataquery, *, nothing: str, colors: Mapping[str, str] | None = None, width: int = 12
) -> Panel:
    """Whole events over time, stacked: one bar is what happened since the bar before.

    colors: a family of colours for the series whose names match a pattern.
    """
    panel = _graph(title, about, [one], "none", width, nothing, calcs=("sum",)).decimals(0)
    # Not longer: a bar is drawn when its time is over, and whom a page sends here looks at the last one.
    panel.interval("1m")
    for pattern, color in (colors or {}).items():
        shades = FieldColorValue(mode=FieldColorModeId.SHADES, fixed_color=color)
        panel.override_by_regexp(f"/{pattern}/", [DynamicConfigValue("color", shades)])
    panel.draw_style(common.GraphDrawStyle.BARS).fill_opacity(80).line_width(1).axis_soft_max(2)
    return panel.stacking(shape.StackingConfig().mode(common.StackingMode.NORMAL).group("A")).build()


def states_over_time(
    title: str, about: str, one: Dataquery, words: States, *, nothing: str, width: int = 12, height: int = 8
) -> Panel:
    """A band for each series, coloured by its state."""
    panel = _begin(statetimeline.Panel(), title, about, "none", (width, height), nothing).with_target(one)
    panel.mappings([*states(words)]).color_scheme(FieldColor().mode(FieldColorModeId.THRESHOLDS))
    panel.thresholds(thresholds(PLAIN)).show_value(common.VisibilityMode.NEVER).row_height(0.8).fill_opacity(80)
    panel.merge_values(True).line_width(0)
    return panel.legend(_legend()).build()


def stacked_stages(title: str, about: str, expr: str, *, nothing: str, width: int = 12) -> Panel:
    """How long each model spends in each stage: a bar a model, a colour a stage. expr: seconds by model and stage."""
    panel = _begin(barchart.Panel(), title, about, "s", (width, 8), nothing).with_target(rows_query(expr, "A"))
    order = {name: n for n, name in enumerate(("model\\stage", *STAGES))}
    panel.with_transformation(
        DataTransformerConfig(
            "groupingToMatrix",
            options={
                "columnField": "stage",
                "rowField": "model",
                "valueField": "Value",
                "emptyValue": "null",
            },
        )
    )
    panel.with_transformation(
        DataTransformerConfig(
            "organize",
            options={
                "excludeByName": {},
                "indexByName": order,
                "renameByName": {"model\\stage": "model"},
            },
        )
    )
    for stage, color in STAGES.items():
        panel.override_by_name(stage, [fixed(color)])
    panel.orientation(common.VizOrientation.HORIZONTAL).stacking(common.StackingMode.NORMAL).x_field("model")
    panel.show_value(common.VisibilityMode.NEVER).fill_opacity(80).line_width(0).bar_width(0.7)
    return panel.legend(_legend()).build()


def compared(title: str, about: str, columns: Sequence[Column], unit: str, *, nothing: str, width: int = 12) -> Panel:
    """Several values of each model side by side. Each column's expr gives one value a model."""
    panel = _begin(barchart.Panel(), title, about, unit, (width, 8), nothing)
    for column in columns:
        panel.with_target(rows_query(column.expr, column.ref))
    panel.with_transformation(DataTransformerConfig("merge", options={}))
    names = {f"Value #{column.ref}": column.header for column in columns}
    panel.with_transformation(
        DataTransformerConfig(
            "organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": {},
                "renameByName": names,
            },
        )
    )
    for column in columns:
        panel.override_by_name(column.header, [fixed(column.steps[0][1])])
    panel.orientation(common.VizOrientation.HORIZONTAL).x_field("model").show_value(common.VisibilityMode.AUTO)
    panel.fill_opacity(80).line_width(0).bar_width(0.9).group_width(0.8)
    return panel.legend(_legend()).build()


def _begin(panel: AnyPanel, title: str, about: str, unit: str, size: tuple[int, int], nothing: str) -> AnyPanel:
    panel.title(title).description(about).datasource(DATASOURCE).unit(unit).no_value(nothing)
    return panel.grid_pos(GridPos(w=size[0], h=size[1]))


def _graph(
    title: str,
    about: str,
    queries: Sequence[Dataquery],
    unit: str,
    width: int,
    nothing: str,
    calcs: Sequence[str] = ("lastNotNull", "max"),
) -> timeseries.Panel:
    panel = _begin(timeseries.Panel(), title, about, unit, (width, 8), nothing).targets([*queries])
    panel.min(0).color_scheme(FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC))
    return panel.legend(_legend(*calcs))


def _legend(*calcs: str) -> shape.VizLegendOptions:
    mode = common.LegendDisplayMode.LIST
    legend = shape.VizLegendOptions().show_legend(True).display_mode(mode).placement(common.LegendPlacement.BOTTOM)
    return legend.calcs([*calcs])
