"""Models that come and go below a glob: seen without a reload, and kept while nobody can look."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from model_load_exporter.scout import Scout
from support.daemon import Daemon, running
from support.http import request
from support.hung import children_of, hung_mount, state_of
from support.hurried import HurriedDaemon, hurried
from support.models import model_folder
from support.wait import until


def models(daemon: Daemon) -> set[str]:
    return {dict(labels)["model"] for labels in daemon.series().all("model_load_duration_threshold_seconds")}


def scouts(daemon: HurriedDaemon) -> list[int]:
    found = []
    for pid in children_of(daemon.pid):
        try:
            if b"model_load_exporter.scout" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
        except OSError:
            pass
    return found


def test_models_come_and_go(tmp_path: Path) -> None:
    """A new folder is a model, verified and all, and one that is gone has no series; nothing is reloaded."""
    folder = tmp_path / "models"
    model_folder(folder / "aya")
    with hurried(tmp_path, f'models: [{{path: "{folder}/*", verify: {{interval: 1s}}}}]') as daemon:
        # From the first moment on: a load that was waiting in the spool is one of it.
        assert models(daemon) == {"aya"}
        model_folder(folder / "nllb")
        daemon.wait_for(1, "model_artifact_valid", model="nllb")
        assert models(daemon) == {"aya", "nllb"}
        (folder / "aya").rename(tmp_path / "away")
        until(lambda: models(daemon) == {"nllb"}, 10, "the model has left")
        log = daemon.log()
        assert log.index("models found: nllb") < log.index("models gone: aya")
        (only,) = scouts(daemon)
        assert daemon.end() == 0
        until(lambda: state_of(only) == "", 5, "its process is gone")


def test_a_reload_looks_at_once(tmp_path: Path) -> None:
    """Who cannot wait for a minute reloads."""
    folder = tmp_path / "models"
    with running(tmp_path, f'models: [{{path: "{folder}/*"}}]') as daemon:
        assert models(daemon) == set()
        model_folder(folder / "aya")
        assert request(f"{daemon.url}/-/reload", method="POST").status == 200
        until(lambda: models(daemon) == {"aya"}, 5, "the model is there")


def test_the_looking_process_dies(tmp_path: Path) -> None:
    """It is started again, and what was found before stays meanwhile."""
    folder = tmp_path / "models"
    model_folder(folder / "aya")
    with hurried(tmp_path, f'models: [{{path: "{folder}/*"}}]') as daemon:
        (first,) = scouts(daemon)
        os.kill(first, signal.SIGKILL)
        assert models(daemon) == {"aya"}
        model_folder(folder / "nllb")
        until(lambda: models(daemon) == {"aya", "nllb"}, 10, "looking goes on")


@pytest.mark.root
def test_a_folder_that_hangs(tmp_path: Path) -> None:
    """Its models stay known and the daemon answers; when it is back, looking goes on."""
    folder = tmp_path / "models"
    model_folder(folder / "aya")
    with hurried(tmp_path, f'models: [{{path: "{folder}/*"}}]', mounts=True) as daemon:
        with hung_mount(daemon.pid, folder):
            until(lambda: "looking for models hangs" in daemon.log(), 20, "it is told")
            assert models(daemon) == {"aya"}
            assert len(scouts(daemon)) == 1
            assert daemon.get("/-/healthy").status == 200
        model_folder(folder / "nllb")
        until(lambda: models(daemon) == {"aya", "nllb"}, 20, "looking goes on")
        assert daemon.log().count("looking for models hangs") == 1
        # Nor did they leave when the sleepers woke with an error.
        assert "models gone" not in daemon.log()


def test_without_globs_there_is_no_process() -> None:
    """Most configurations cost nothing."""
    scout = Scout(())
    scout.first()
    assert scout.matches == {}
    assert scout._process is None
    scout.close()


def test_what_was_known_holds_until_the_first_look(tmp_path: Path) -> None:
    """Of a glob that stays, earlier matches stay; a glob that is new has none yet."""
    pattern, new = f"{tmp_path}/*", f"{tmp_path}/x*"
    scout = Scout((pattern, new), {pattern: ["/a"], "/gone/*": ["/b"]})
    try:
        assert scout.matches == {pattern: ["/a"]}
        scout.first()
        assert scout.matches == {pattern: [], new: []}
    finally:
        scout.close()


def test_changes_are_told_once(tmp_path: Path) -> None:
    """What was found is told when it differs, and not at every look."""
    told: list[int] = []

    async def watch() -> None:
        scout = Scout((f"{tmp_path}/*",), seconds=0.05)
        scout.first()

        async def changed() -> None:
            told.append(sum(map(len, scout.matches.values())))

        scout.watch(changed)
        for number in range(3):
            (tmp_path / str(number)).mkdir()
            deadline = asyncio.get_running_loop().time() + 20
            while len(told) < number + 1:
                assert asyncio.get_running_loop().time() < deadline
                await asyncio.sleep(0.01)
        scout.close()

    asyncio.run(watch())
    assert told == [1, 2, 3]
