"""What the health addresses say of a state: the status of each case, and what a failed load's journal was."""

from pathlib import Path

import pytest

from model_load_exporter import track_load
from model_load_exporter.health.answers import answer
from model_load_exporter.health.own import snapshot
from model_load_exporter.health.state import Failure, Held, Loading, State

HELD = State(held=(Held("nllb"),))
FAILED = State(failures=(Failure("nllb", "file_missing", "gone", 1.0),))


def test_a_start_up_that_goes_on_is_loading_whatever_is_held() -> None:
    """A second model, a warm-up may follow: the app serves nobody yet."""
    assert answer("/health/ready", HELD, starting=True) == (503, {"status": "loading", "model_loaded": True})
    assert answer("/health", HELD, ["nllb"], starting=True) == (503, {"status": "loading", "model_loaded": True})
    assert answer("/health", HELD, ["nllb"]) == (200, {"status": "healthy", "model_loaded": True})


def test_a_load_that_failed_for_good_is_told_during_the_start_up() -> None:
    """While nothing else is tried; one that nobody needs does not hide that the start-up goes on."""
    assert answer("/health", FAILED, starting=True)[1]["status"] == "failed"
    optional = State(held=HELD.held, failures=(Failure("aya", "file_missing", "gone", 1.0),))
    assert answer("/health", optional, starting=True)[1]["status"] == "loading"
    assert answer("/health", optional)[1]["status"] == "healthy"
    again = State(open=(Loading("nllb", None, 1.0),), failures=FAILED.failures)
    assert answer("/health", again, starting=True)[1]["status"] == "loading"


def test_who_awaits_a_model_is_not_ready_without_one() -> None:
    """Nothing loaded and nothing begun: idle for an app, not there yet for a side process."""
    assert answer("/health/ready", State()) == (200, {"status": "idle", "model_loaded": False})
    assert answer("/health/ready", State(), awaited=True) == (503, {"status": "loading", "model_loaded": False})
    assert answer("/health/ready", FAILED, awaited=True)[1]["status"] == "failed"
    assert answer("/health/ready", HELD, awaited=True)[0] == 200
    assert answer("/health/live", State(), awaited=True)[0] == 200


@pytest.mark.usefixtures("spool")
def test_a_failed_load_that_was_witnessed_says_so() -> None:
    """The journal took it, though the file is closed by now."""
    with pytest.raises(FileNotFoundError), track_load("nllb"):
        raise FileNotFoundError
    assert answer("/model/health", snapshot())[1]["witnessed"] is True


def test_a_failed_load_that_nobody_witnessed_says_so(spool: Path) -> None:
    """There was no spool to tell it to."""
    (spool / "spool.json").unlink()
    with pytest.raises(FileNotFoundError), track_load("nllb"):
        raise FileNotFoundError
    told = answer("/model/health", snapshot())[1]
    assert (told["status"], told["witnessed"]) == ("failed", False)
