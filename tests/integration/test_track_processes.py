"""track_load over the life of real processes: how they end, workers, ranks, and the variable that ties them."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_load_exporter import track_load
from support.recording import Recording, attempts
from support.service import EXIT_STATUS_IS_TOLD, Service, serving

KILLED = "killed" if EXIT_STATUS_IS_TOLD else "process_died"
PARENT = "MODEL_LOAD_EXPORTER_PARENT"

IMPORT = "import os, signal, sys\nfrom model_load_exporter import track_load, unloaded\n"


@contextlib.contextmanager
def service(recording: Recording, code: str, **environment: str) -> Iterator[Service]:
    with serving(IMPORT + code, recording.spool, environment=environment) as running:
        yield running


@pytest.mark.parametrize(
    ("end", "deaths"),
    [
        ("", {}),
        ("sys.exit(3)", {}),
        ("raise RuntimeError('a bug at the end')", {}),
        ("unloaded('nllb'); os._exit(0)", {}),
        ("os._exit(0)", {"process_died": 1}),
        ("os.kill(os.getpid(), signal.SIGKILL)", {KILLED: 1}),
        ("os.abort()", {"aborted" if EXIT_STATUS_IS_TOLD else "process_died": 1}),
    ],
)
def test_the_end_of_a_process_that_holds_a_model(recording: Recording, end: str, deaths: dict[str, int]) -> None:
    """In good order it is no death; else it counts once, by its reason, and not as a failed load."""
    with service(
        recording, f"with track_load('nllb'):\n    pass\nprint('up')\nsys.stdin.readline()\n{end}\n"
    ) as running:
        running.says("up")
        recording.until(lambda: recording.holders("nllb") == 1, "it holds the model")
        running.tell("end")
        running.reap()
    recording.until(lambda: recording.holders("nllb") == 0, "nobody holds it any more")
    recording.until_recorded()
    assert (recording.tally("nllb").deaths, recording.tally("nllb").failures) == (deaths, {})


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_end_in_good_order(recording: Recording, tmp_path: Path, method: str) -> None:
    """Forked ones leave by os._exit, past every atexit: still no death."""
    (tmp_path / "work.py").write_text(
        "from model_load_exporter import track_load\ndef load():\n    with track_load('nllb'):\n        pass\n"
    )
    code = """
if __name__ == "__main__":
    import multiprocessing, work
    worker = multiprocessing.get_context(sys.argv[1]).Process(target=work.load)
    worker.start()
    worker.join()
    sys.exit(worker.exitcode)
"""
    script = tmp_path / "main.py"
    script.write_text(IMPORT + code)
    done = subprocess.run([sys.executable, script, method], timeout=60, check=False)
    assert done.returncode == 0
    recording.until_recorded()
    assert (recording.tally("nllb").attempts, recording.tally("nllb").deaths) == (1, {})


def test_ranks_of_one_torchrun_are_one_load(recording: Recording) -> None:
    """Four processes with the variables that torchrun sets; one is killed, the others fail of it; then a restart."""
    code = """
with track_load("nllb", path="/models/nllb"):
    print("loading")
    if sys.stdin.readline() == "fail\\n":
        raise RuntimeError("connection closed by peer")
unloaded("nllb")
"""

    def ranks(stack: contextlib.ExitStack, restart: int) -> list[Service]:
        made = [
            stack.enter_context(
                service(
                    recording, code, TORCHELASTIC_RUN_ID="run", TORCHELASTIC_RESTART_COUNT=str(restart), RANK=str(rank)
                )
            )
            for rank in range(4)
        ]
        for one in made:
            one.says("loading")
        recording.until(lambda: len(recording.loads.open) == 4, "all ranks load")
        return made

    with contextlib.ExitStack() as stack:
        victim, *others = ranks(stack, 0)
        assert recording.tally("nllb").attempts == 1
        victim.kill(signal.SIGKILL)
        victim.reap()
        recording.until(lambda: bool(recording.tally("nllb").failures), "the first death counts")
        for one in others:
            one.tell("fail")
            one.reap()
        recording.until(lambda: not recording.loads.open, "all are over")
        assert recording.tally("nllb").failures == {KILLED: 1}
        for one in ranks(stack, 1):
            one.tell("go on")
            assert one.reap() == 0
        recording.until_recorded()
    tally = recording.tally("nllb")
    assert (tally.attempts, tally.retries, sum(tally.success_buckets)) == (2, 1, 1)
    assert tally.failures == {KILLED: 1}


def test_worker_processes_of_one_load_count_with_it(recording: Recording) -> None:
    """The load starts a worker that loads the same model: one load. What the worker loads later is its own."""
    code = """
import subprocess
worker = '''
import sys
from model_load_exporter import track_load, unloaded
for go_on in (True, True):
    with track_load("nllb"):
        pass
    unloaded("nllb")
    print(flush=True)
    sys.stdin.readline()
'''
with track_load("nllb"):
    process = subprocess.Popen([sys.executable, "-c", worker], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    print("worker has loaded")
    sys.stdin.readline()
unloaded("nllb")
process.communicate("\\n\\n")
"""
    with service(recording, code) as parent:
        parent.says("worker has loaded")
        recording.until(lambda: len(recording.loads.open) == 1, "the parent's load alone is open")
        assert recording.tally("nllb").attempts == 1
        parent.tell("go on")
        assert parent.reap() == 0
    recording.until_recorded()
    tally = recording.tally("nllb")
    assert (tally.attempts, sum(tally.success_buckets)) == (2, 2)
    assert len(recording.rows()) == 3


def test_the_variable_that_names_the_parent_comes_and_goes(spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exported while a load is open; then as it was before, however loads overlap."""
    assert PARENT not in os.environ
    with track_load("nllb") as load:
        assert os.environ[PARENT] == load.id  # type: ignore[union-attr]  # the outer load is no nested one
        with track_load("aya") as inner:
            assert os.environ[PARENT] == inner.id  # type: ignore[union-attr]  # of another model
        assert os.environ[PARENT] == load.id  # type: ignore[union-attr]  # as above
    assert PARENT not in os.environ

    monkeypatch.setenv(PARENT, "from-outside")
    first, second = track_load("first"), track_load("second")
    with contextlib.ExitStack() as one, contextlib.ExitStack() as other:
        one.enter_context(first)
        inside = other.enter_context(second)
        one.close()
        assert os.environ[PARENT] == inside.id  # type: ignore[union-attr]  # of another model
        other.close()
    assert os.environ[PARENT] == "from-outside"
    parents = {attempt.begin.model: attempt.begin.parent for attempt in attempts(spool)}
    assert parents["nllb"] is None
    assert parents["first"] == "from-outside"
