"""instrument() over the ways in which processes start: exactly one attempt a load, whoever else is at work there.

The library is a stand-in for joblib where only the process matters, the installed one where wrapt takes part.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from hook_services import ROOT, serve, told

from support.recording import attempts

JOBLIB = """
def load(filename, mmap_mode=None):
    with open(filename, "rb") as file:
        return file.read()
"""

IMPORT = "import sys\nsys.path[:0] = sys.argv[1:3]\nfrom model_load_exporter import instrument\n"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder with a package joblib, and model.bin."""
    folder = tmp_path / "library"
    (folder / "joblib").mkdir(parents=True)
    (folder / "joblib/__init__.py").write_text("from joblib.numpy_pickle import load\n")
    (folder / "joblib/numpy_pickle.py").write_text(JOBLIB)
    (folder / "model.bin").write_bytes(b"model")
    return folder


def run(library: Path, spool: Path, code: str, *flags: str, python: str = sys.executable, **environment: str) -> str:
    """A service; its standard error. It must end well."""
    script = library / "service.py"
    script.write_text(IMPORT + code)
    done = subprocess.run(
        [python, *flags, script, ROOT / "exporter", library],
        env={"MODEL_LOAD_EXPORTER_SPOOL": str(spool), "PATH": os.environ["PATH"], **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


LOAD = "instrument()\nimport joblib\nsys.exit(joblib.load(sys.argv[2] + '/model.bin') != b'model')\n"


@pytest.mark.parametrize("flags", [(), ("-I",), ("-S",), ("-I", "-S"), ("-O",), ("-P",)])
def test_flags_of_the_interpreter(spool: Path, library: Path, flags: tuple[str, ...]) -> None:
    """Isolated, without site, optimised: where the package can be imported, the load is told."""
    assert run(library, spool, LOAD, *flags) == ""
    assert [told(attempt) for attempt in attempts(spool)] == [("model.bin", "loaded", None)]


def test_another_virtual_environment(spool: Path, library: Path, tmp_path: Path) -> None:
    """One with nothing installed in it: what a service imports is the standard library."""
    venv.create(tmp_path / "venv", symlinks=True)
    run(library, spool, LOAD, python=str(tmp_path / "venv/bin/python"))
    assert [told(attempt) for attempt in attempts(spool)] == [("model.bin", "loaded", None)]


SPAWNED = """
import multiprocessing
if __name__ == "__main__":
    instrument()
    import joblib
    worker = multiprocessing.get_context("METHOD").Process(target=joblib.load, args=(sys.argv[2] + "/model.bin",))
    worker.start()
    worker.join()
    sys.exit(worker.exitcode)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing(spool: Path, library: Path, method: str) -> None:
    """The main module's instrument() does not run again in a spawned child, and its load is told all the same."""
    run(library, spool, SPAWNED.replace("METHOD", method))
    assert [told(attempt) for attempt in attempts(spool)] == [("model.bin", "loaded", None)]


def test_a_child_without_the_package_starts_all_the_same(spool: Path, library: Path) -> None:
    """What travels to a spawned child names nothing that has to be installed there."""
    code = """
import multiprocessing.spawn, pickle, subprocess
instrument()
data = pickle.dumps(multiprocessing.spawn.get_preparation_data("child")["model_load_exporter"])
assert b"exec" in data
bare = [sys.executable, "-I", "-S", "-c", "import pickle, sys; pickle.load(sys.stdin.buffer)"]
subprocess.run(bare, input=data, check=True)
"""
    assert run(library, spool, code) == ""


FORKED = """
import os
from model_load_exporter import track_load
instrument()
import joblib
with track_load("outer"):
    child = os.fork()
    if child == 0:
        joblib.load(sys.argv[2] + "/model.bin")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_a_child_forked_in_the_middle_of_a_load(spool: Path, library: Path) -> None:
    """The load around it is the parent's: the child's is its own, that says whom it works for."""
    run(library, spool, FORKED)
    found = {attempt.begin.model: attempt for attempt in attempts(spool)}
    assert {model: attempt.outcome for model, attempt in found.items()} == {"outer": "loaded", "model.bin": "loaded"}
    assert found["model.bin"].begin.parent == found["outer"].id
    assert found["outer"].stages == []


def test_beside_wrapt(spool: Path, tmp_path: Path) -> None:
    """Tracers hook by wrapt, before us and after us: everybody is called, and the load is one attempt."""
    code = """
import wrapt
seen = []
def trace(wrapped, instance, args, kwargs):
    seen.append(args)
    return wrapped(*args, **kwargs)
def imported(module):
    wrapt.wrap_function_wrapper(module, "load", trace)
wrapt.register_post_import_hook(imported, "joblib.numpy_pickle")
import joblib
joblib.dump(1, sys.argv[1])
assert joblib.load(sys.argv[1]) == 1
assert seen == [(sys.argv[1],)], seen
"""
    found = serve(code, spool, tmp_path / "model.bin")
    early = "import sys\n" + code.replace(
        "joblib.dump", "from model_load_exporter import instrument\ninstrument()\njoblib.dump"
    )
    again = serve(early, spool, tmp_path / "model.bin", prelude="")
    assert [told(attempt) for attempt in found] == [("model.bin", "loaded", None)]
    assert [told(attempt) for attempt in again] == [("model.bin", "loaded", None)] * 2
