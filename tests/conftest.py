"""Options of the test run, what is left out where it cannot run, and the spool and recorder that tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_load_exporter.instrument import state
from model_load_exporter.instrument.holder import holder
from model_load_exporter.journal.reader import create_spool
from support.recording import Recording


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--full`: long matrices in their full size."""
    parser.addoption("--full", action="store_true", help="run long matrices in their full size")
    parser.addoption("--update-golden", action="store_true", help="write tests/fixtures/golden as it is now")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what needs root, a GPU or the full size; pytest's last line says how many these are."""
    missing = {
        "full": not config.getoption("--full"),
        "gpu": not os.path.exists("/dev/nvidiactl"),
        "root": os.geteuid() != 0,
    }
    without = [name for name, there in missing.items() if there]
    left_out = [item for item in items if any(item.get_closest_marker(name) for name in without)]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A spool that the writers of this test find, and that nobody reads; the test's process holds nothing after it."""
    folder = tmp_path / "spool"
    create_spool(str(folder))
    monkeypatch.setenv("MODEL_LOAD_EXPORTER_SPOOL", str(folder))
    for name in ("MODEL_LOAD_EXPORTER_PARENT", "MODEL_LOAD_EXPORTER_TARGET", "TORCHELASTIC_RUN_ID", "RANK"):
        monkeypatch.delenv(name, raising=False)
    yield folder
    holder.exit()
    holder.forget()
    state.forget()


@pytest.fixture
def recording(spool: Path, tmp_path: Path) -> Iterator[Recording]:
    """A recorder that reads the spool of this test, as the daemon's does. It runs until the test ends."""
    with Recording(spool, tmp_path / "state") as running:
        yield running
