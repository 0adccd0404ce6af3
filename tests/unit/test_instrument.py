"""instrument() in one process: hooks come with the import, go with uninstrument(), and never break a load."""

import asyncio
import importlib
import inspect
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from model_load_exporter import instrument, track_load
from model_load_exporter.attempt import LoadAttempt
from model_load_exporter.instrument import calls, nesting, patch
from model_load_exporter.instrument import load as load_module
from model_load_exporter.instrument.auto import uninstrument
from model_load_exporter.instrument.hooks import transformers
from model_load_exporter.instrument.load import Load
from support.recording import attempts

CODE = '''
class Estimator: pass

def load(filename, mmap_mode=None):
    """Loads."""
    if "missing" in str(filename):
        raise FileNotFoundError(2, "No such file or directory", filename)
    if callable(mmap_mode):
        mmap_mode()
    return Estimator()
'''


@pytest.fixture
def joblib(spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], ModuleType]]:
    """Imports a stand-in for joblib; all of it, and of ours, is gone after the test."""
    (tmp_path / "joblib").mkdir()
    (tmp_path / "joblib/__init__.py").write_text("from joblib.numpy_pickle import load\n")
    (tmp_path / "joblib/numpy_pickle.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda: importlib.import_module("joblib")
    uninstrument()
    for name in ("joblib", "joblib.numpy_pickle"):
        sys.modules.pop(name, None)


def told(spool: Path) -> list[tuple[str, str | None, list[str]]]:
    return [(one.begin.model, one.outcome, [stage.name for stage in one.stages]) for one in attempts(spool)]


def only(spool: Path) -> LoadAttempt:
    [attempt] = attempts(spool)
    return attempt


def test_what_it_imports() -> None:
    """A few modules of the standard library; those that cost milliseconds come with the first load, or never."""
    code = "import sys; import model_load_exporter as m; m.instrument(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert (
        set(done.stdout.split()) & {"typing", "re", "json", "logging", "inspect", "wrapt", "prometheus_client"} == set()
    )


def test_it_comes_with_the_import_and_goes(spool: Path, joblib: Callable[[], ModuleType]) -> None:
    """Twice is once; the function is the same to whoever looks at it; afterwards all is as it was."""
    before = list(sys.meta_path)
    instrument()
    instrument()
    library = joblib()
    assert isinstance(library.load("/models/m.bin"), library.numpy_pickle.Estimator)
    assert told(spool) == [("m.bin", "loaded", ["weights"])]
    assert (library.load.__name__, library.load.__doc__, library.load.__module__) == (
        "load", "Loads.", "joblib.numpy_pickle",
    )  # fmt: skip
    assert list(inspect.signature(library.load).parameters) == ["filename", "mmap_mode"]
    assert "callable(mmap_mode)" in inspect.getsource(library.load)
    assert pickle.loads(pickle.dumps(library.load)) is library.load
    uninstrument()
    library.numpy_pickle.load("/models/m.bin")
    library.load("/models/m.bin")
    assert len(attempts(spool)) == 1
    assert sys.meta_path == before


def test_after_the_import(spool: Path, joblib: Callable[[], ModuleType]) -> None:
    """What other modules have by `from joblib import load` is hooked too."""
    library = joblib()
    user = ModuleType("user_of_joblib")
    user.load = library.load  # type: ignore[attr-defined]
    sys.modules["user_of_joblib"] = user
    try:
        instrument()
        user.load("/models/m.bin")
    finally:
        del sys.modules["user_of_joblib"]
    assert told(spool) == [("m.bin", "loaded", ["weights"])]


def test_a_module_keeps_its_loader_and_may_be_reloaded(spool: Path, joblib: Callable[[], ModuleType]) -> None:
    """pkgutil, importlib.resources and debuggers ask for it; a reload is hooked again, once."""
    instrument()
    library = joblib()
    module = library.numpy_pickle
    assert type(module.__spec__.loader).__name__ == "SourceFileLoader"
    assert module.__loader__ is module.__spec__.loader
    importlib.reload(module)
    module.load("/models/m.bin")
    assert told(spool) == [("m.bin", "loaded", ["weights"])]


def test_errors_go_on_unchanged(spool: Path, joblib: Callable[[], ModuleType]) -> None:
    """The very error, without one of ours in its chain; the failure is told with its stage."""
    instrument()
    with pytest.raises(FileNotFoundError) as caught:
        joblib().load("/models/missing.bin")
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)
    attempt = only(spool)
    assert (attempt.outcome, attempt.reason, attempt.stage) == ("failed", "file_missing", "weights")


@pytest.mark.parametrize("switched_off", ["joblib", "torch, joblib", "all"])
def test_switched_off(
    spool: Path, joblib: Callable[[], ModuleType], monkeypatch: pytest.MonkeyPatch, switched_off: str
) -> None:
    """A hook that is not wanted does nothing."""
    monkeypatch.setenv("MODEL_LOAD_EXPORTER_DISABLE", switched_off)
    instrument()
    joblib().load("/models/m.bin")
    assert attempts(spool) == []


def test_a_hook_that_does_not_exist_is_named(
    joblib: Callable[[], ModuleType], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A slip in the variable is told, with what there is."""
    monkeypatch.setenv("MODEL_LOAD_EXPORTER_DISABLE", "joblid")
    instrument()
    assert "joblid" in caplog.text
    assert "joblib" in caplog.text


def _raise(*_: object, **__: object) -> Any:
    raise RuntimeError("sabotage")


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (calls, "_begin"), (calls, "_new"), (calls, "stamp"), (nesting, "claim"), (nesting, "by_place"),
        (nesting, "leave"), (calls.Call, "begin"), (Load, "begin"), (Load, "end"),
        (Load, "stage"), (Load, "holds"), (Load, "begin_stage"), (Load, "end_stage"),
        (Load, "__init__"), (patch, "_put"), (patch, "apply"), (patch, "_rename"),
        (importlib, "import_module"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)  # fmt: skip
def test_sabotage(
    spool: Path, joblib: Callable[[], ModuleType], monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    """Whatever of ours raises, the library is imported and loads; what it returns and raises is its own."""
    library: Any
    with monkeypatch.context() as broken:
        broken.setattr(owner, name, _raise)
        instrument()
        library = __import__("joblib")  # import_module may be what is broken

        loaded = library.load("/models/m.bin")
        with pytest.raises(FileNotFoundError):
            library.load("/models/missing.bin")
    assert type(loaded).__name__ == "Estimator"
    load_module._exporting.clear()
    with track_load("next"):
        pass
    assert ("next", "loaded", []) in told(spool)


def test_inside_of_a_load(spool: Path, joblib: Callable[[], ModuleType]) -> None:
    """Its stage, whatever the path; a stage of the same name around it is not told twice."""
    instrument()
    library = joblib()
    with track_load("mine", path="/models/other") as load:
        library.load("/models/m.bin")
        with load.stage("weights"):
            library.load("/models/m.bin")
        with load.stage("warmup"):
            library.load("/models/m.bin")
    assert told(spool) == [("mine", "loaded", ["weights", "weights", "warmup", "weights"])]


def test_the_outermost_counts(spool: Path, joblib: Callable[[], ModuleType]) -> None:
    """A load that a load makes is none of its own; after both, the next is again."""
    instrument()
    library = joblib()
    library.load("/models/m.bin", lambda: library.load("/elsewhere/part.bin"))
    library.load("/models/n.bin")
    assert told(spool) == [("m.bin", "loaded", ["weights"]), ("n.bin", "loaded", ["weights"])]


def test_worker_threads_of_a_load(spool: Path, joblib: Callable[[], ModuleType]) -> None:
    """In a pool's thread a load at or below an open one's path is its stage; another is its own, in a task too."""
    instrument()
    library = joblib()
    with track_load("mine", path="/models/mine"), ThreadPoolExecutor(2) as pool:
        list(pool.map(library.load, ("/models/mine/1.bin", "/models/mine/2.bin", "/models/mine2")))
        asyncio.run(asyncio.to_thread(library.load, "/elsewhere/3.bin"))
    assert [(model, len(stages)) for model, _, stages in told(spool)] == [("mine", 3), ("mine2", 1)]


def test_tasks_of_one_thread_do_not_mix(spool: Path, joblib: Callable[[], ModuleType]) -> None:
    """Two loads that overlap in one event loop each get their own stages."""
    instrument()
    library = joblib()

    async def load(name: str, mine: asyncio.Event, others: asyncio.Event) -> None:
        async with track_load(name, path=f"/models/{name}"):
            mine.set()
            await others.wait()
            library.load(f"/weights/{name}.bin")

    async def both() -> None:
        one, two = asyncio.Event(), asyncio.Event()
        await asyncio.gather(load("a", one, two), load("b", two, one))

    asyncio.run(both())
    assert sorted(told(spool)) == [("a", "loaded", ["weights"]), ("b", "loaded", ["weights"])]


def test_the_same_model_in_two_threads_at_once(spool: Path, joblib: Callable[[], ModuleType]) -> None:
    """Whichever began first is the load; the other is its stage."""
    instrument()
    library = joblib()
    with ThreadPoolExecutor(1) as pool:
        library.load("/models/m.bin", lambda: pool.submit(library.load, "/models/m.bin").result(10))
    assert told(spool) == [("m.bin", "loaded", ["weights", "weights"])]


def test_many_threads_at_once(spool: Path, joblib: Callable[[], ModuleType]) -> None:
    """Each of its own model: as many attempts, all ended, none left open."""
    instrument()
    library = joblib()
    barrier = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: library.load(f"/models/{n}.bin", lambda: barrier.wait(10)), range(8)))
    assert sorted(told(spool)) == [(f"{n}.bin", "loaded", ["weights"]) for n in range(8)]


def test_the_report_of_transformers_never_reaches_the_service() -> None:
    """It is asked for by us: whatever is in it, the service gets the model alone, or both where it asked too."""
    load = Load("m")
    model = object()  # has neither dtype nor config
    for info in ({}, {"missing_keys": 3}, {"missing_keys": [None]}):
        assert transformers._told((model, info), load, {}) is model
        assert transformers._told((model, info), load, {"output_loading_info": True}) == (model, info)
    assert transformers._told(model, load, {}) is model
