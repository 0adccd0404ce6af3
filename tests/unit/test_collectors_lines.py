"""Lines that are said again with other values are, to the byte, what prometheus_client would have said."""

from functools import partial

import pytest
from prometheus_client import Metric

from model_load_exporter.collectors.exposition import render_family
from model_load_exporter.collectors.lines import Lines

VALUES = (0, 1, -0.5, 1e21, 123456789.25, float("inf"), float("-inf"), float("nan"), True)
LABELS = ({}, {"model": 'a "quoted" \\ name\nof two lines'}, {"b": "ü", "a": "z"}, {"a": "z", "b": "ü"}, {"empty": ""})


def family(kind: str, value: float) -> Metric:
    metric = Metric("model_x", 'Help with "quotes", \\ and\na second line.', kind)
    for labels in LABELS:
        metric.add_sample("model_x_total" if kind == "counter" else "model_x", labels, value)
    return metric


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize("kind", ["gauge", "counter"])
def test_the_same_bytes(kind: str, openmetrics: bool) -> None:
    """For each value, in any order, with labels that need escaping."""
    lines = Lines(partial(render_family, openmetrics=openmetrics))
    for value in (*VALUES, *reversed(VALUES)):
        whole = b"".join(render_family(family(kind, value), openmetrics=openmetrics))
        assert lines.family(family(kind, value)) == whole
    assert len(lines) == len(LABELS)


def test_other_types_are_left_to_the_library() -> None:
    """A histogram has lines of several names; none of them is kept."""
    lines = Lines(partial(render_family, openmetrics=True))
    metric = Metric("model_h", "h", "histogram")
    metric.add_sample("model_h_bucket", {"le": "+Inf"}, 3)
    metric.add_sample("model_h_count", {}, 3)
    metric.add_sample("model_h_sum", {}, 4.5)
    assert lines.family(metric) == b"".join(render_family(metric, openmetrics=True))
    assert len(lines) == 0
