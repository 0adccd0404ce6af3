"""Writers in other languages: the C and the shell program of docs/JOURNAL.md, read by the real recorder."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_load_exporter.journal.tail import Tail
from support.recording import Recording
from support.service import EXIT_STATUS_IS_TOLD
from support.wait import until

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "writers"
COMPILE = ("-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The C writer; skips where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler here")
    program = tmp_path_factory.mktemp("writer") / "writer"
    subprocess.run([compiler, *COMPILE, "-o", program, FIXTURES / "writer.c"], check=True)
    return str(program)


@pytest.fixture(params=["c", "sh", "bash"])
def writer(request: pytest.FixtureRequest) -> list[str]:
    """The command of one writer: C, the system's sh, and bash in its POSIX mode."""
    if request.param == "c":
        return [request.getfixturevalue("compiled")]
    if request.param == "bash":
        if shutil.which("bash") is None:
            pytest.skip("no bash here")
        return ["bash", "--posix", str(FIXTURES / "writer.sh")]
    return [str(FIXTURES / "writer.sh")]


@contextlib.contextmanager
def loading(writer: list[str], model: str, path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A writer at work; whatever is left of it and of its children goes at the end."""
    process = subprocess.Popen([*writer, model, str(path)], start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run(writer: list[str], model: str, path: Path) -> int:
    with loading(writer, model, path) as process:
        return process.wait(20)


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[Path]:
    """A model file whose bytes never come: a load of it stays in its weights."""
    path = tmp_path / "endless.gguf"
    os.mkfifo(path)
    held_open = os.open(path, os.O_RDWR)
    yield path
    os.close(held_open)


def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(os.urandom(100_000))
    return path


def test_a_load_is_told_with_its_stages(writer: list[str], recording: Recording, tmp_path: Path) -> None:
    """Success: counted under its name, with both stages and a duration, and without one line that is refused."""
    path = model_file(tmp_path)
    assert run(writer, 'a "quoted\\" model', path) == 0
    recording.until_recorded()
    [row] = recording.rows()
    assert (row.model, row.outcome, row.reason) == ('a "quoted\\" model', "loaded", None)
    assert [stage["name"] for stage in row.detail["stages"]] == ["config", "weights"]
    assert all(stage["seconds"] >= 0 for stage in row.detail["stages"])
    assert row.detail["path"] == str(path)
    assert row.seconds is not None
    assert 0 <= row.seconds < 20
    assert recording.problems() == {}


def test_a_failure_is_told_with_its_reason(writer: list[str], recording: Recording, tmp_path: Path) -> None:
    """A file that is missing: the stage, the reason and the words of the system."""
    assert run(writer, "nllb", tmp_path / "missing.gguf") != 0
    recording.until_recorded()
    [row] = recording.rows()
    assert (row.outcome, row.reason, row.stage) == ("failed", "file_missing", "config")
    assert "No such file" in row.message
    assert recording.tally("nllb").failures == {"file_missing": 1}
    assert recording.problems() == {}


def test_a_kill_in_mid_load_is_seen_and_named(writer: list[str], recording: Recording, endless: Path) -> None:
    """kill -9 while it reads: the lock goes with the process, and the witness says killed, at the stage it was in."""
    with loading(writer, "nllb", endless) as process:
        recording.until(lambda: stages(recording) == ["config", "weights"], "the load reads its weights")
        process.kill()
        process.wait(20)
        recording.until(lambda: bool(recording.tally("nllb").failures), "the death is counted")
    reason = "killed" if EXIT_STATUS_IS_TOLD else "process_died"
    assert recording.tally("nllb").failures == {reason: 1}
    recording.until_recorded()
    [row] = recording.rows()
    assert (row.outcome, row.reason, row.stage) == ("failed", reason, "weights")


def test_the_end_of_its_child_does_not_end_the_load(recording: Recording, endless: Path) -> None:
    """Shell: the command that loads is killed, the shell goes on and tells the failure itself."""
    with loading([str(FIXTURES / "writer.sh")], "nllb", endless) as process:
        recording.until(lambda: stages(recording) == ["config", "weights"], "the load reads its weights")
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        [subshell] = until(lambda: Path(children).read_text().split(), 5, "it has a child")
        below = Path(f"/proc/{subshell}/task/{subshell}/children").read_text().split()
        os.kill(int((below or [subshell])[0]), signal.SIGKILL)
        assert process.wait(20) == 137
    recording.until_recorded()
    [row] = recording.rows()
    assert (row.outcome, row.reason, row.stage, row.detail["confidence"]) == ("failed", "killed", "weights", "told")


def test_the_file_appears_whole_and_locked(writer: list[str], spool: Path, endless: Path) -> None:
    """From outside: no half-made file is left, mode 0644 under umask 077, locked while the writer lives."""
    before = os.umask(0o077)
    try:
        with loading(writer, "nllb", endless) as process:
            [path] = until(lambda: list(spool.glob("*.jsonl")), 10, "the journal is there")
            tail = Tail(str(spool), path.name)
            tail.read()
            assert tail.attempt is not None
            assert tail.attempt.begin.pid == process.pid
            assert not tail.released()
            assert path.stat().st_mode & 0o777 == 0o644
            assert list(spool.glob(".*")) == []
            process.kill()
            process.wait(20)
            until(tail.released, 5, "the lock is free once the process is gone, though a child may live on")
            tail.close()
    finally:
        os.umask(before)


def test_without_a_spool_the_load_goes_on(writer: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder, or one without settings: the load's own status, and nothing is made."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    for spool in ("missing", "."):
        monkeypatch.setenv("MODEL_LOAD_EXPORTER_SPOOL", str(tmp_path / spool))
        assert run(writer, "nllb", model_file(tmp_path)) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.gguf"]


def test_a_full_spool_takes_no_more(writer: list[str], spool: Path, tmp_path: Path) -> None:
    """At the limit of files and with no daemon: the load goes on unwitnessed."""
    (spool / "spool.json").write_text('{"format": 1, "max_files": 2, "max_bytes": 1000000}')
    for _ in range(4):
        assert run(writer, "nllb", model_file(tmp_path)) == 0
    assert len(list(spool.glob("*.jsonl"))) == 2
    with Recording(spool, tmp_path / "state") as recording:
        recording.until_recorded()
        assert recording.tally("nllb").attempts == 2
        assert run(writer, "nllb", model_file(tmp_path)) == 0
        recording.until(lambda: recording.tally("nllb").attempts == 3, "with a daemon there is room again")


@pytest.mark.parametrize(("name", "fence"), [("writer.c", "c"), ("writer.sh", "sh")])
def test_the_documentation_has_the_very_files(name: str, fence: str) -> None:
    """What people copy from docs/JOURNAL.md is what these tests run."""
    text = (ROOT / "docs" / "JOURNAL.md").read_text()
    assert f"```{fence}\n{(FIXTURES / name).read_text()}```" in text


def stages(recording: Recording) -> list[str]:
    """Names of the stages of the one open load."""
    return [stage.name for load in recording.loads.open.values() for stage in load.attempt.stages]
