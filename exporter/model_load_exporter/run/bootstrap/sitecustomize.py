"""Run by every Python of a service under `model-load-exporter run`, before its first line.

Any Python 3 may read this file, older ones than the package's too: plain syntax, and nothing here ends or delays the
service. It instruments; then it runs the sitecustomize that it stands before, as if it were not here.
"""

# ruff: noqa: UP031, UP036, S110, SIM105 - of older Pythons: no f-strings; contextlib is one import more for each child

import os
import sys

_PACKAGE = "model_load_exporter"
_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(os.path.dirname(_HERE))
_LAUNCHERS = ("opentelemetry-instrument", "ddtrace-run", "newrelic-admin")


class _PackageFinder:
    """Finds this package, and nothing else, for an interpreter that has it not: no path entry that shadows anything."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> object:
        """As importlib asks."""
        if name != _PACKAGE:
            return None
        from importlib.util import spec_from_file_location

        return spec_from_file_location(name, os.path.join(_ROOT, "__init__.py"), submodule_search_locations=[_ROOT])


def _instrument() -> None:
    if sys.version_info < (3, 11):
        _say("it runs on Python %d.%d, and 3.11 is needed" % sys.version_info[:2])
        return
    sys.meta_path.append(_PackageFinder)  # type: ignore[arg-type]  # typed for the Pythons that have no importlib types
    try:
        from model_load_exporter.instrument.auto import instrument

        instrument()
    except Exception as error:
        _say("%s: %s" % (type(error).__name__, error))
    try:
        from model_load_exporter.instrument.servers import install

        install()
    except Exception:  # without the notes of uvicorn and gunicorn a timeout reads `killed`: less sure, no harm
        pass


def _say(why: str) -> None:
    """Once, for the process that the supervisor started itself; its children would only repeat it."""
    if os.environ.get("MODEL_LOAD_EXPORTER_SUPERVISOR") == str(os.getppid()):
        try:
            sys.stderr.write("model-load-exporter: the service is not instrumented: %s\n" % why)
        except Exception:  # no standard error to say it on
            pass


def _stay_first_over_launchers() -> None:
    """These put their own sitecustomize first and exec the service; some of theirs run no other after it. Ours does.

    So in the launcher's process, and in no other, this folder goes to the front again at its exec.
    """
    words = getattr(sys, "orig_argv", [])[1:]
    if not any(os.path.basename(word) in _LAUNCHERS for word in words[:3]):
        return

    def execv(file, arguments):  # type: ignore[no-untyped-def]  # as os.execv has it
        return original(file, arguments, _with_us_first(os.environ))  # type: ignore[no-untyped-call]

    def execve(file, arguments, environment):  # type: ignore[no-untyped-def]  # as os.execve has it
        return original(file, arguments, _with_us_first(environment))  # type: ignore[no-untyped-call]

    original = os.execve
    os.execv, os.execve = execv, execve


def _with_us_first(environment):  # type: ignore[no-untyped-def]  # any mapping
    parts = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part not in ("", _HERE)]
    return dict(environment, PYTHONPATH=os.pathsep.join([_HERE] + parts))  # noqa: RUF005 - older Pythons


def _run_the_next() -> None:
    """The sitecustomize that this one stands before: a service's own, an operating system's, another tool's."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize", [path for path in sys.path if os.path.abspath(path or ".") != _HERE])
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    # What it raises is its own: site tells of it, as it would without us.
    spec.loader.exec_module(module)


try:
    _instrument()
    _stay_first_over_launchers()
except Exception:  # whatever is wrong here, the service starts
    pass
_run_the_next()
