"""The dashboard's look, said once: colours, units, thresholds, the words for a state, what a cell can do."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders.dashboard import ThresholdsConfig
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DynamicConfigValue,
    FieldColor,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.units import BytesIEC, NoUnit, PercentUnit, Seconds

from model_load_exporter import attempt

SECONDS, BYTES, RATIO, COUNT = Seconds, BytesIEC, PercentUnit, NoUnit

GOOD, BUSY, WARN, BAD, CALM = "green", "blue", "orange", "red", "text"
LIMIT = "dark-red"
"""The colour of limits, which are drawn dashed: never that of a measured line."""

STAGES: Mapping[str, str] = dict(
    zip(
        attempt.STAGES,
        ("purple", "light-blue", "blue", "orange", "yellow", "green", "super-light-green", "dark-green", "gray"),
        strict=True,
    )
)
"""Every stage in the order in which loads go through them, each with one colour on all panels."""

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

Steps = Sequence[tuple[float | None, str]]
"""From which value on which colour; the first step has no value."""

States = Mapping[int, tuple[str, str]]
"""A number that stands for a state: its words and its colour."""

PLAIN: Steps = ((None, CALM),)
# The first step is also the colour of "no data", which is no good news: green begins at 0.
ANY_IS_BAD: Steps = ((None, CALM), (0, GOOD), (1, BAD))
ANY_IS_WORTH_A_LOOK: Steps = ((None, CALM), (0, GOOD), (1, WARN))
SHARE_OF_LIMIT: Steps = ((None, GOOD), (0.8, WARN), (1, BAD))


def thresholds(steps: Steps) -> ThresholdsConfig:
    """Absolute thresholds for a whole panel."""
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps([Threshold(at, color) for at, color in steps])


def states(words: States) -> list[ValueMap]:
    """Numbers shown as words."""
    results = {str(n): ValueMappingResult(text, color, index=n) for n, (text, color) in words.items()}
    return [ValueMap(results)]


def texts(words: Mapping[str, str]) -> list[ValueMap]:
    """Text shown as other text."""
    return [ValueMap({key: ValueMappingResult(text, index=n) for n, (key, text) in enumerate(words.items())})]


def fixed(color: str) -> DynamicConfigValue:
    """One colour, whatever the value."""
    return DynamicConfigValue("color", FieldColor(mode=FieldColorModeId.FIXED, fixed_color=color))


def exporter_link(title: str, path: str) -> dict[str, object]:
    """A link from a table's row to a page of the exporter in its column Exporter.

    Sound where the browser reaches the exporter at the address by which Prometheus knows it.
    """
    return {"title": title, "url": "http://${__data.fields.Exporter:raw}" + path, "targetBlank": True}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    header: its title. expr: the query of its values. label: the label that it shows instead; with expr, one that this
    query brings, whose value nobody needs. Of the rest, what fits: unit, decimals, width in pixels; steps colour the
    text, `bar` draws the value as a bar up to 1; states turn numbers into coloured words; words turn a value into
    other text; wrap lets it go over several lines; link leads to a page of the exporter.
    """

    header: str
    expr: str = ""
    label: str = ""
    unit: str = ""
    decimals: int | None = None
    width: int | None = None
    steps: Steps = ()
    bar: bool = False
    states: States | None = None
    words: Mapping[str, str] | None = None
    wrap: bool = False
    link: Mapping[str, object] | None = None

    @property
    def ref(self) -> str:
        """The name of its query."""
        return re.sub(r"\W+", "_", self.header).lower()

    def properties(self) -> list[DynamicConfigValue]:
        """What Grafana calls the overrides of this column."""
        # Without its own, an empty cell says why the whole table has no rows.
        found: list[tuple[str, object]] = [("noValue", "")]
        if self.unit:
            found.append(("unit", self.unit))
        if self.decimals is not None:
            found.append(("decimals", self.decimals))
        if self.width is not None:
            found.append(("custom.width", self.width))
        if self.steps:
            found.append(("thresholds", thresholds(self.steps).build()))
            found.append(("custom.cellOptions", self._bar() if self.bar else common.TableColorTextCellOptions()))
        if self.bar:
            found += [("min", 0), ("max", 1)]
        if self.states:
            mode = common.TableCellBackgroundDisplayMode.BASIC
            found.append(("mappings", states(self.states)))
            found.append(("thresholds", thresholds(((None, "transparent"),)).build()))
            found.append(("custom.align", "left"))
            found.append(("custom.cellOptions", common.TableColoredBackgroundCellOptions(mode)))
        if self.words:
            found.append(("mappings", texts(self.words)))
        if self.wrap:
            found.append(("custom.cellOptions", common.TableAutoCellOptions(wrap_text=True)))
        if self.link:
            found.append(("links", [self.link]))
        return [DynamicConfigValue(name, value) for name, value in found]

    @staticmethod
    def _bar() -> common.TableBarGaugeCellOptions:
        return common.TableBarGaugeCellOptions(common.BarGaugeDisplayMode.BASIC, common.BarGaugeValueMode.TEXT)
