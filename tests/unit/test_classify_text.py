"""A log's last lines to one reason."""

import random
import time

import pytest

from model_load_exporter.classify.exceptions import classify_exception
from model_load_exporter.classify.text import classify_text
from model_load_exporter.reasons import REASONS


def reason(text: str) -> str | None:
    told = classify_text(text)
    return told.reason if told else None


@pytest.mark.parametrize("text", ["", "\n\n", "all is well\n" * 1000, "Uvicorn running on http://0.0.0.0:8000"])
def test_a_log_without_a_failure_gives_none(text: str) -> None:
    """Where nothing failed nothing is told."""
    assert classify_text(text) is None


def test_the_last_line_is_not_the_cause() -> None:
    """A worker's death below the import error that killed it is told as the import error."""
    log = """\
[2026-01-01 10:00:00 +0000] [8] [ERROR] Exception in worker process
Traceback (most recent call last):
  File "/app/serve.py", line 3, in <module>
    import sentencepiece
ModuleNotFoundError: No module named 'sentencepiece'
[2026-01-01 10:00:01 +0000] [8] [INFO] Worker exiting (pid: 8)
[2026-01-01 10:00:01 +0000] [1] [ERROR] Worker (pid:8) exited with code 3
[2026-01-01 10:00:01 +0000] [1] [ERROR] Reason: Worker failed to boot.
Killed
"""
    told = classify_text(log)
    assert told is not None
    assert told.reason == "dependency_missing"
    assert told.message == "ModuleNotFoundError: No module named 'sentencepiece'"


def test_the_first_of_a_printed_chain_is_the_cause() -> None:
    """Python prints the deepest cause first, and so it decides among equals."""
    log = """\
Traceback (most recent call last):
  File "/app/load.py", line 3, in read
PermissionError: [Errno 13] Permission denied: '/models/a'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/load.py", line 9, in load
FileNotFoundError: no model at /models/a
"""
    assert reason(log) == "permission_denied"


def test_a_lookup_that_was_being_handled_is_not_the_cause() -> None:
    """The package that was tried first comes first in the text."""
    verdict = classify_text(
        "Traceback (most recent call last):\n"
        "ModuleNotFoundError: No module named 'flash_attn'\n\n"
        "During handling of the above exception, another exception occurred:\n\n"
        "Traceback (most recent call last):\n"
        "MemoryError\n"
    )
    assert verdict is not None
    assert verdict.reason == "host_memory_error"


def test_a_message_of_several_lines_is_read_as_one() -> None:
    """What torch says in the fourth line of its message is found."""
    log = """\
_pickle.UnpicklingError: Weights only load failed. In PyTorch 2.6, we changed the default value.
Please file an issue with the following: WeightsUnpickler error:

Unsupported operand 60

Check the documentation of torch.load to learn more.
"""
    assert reason(log) == "file_corrupted"


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "(VllmWorker rank=5 pid=30) ",
        "ERROR 03-31 18:56:05 [core.py:343] ",
        "[rank0]: ",
        "2026-01-01T10:00:00Z stderr F ",
    ],
)
def test_a_loggers_prefix_does_not_matter(prefix: str) -> None:
    """An exception is found behind what a logger or a container runtime puts before each line."""
    lines = ["Traceback (most recent call last):", '  File "a.py", line 1, in load', "MemoryError"]
    assert reason("\n".join(prefix + line for line in lines)) == "host_memory_error"


def test_gunicorns_guess_at_memory_is_its_timeout() -> None:
    """The SIGKILL that follows a worker's timeout is the timeout."""
    log = """\
[2026-01-01 10:00:30 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:8)
[2026-01-01 10:00:31 +0000] [1] [ERROR] Worker (pid:8) was sent SIGKILL! Perhaps out of memory?
"""
    assert reason(log) == "timeout"


def test_a_frames_source_line_is_no_exception() -> None:
    """`raise ImportError` in a traceback's quoted source does not decide."""
    log = """\
Traceback (most recent call last):
  File "/app/a.py", line 3, in load
    raise ImportError
  File "/app/b.py", line 4, in other
    except MemoryError:
PermissionError: [Errno 13] Permission denied: '/models/a'
"""
    told = classify_text(log)
    assert told is not None
    assert told.message.startswith("PermissionError")


def test_only_the_end_of_a_long_log_is_read() -> None:
    """Of a log of 64 MiB only the last lines are looked at, in a moment."""
    log = "torch.OutOfMemoryError: CUDA out of memory.\n" + "all is well\n" * 5_000_000
    begun = time.process_time()
    assert classify_text(log) is None
    assert classify_text(log + "MemoryError\n") is not None
    assert time.process_time() - begun < 1


def test_noise_never_raises_and_stays_in_the_closed_set() -> None:
    """Random mixtures of what logs contain give None or a reason of the set, in one short line."""
    words = [
        "Traceback (most recent call last):", "MemoryError", "Error: ", "\n", "  File ", "\x1b[31m", "\0", "\udcff",
        "[Errno 99999999]", "[Errno 28]", "[Errno 2] x: '", "'", "No module named '", "killed", "💥", "  ", "Error",
        "a.b.c.", "CUDA ", "out of memory", "invalid load key, '", "WARNING ", "\r", "\u2028", "E" * 50, ":" * 30,
    ]  # fmt: skip
    generator = random.Random(4)
    for _ in range(3000):
        text = "".join(generator.choices(words, k=generator.randrange(1, 40)))
        for told in (classify_text(text), classify_exception(RuntimeError(text))):
            assert told is None or told.reason in REASONS
            assert told is None or (len(told.message) <= 500 and len(told.message.splitlines()) <= 1), text


def test_one_endless_line_costs_little() -> None:
    """A line of megabytes made of what an exception's name is made of does not stall the reader."""
    begun = time.process_time()
    for piece in ("A", "a.", "Error", "A:", "Error: ", "(", " raise ", "KeyError: '"):
        classify_text(piece * (4_000_000 // len(piece)))
    assert time.process_time() - begun < 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Error occurred when executing UNETLoader:\n\n'cc_projection.weight'\n", "architecture_mismatch"),
        ("Error occurred when executing Loader:\n\nPytorchStreamReader failed reading zip archive\n", "file_corrupted"),
        ("Exception: it did not work", "unknown"),
        ("google.api_core.exceptions.ServiceGone: it did not work", "unknown"),
        ("grpc._channel._InactiveRpcError: it did not work", "unknown"),
    ],
)
def test_exceptions_of_unusual_forms_are_seen(text: str, reason: str) -> None:
    """An exception counts without its type (ComfyUI), without a name of its own, and without Error in its name."""
    found = classify_text(text)
    assert found is not None
    assert found.reason == reason
