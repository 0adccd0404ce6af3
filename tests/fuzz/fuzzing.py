"""How long hypothesis looks: short in every test run, long with `--full`."""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

FULL = 40
"""So many times the examples with `--full` (conftest.py sets the variable)."""


def examples(count: int) -> Callable[[Any], Any]:
    """Settings for one test. No deadline: work is measured by the target, and other processes share the machine."""
    return settings(
        max_examples=count * (FULL if os.environ.get("FUZZ_FULL") else 1),
        deadline=None,
        derandomize=not os.environ.get("FUZZ_FULL"),
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
