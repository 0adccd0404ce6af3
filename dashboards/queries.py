"""PromQL that several panels share: the selections made by the dashboard's variables, and what "failing" means.

Labels: a load has job, instance, target, model; a canary job, instance, model; a host and the exporter job, instance.
"""

LOAD_LABELS = "job, instance, target, model"

TARGET = 'target=~"$target"'
MODEL = 'model=~"$model"'


def load(name: str, *matchers: str) -> str:
    """A metric with labels target and model, as the variables select it."""
    return _select(name, TARGET, MODEL, *matchers)


def model(name: str, *matchers: str) -> str:
    """A metric with the label model and no target: canaries, files, predictions."""
    return _select(name, MODEL, *matchers)


def service(name: str, *matchers: str) -> str:
    """A metric with the label target and no model: what the exporter sees of a service."""
    return _select(name, TARGET, *matchers)


def host(name: str, *matchers: str) -> str:
    """A metric of a host or of the exporter itself."""
    return _select(name, *matchers)


def _select(name: str, *matchers: str) -> str:
    selected = ",".join(('job=~"$job"', 'instance=~"$instance"', *matchers))
    return f"{name}{{{selected}}}"


KNOWN = load("model_load_duration_threshold_seconds")
"""One series for every known model: its limit is always exposed, whatever else is not."""

LAST_FAILURE = f"max without (reason, stage) ({load('model_load_failure_timestamp_seconds')})"

FAILING = f"({LAST_FAILURE} > {load('model_load_success_timestamp_seconds')})"
"""Models whose last load failed: the newest failure is younger than the newest success."""

NOT_LOADED = f"({load('model_loaded')} < {load('model_loaded_required')})"

LOADING = f"({load('model_load_in_progress')} > 0)"


def count_or_zero(of: str, among: str) -> str:
    """How many series `of` has: 0 while there are series `among` them, nothing (no data) where there are none."""
    return f"count({of}) or count({among}) * 0"


def counted(by: str, counter: str) -> str:
    """What counters rose by between two points of a graph, summed by labels, and only where they rose.

    The difference to one step ago, not increase(): that extrapolates whole events to fractions, and reads further back
    than one step, so that an event may stand in two bars.
    """
    return f"sum by ({by}) (clamp_min({counter} - {counter} offset $__interval, 0)) > 0"


def for_each_target(per_model: str) -> str:
    """A value that a model has once per host, given to each of its targets there."""
    return f"{KNOWN} * 0 + on (job, instance, model) group_left () {per_model}"


def copied(expr: str, label: str, *copies: str) -> str:
    """The same rows with copies of a label, so that one column shows its value and others what it means."""
    for copy in copies:
        expr = f'label_replace({expr}, "{copy}", "$1", "{label}", "(.+)")'
    return expr


def cells(expr: str, by: str = LOAD_LABELS) -> str:
    """One table row for each load, whatever labels the site adds to its targets.

    An empty label is no label to Prometheus, and the rows of several queries are merged by their common columns:
    so an empty target becomes a dash.
    """
    rows = f"max by ({by}) ({expr})"
    return f'label_replace({rows}, "target", "-", "target", "")' if "target" in by else rows
