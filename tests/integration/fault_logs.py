"""A fault as a service's log has it: the same traceback under the formats that services of today write.

Formatters are Python's own logging, uvicorn's and gunicorn's wordings, and what container runtimes make of a line;
before the failure stand the lines and warnings of a start that goes well.
"""

import json
import logging
from collections.abc import Callable

_START = 1_790_000_000.25
WARNINGS = """\
/app/lib/python3.11/site-packages/transformers/utils/generic.py:441: FutureWarning: `torch.utils._pytree._register_pytree_node` is deprecated. Please use `torch.utils._pytree.register_pytree_node` instead.
  _torch_pytree._register_pytree_node(
2026-09-21 14:13:20.114251: I tensorflow/core/platform/cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use available CPU instructions in performance-critical operations.
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
W0000 00:00:1790000000.784433    4216 gpu_device.cc:2341] Cannot dlopen some GPU libraries. Please make sure the missing libraries mentioned above are installed properly if you would like to use GPU. Skipping registering GPU devices...
2026-09-21 14:13:20.784433 [W:onnxruntime:Default, device_discovery.cc:164 DiscoverDevicesForPlatform] GPU device discovery failed: device_discovery.cc:89 ReadFileContents Failed to open file: "/sys/class/drm/card0/device/vendor"
Special tokens have been added in the vocabulary, make sure the associated word embeddings are fine-tuned or trained.
"""  # noqa: E501  # lines as libraries write them
"""What libraries say on starts that go well: a service's log has it above the failure."""


def _line(
    layout: str, level: int, text: str, seconds: float, printed: str = "", name: str = "app", date: str | None = None
) -> str:
    record = logging.LogRecord(name, level, "/app/main.py", 41, text, (), None)
    record.created, record.msecs = _START + seconds, 250.0
    record.exc_text = printed.rstrip("\n") or None
    return logging.Formatter(layout, date).format(record) + "\n"


def basic(printed: str, said: str, model: str) -> str:
    """logging.basicConfig with a time, and logger.exception."""
    layout = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    begin = _line(layout, logging.INFO, "starting 2 workers, device=cpu", 0) + WARNINGS
    begin += _line(layout, logging.INFO, f"loading model {model}", 1)
    if not printed:
        return begin + said + _line(layout, logging.INFO, f"model {model} loaded in 2.1 s", 3)
    return begin + said + _line(layout, logging.ERROR, f"failed to load model {model}", 3, printed)


def bare(printed: str, said: str, model: str) -> str:
    """No logging at all: print, and the traceback that ends the process."""
    return WARNINGS + f"Loading {model} ...\n" + said + (printed or f"Model {model} is ready.\n")


def uvicorn(printed: str, said: str, model: str) -> str:
    """uvicorn's default format, the load in the lifespan's start-up."""
    begin = "INFO:     Started server process [4242]\nINFO:     Waiting for application startup.\n" + WARNINGS + said
    if not printed:
        return begin + (
            "INFO:     Application startup complete.\n"
            "INFO:     Uvicorn running on http://0.0.0.0:8080 (Press CTRL+C to quit)\n"
        )
    return begin + f"ERROR:    {printed}\nERROR:    Application startup failed. Exiting.\n"


def gunicorn(printed: str, said: str, model: str) -> str:
    """gunicorn's arbiter, the load at the import of the application."""
    layout, date = "%(asctime)s [7] [%(levelname)s] %(message)s", "[%Y-%m-%d %H:%M:%S +0000]"

    def line(level: int, text: str, seconds: float, trace: str = "") -> str:
        return _line(layout, level, text, seconds, trace, date=date)

    begin = line(logging.INFO, "Starting gunicorn 27.0.1", 0)
    begin += line(logging.INFO, "Listening at: http://0.0.0.0:8000 (1)", 0)
    begin += line(logging.INFO, "Booting worker with pid: 7", 0) + WARNINGS + said
    if not printed:
        return begin
    return (
        begin
        + line(logging.ERROR, "Exception in worker process", 3, printed)
        + line(logging.INFO, "Worker exiting (pid: 7)", 3)
        + line(logging.ERROR, "Worker (pid:7) exited with code 3.", 3)
        + line(logging.ERROR, "Shutting down: Master", 3)
        + line(logging.ERROR, "Reason: Worker failed to boot.", 3)
    )


def json_lines(printed: str, said: str, model: str) -> str:
    """One JSON object a line, the traceback as one text in it."""

    def line(level: str, message: str, **more: str) -> str:
        return json.dumps({"timestamp": "2026-09-21T14:13:21.250Z", "level": level, "message": message} | more) + "\n"

    begin = line("INFO", f"loading model {model}") + WARNINGS + said
    if not printed:
        return begin + line("INFO", f"model {model} loaded")
    return begin + line("ERROR", f"failed to load model {model}", exc_info=printed.rstrip("\n"))


def container(printed: str, said: str, model: str) -> str:
    """What a container runtime (CRI) keeps of `basic`: each line behind a time, a stream and a flag."""
    lines = basic(printed, said, model).splitlines()
    return "".join(f"2026-09-21T14:13:{20 + n % 40:02}.123456789Z stderr F {line}\n" for n, line in enumerate(lines))


def compose(printed: str, said: str, model: str) -> str:
    """What `docker compose logs` shows of `uvicorn`: each line behind the service's name."""
    return "".join(f"model-server-1  | {line}\n" for line in uvicorn(printed, said, model).splitlines())


STYLES: dict[str, Callable[[str, str, str], str]] = {
    style.__name__: style for style in (basic, bare, uvicorn, gunicorn, json_lines, container, compose)
}
"""name -> (traceback or "" where the load went well, what the libraries said, model's name) -> log."""
