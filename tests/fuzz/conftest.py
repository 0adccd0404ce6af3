"""`--full` reaches hypothesis's settings, which are made when a test's module is imported."""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Before any module is collected."""
    if config.getoption("--full"):
        os.environ["FUZZ_FULL"] = "1"
