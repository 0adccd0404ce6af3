"""track_load and fork: a child inherits descriptors, locks and open loads, and none of it is the child's."""

import contextlib
import os
import signal
from collections.abc import Iterator

from support.recording import Recording
from support.service import EXIT_STATUS_IS_TOLD, Service, serving

KILLED = "killed" if EXIT_STATUS_IS_TOLD else "process_died"
PARENT = "MODEL_LOAD_EXPORTER_PARENT"

IMPORT = "import os, signal, sys\nfrom model_load_exporter import track_load, unloaded\n"


@contextlib.contextmanager
def service(recording: Recording, code: str, **environment: str) -> Iterator[Service]:
    with serving(IMPORT + code, recording.spool, environment=environment) as running:
        yield running


def test_the_death_of_a_parent_is_seen_while_its_forked_child_lives(recording: Recording) -> None:
    """The child inherits the journal's descriptor: it must not make the dead parent look alive."""
    code = """
with track_load("nllb") as load, load.stage("weights"):
    child = os.fork()
    if child == 0:
        signal.pause()
    print(child)
    signal.pause()
"""
    with service(recording, code) as parent:
        child = int(parent.read())
        try:
            recording.until(lambda: bool(recording.loads.open), "the load is seen")
            parent.kill(signal.SIGKILL)
            parent.reap()
            recording.until(lambda: bool(recording.tally("nllb").failures), "the parent's death is seen", seconds=4)
            os.kill(child, 0)
        finally:
            os.kill(child, signal.SIGKILL)
    assert recording.tally("nllb").failures == {KILLED: 1}


def test_a_forked_child_drops_the_load_it_inherited(recording: Recording) -> None:
    """It leaves the `with`, ends, loads something itself: the parent's load is open all the while."""
    code = """
with track_load("nllb") as load:
    child = os.fork()
    if child == 0:
        with load.stage("weights"):
            pass
        load.holds({1})
        raise SystemExit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert load.witnessed
    print("child is over")
    sys.stdin.readline()
unloaded("nllb")
"""
    with service(recording, code) as parent:
        parent.says("child is over")
        recording.until(lambda: len(recording.loads.open) == 1, "the parent's load is open")
        [load] = recording.loads.open.values()
        assert load.attempt.stages == []
        parent.tell("go on")
        assert parent.reap() == 0
    recording.until_recorded()
    tally = recording.tally("nllb")
    assert (tally.attempts, sum(tally.success_buckets), tally.failures, tally.deaths) == (1, 1, {}, {})


def test_a_forked_child_that_goes_on_past_the_load_holds_nothing(recording: Recording) -> None:
    """Both leave the block in good order: one success, one holder; the child's end is nobody's death."""
    code = """
with track_load("nllb"):
    child = os.fork()
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
print("loaded")
sys.stdin.readline()
"""
    with service(recording, code) as parent:
        parent.says("loaded")
        recording.until(lambda: recording.holders("nllb") == 1, "the parent holds it")
        assert len(recording.files()) == 1
        parent.tell("end")
        assert parent.reap() == 0
    recording.until_recorded()
    tally = recording.tally("nllb")
    assert (tally.attempts, sum(tally.success_buckets), tally.deaths) == (1, 1, {})


def test_a_forked_child_that_loads_with_its_parent_is_of_its_load(recording: Recording) -> None:
    """The same model, in the child of an open load: an attempt of its own in the parent's load."""
    code = """
with track_load("nllb"):
    child = os.fork()
    if child == 0:
        with track_load("nllb") as inner:
            print("witnessed" if inner.witnessed else "not witnessed")
            os._exit(0)
    os.waitpid(child, 0)
unloaded("nllb")
"""
    with service(recording, code) as parent:
        parent.says("witnessed")
        assert parent.reap() == 0
    recording.until_recorded()
    assert len({row.load_id for row in recording.rows()}) == 1
    assert [row.outcome for row in recording.rows()] == ["failed", "loaded"]
    tally = recording.tally("nllb")
    assert (tally.attempts, tally.failures) == (1, {"process_died": 1})


def test_a_forked_child_holds_beside_its_parent(recording: Recording) -> None:
    """It starts without what its parent holds, and tells of its own in a file of its own."""
    code = """
with track_load("nllb"):
    pass
child = os.fork()
if child == 0:
    with track_load("aya"):
        pass
    print("up")
    signal.pause()
print(child)
signal.pause()
"""
    with service(recording, code) as parent:
        child = int(next(line for line in (parent.read(), parent.read()) if line != "up"))
        try:
            recording.until(lambda: recording.holders("aya") == 1, "the child holds its own")
            assert recording.holders("nllb") == 1
            parent.kill(signal.SIGKILL)
            parent.reap()
            recording.until(lambda: recording.holders("nllb") == 0, "the parent's is gone with it")
            assert recording.holders("aya") == 1
        finally:
            os.kill(child, signal.SIGKILL)
    recording.until(lambda: recording.holders("aya") == 0, "and the child's")
    assert (sum(recording.tally("nllb").deaths.values()), sum(recording.tally("aya").deaths.values())) == (1, 1)


def test_what_a_forked_child_loads_is_its_own(recording: Recording) -> None:
    """Pre-fork servers: the workers load after the fork; each holds its model, and its death is counted once."""
    code = """
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        with track_load("nllb"):
            pass
        signal.pause()
    children.append(child)
print(*children)
signal.pause()
"""
    with service(recording, code) as parent:
        workers = [int(pid) for pid in parent.read().split()]
        try:
            recording.until(lambda: recording.holders("nllb") == 2, "both workers hold it")
            assert recording.tally("nllb").attempts == 2
            os.kill(workers[0], signal.SIGKILL)
            recording.until(lambda: recording.holders("nllb") == 1, "one is gone")
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
    recording.until(lambda: sum(recording.tally("nllb").deaths.values()) == 2, "both deaths are counted")
    assert recording.tally("nllb").failures == {}
