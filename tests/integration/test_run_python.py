"""`run -- python ...`: every Python of the service is instrumented, and nothing else about it changes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.supervised import run

MODELS_PYTHON = Path(__file__).parents[2] / ".venv-models" / "bin" / "python"

SHOW = """
import json, os, sys
auto = sys.modules.get("model_load_exporter.instrument.auto")
print(json.dumps({
    "instrumented": auto is not None and auto._finder is not None,
    "target": os.environ.get("MODEL_LOAD_EXPORTER_TARGET"),
    "path": sys.path,
    "modules": sorted(sys.modules),
    "next": getattr(sys, "next_sitecustomize", None),
}))
"""


def shown(*command: str, environment: dict[str, str] | None = None, name: str = "t", cwd: Path | None = None) -> Any:
    """What the service's Python says of itself, and standard error."""
    done = run(*command, flags=["--name", name], environment=environment, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.fixture(scope="module")
def bare_venv(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Another virtual environment: neither this package nor anything else is in it."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return str(folder / "bin" / "python")


def test_it_is_instrumented_and_knows_its_target() -> None:
    (seen,), errors = shown(sys.executable, "-c", SHOW, name="translation")
    assert (seen["instrumented"], seen["target"], errors) == (True, "translation", "")


def test_another_virtual_environment_gets_the_package_and_nothing_else(bare_venv: str) -> None:
    """No path entry of ours but the bootstrap: what the exporter has installed is not the service's."""
    without = json.loads(subprocess.run([bare_venv, "-c", SHOW], capture_output=True, check=True).stdout)
    (seen,), errors = shown(bare_venv, "-c", SHOW)
    assert seen["instrumented"]
    assert errors == ""
    (ours,) = [path for path in seen["path"] if path not in without["path"]]
    assert os.listdir(ours)
    assert {name for name in os.listdir(ours) if not name.startswith("__")} == {"sitecustomize.py"}
    code = "import importlib.util as u\nprint([u.find_spec(n) is None for n in ('aiohttp', 'yaml', 'run', 'journal')])"
    assert run(bare_venv, "-c", code).stdout == "[True, True, True, True]\n"


@pytest.mark.parametrize(
    ("flag", "why"), [("-I", "ignores PYTHONPATH"), ("-E", "ignores PYTHONPATH"), ("-S", "loads no sitecustomize")]
)
def test_a_python_that_cannot_be_instrumented_says_why(flag: str, why: str) -> None:
    """None rather than half: one line of the supervisor, and the service starts."""
    (seen,), errors = shown(sys.executable, flag, "-c", SHOW)
    assert not seen["instrumented"]
    assert errors == (
        f"model-load-exporter: the service is not instrumented: python {flag} {why}; "
        "track_load in its code works all the same\n"
    )


def test_a_script_whose_first_line_asks_for_it_says_why_too(tmp_path: Path) -> None:
    script = tmp_path / "serve"
    script.write_text(f"#!{sys.executable} -I\nprint('up')\n")
    script.chmod(0o755)
    assert "python -I ignores PYTHONPATH" in run(str(script)).stderr
    script.write_text(f"#!{sys.executable}\nprint('up')\n")
    assert run(str(script)).stderr == ""


CHILDREN = """
import multiprocessing, subprocess, sys
import show
if __name__ == "__main__":
    subprocess.run([sys.executable, "show.py"], check=True)
    for method in ("fork", "spawn", "forkserver"):
        worker = multiprocessing.get_context(method).Process(target=show.show)
        worker.start()
        worker.join()
"""


def test_children_are_instrumented_however_they_are_started(tmp_path: Path) -> None:
    body = "".join(f"    {line}\n" for line in SHOW.strip().splitlines())
    (tmp_path / "show.py").write_text(f"def show():\n{body}    sys.stdout.flush()\nif __name__ == '__main__': show()\n")
    (tmp_path / "main.py").write_text(CHILDREN)
    seen, errors = shown(sys.executable, "main.py", cwd=tmp_path)
    assert [one["instrumented"] for one in seen] == [True] * 4
    assert [one["target"] for one in seen] == ["t"] * 4
    assert errors == ""


def test_the_sitecustomize_of_the_service_runs_as_ever(tmp_path: Path) -> None:
    """By its own name, once, from the PYTHONPATH that the service has."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.next_sitecustomize = __name__, __file__\n")
    (seen,), errors = shown(sys.executable, "-c", SHOW, environment={"PYTHONPATH": str(tmp_path)})
    assert (seen["instrumented"], errors) == (True, "")
    assert seen["next"] == ["sitecustomize", str(tmp_path / "sitecustomize.py")]


def test_an_error_in_the_sitecustomize_of_the_service_stays_its_own(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('a bug of the service')\n")
    environment = {"PYTHONPATH": str(tmp_path)}
    without = subprocess.run(
        [sys.executable, "-c", "print('up')"], capture_output=True, text=True, check=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    done = run(sys.executable, "-c", "print('up')", environment=environment)
    # The command line is a Python too, before it becomes the supervisor, and has the same environment.
    assert (done.returncode, done.stdout, done.stderr) == (0, without.stdout, 2 * without.stderr)


@pytest.mark.parametrize("order", ["run first", "opentelemetry first"])
def test_beside_opentelemetry_instrument(order: str, tmp_path: Path) -> None:
    """Both are at work, whoever starts whom."""
    otel = str(MODELS_PYTHON.with_name("opentelemetry-instrument"))
    code = SHOW.replace('"next": getattr(sys, "next_sitecustomize", None)',
                        '"next": "opentelemetry.instrumentation.auto_instrumentation" in sys.modules')  # fmt: skip
    if order == "run first":
        (seen,), _ = shown(otel, str(MODELS_PYTHON), "-c", code)
    else:
        from support.supervised import run_command

        done = subprocess.run(
            [otel, *run_command(str(MODELS_PYTHON), "-c", code)], capture_output=True, text=True, timeout=60, check=True
        )
        seen = json.loads(done.stdout)
    assert (seen["instrumented"], seen["next"]) == (True, True)


def test_a_broken_instrumentation_does_not_hurt_the_service(tmp_path: Path) -> None:
    """Another package of our name in the service's environment: said once, and the service starts."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path], check=True)
    package = next(tmp_path.glob("lib/python*/site-packages")) / "model_load_exporter"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    again = "import subprocess, sys\nprint('up', flush=True)\nsubprocess.run([sys.executable, '-c', ''])"
    done = run(str(tmp_path / "bin" / "python"), "-c", again)
    assert (done.returncode, done.stdout) == (0, "up\n")
    assert done.stderr.splitlines() == ["model-load-exporter: the service is not instrumented: RuntimeError: not ours"]
