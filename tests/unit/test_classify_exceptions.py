"""A chain of exceptions to one reason."""

import asyncio
import concurrent.futures
import itertools
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from model_load_exporter.classify.chain import Link
from model_load_exporter.classify.exceptions import (
    Classification,
    classify,
    classify_exception,
    is_cancellation,
    one_line,
    without_advice,
)

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 268435456\n"


def foreign(name: str, *bases: type[BaseException]) -> type[BaseException]:
    """A class as a library that is not installed here defines it."""
    module, _, plain = name.rpartition(".")
    return type(plain, bases or (Exception,), {"__module__": module})


def chain(*errors: BaseException) -> BaseException:
    """The errors, outermost first, each caused by the next."""
    for error, cause in itertools.pairwise(errors):
        error.__cause__ = cause
    return errors[0]


def reason(*errors: BaseException, path: str | None = None) -> str:
    return classify_exception(chain(*errors), path).reason


CONNECT_TIMEOUT = foreign("requests.exceptions.ConnectTimeout", OSError)
STATUS = foreign("requests.exceptions.HTTPError", OSError)
HUB_STATUS = foreign("huggingface_hub.errors.HfHubHTTPError", STATUS)
GATED = foreign("huggingface_hub.errors.GatedRepoError", HUB_STATUS)
NO_REPOSITORY = foreign("huggingface_hub.utils._errors.RepositoryNotFoundError", HUB_STATUS)
OUT_OF_MEMORY = foreign("torch.OutOfMemoryError", RuntimeError)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ((OSError("cannot load"), PermissionError(13, "Permission denied")), "permission_denied"),
        ((FileNotFoundError("no weights"), PermissionError(13, "Permission denied")), "permission_denied"),
        ((PermissionError("no access"), ConnectionRefusedError(111, "Connection refused")), "network_error"),
        ((RuntimeError("top"), ValueError("middle"), MemoryError()), "host_memory_error"),
        ((TimeoutError(),), "timeout"),
        ((RuntimeError("load failed"), TimeoutError("no model after 300 s")), "timeout"),
        ((CONNECT_TIMEOUT("pool"), TimeoutError()), "network_error"),
        ((OSError("We couldn't connect to 'hub'"), CONNECT_TIMEOUT(), TimeoutError("timed out")), "network_error"),
        ((TimeoutError(110, "Connection timed out"),), "network_error"),
        ((ConnectionResetError(104, "Connection reset by peer"),), "network_error"),
        ((BrokenPipeError(32, "Broken pipe"),), "unknown"),
        ((OSError(28, "No space left on device"),), "disk_full"),
        ((OSError(122, "Disk quota exceeded"),), "disk_full"),
        ((OSError(24, "Too many open files"),), "resource_limit"),
        ((OSError(98, "Address already in use"),), "port_in_use"),
        ((SystemExit(1),), "process_died"),
        (
            (RuntimeError("Worker unexpectedly exits with a connection error. Some common causes include: SIGSEGV"),),
            "process_died",
        ),
        # An abort in the midst of an extension's import.
        ((ImportError("init failed"), SystemExit(1), TimeoutError("gunicorn ended the worker: x")), "timeout"),
        ((SystemExit(1), RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")), "gpu_out_of_memory"),
        ((OUT_OF_MEMORY("of tomorrow's wording"),), "gpu_out_of_memory"),
        ((foreign("service.OurOutOfMemory", OUT_OF_MEMORY)("also a subclass"),), "gpu_out_of_memory"),
        ((GATED("401 Client Error."), STATUS("401 Client Error: Unauthorized")), "auth_denied"),
        ((NO_REPOSITORY("401 Client Error."), STATUS("401 Client Error: Unauthorized")), "not_found_remote"),
        ((HUB_STATUS("x"), STATUS("401 Client Error: Unauthorized for url")), "auth_denied"),
        ((STATUS("503 Server Error: Service Unavailable for url"),), "network_error"),
        ((foreign("botocore.exceptions.EndpointConnectionError", foreign("botocore.exceptions.ConnectionError"))("x"),),
         "network_error"),
        ((ImportError("tokenizers>=0.22 is required, but found tokenizers==0.13"),), "version_incompatible"),
        ((ModuleNotFoundError("No module named 'sentencepiece'", name="sentencepiece"),), "dependency_missing"),
        ((foreign("safetensors_rust.SafetensorError")("a wording of tomorrow"),), "file_corrupted"),
        ((foreign("pydantic_core._pydantic_core.ValidationError", ValueError)(
            "1 validation error for ModelConfig\n  Value error, model type `m9` but Transformers does not recognize"
            " this architecture. [type=value_error]"),), "version_incompatible"),
        ((AssertionError("of tomorrow"),), "unknown"),
        ((ExceptionGroup("ranks", [RuntimeError("rank 1 gave up"), OSError(28, "No space left")]),), "disk_full"),
    ],
)  # fmt: skip
def test_the_chain_gives_the_reason(errors: tuple[BaseException, ...], expected: str) -> None:
    """The most exact link decides, and among equals the deepest."""
    assert reason(*errors) == expected


def while_handling(first: BaseException, second: BaseException, hide: bool = False) -> str:
    """The reason of `second`, raised while `first` was handled (`from None` where it is to be hidden)."""
    second.__context__ = first
    second.__suppress_context__ = hide
    return classify_exception(second).reason


@pytest.mark.parametrize(
    ("handled", "raised", "expected"),
    [
        (ImportError("no flash_attn"), MemoryError(), "host_memory_error"),
        (KeyError("dtype"), OUT_OF_MEMORY("CUDA out of memory"), "gpu_out_of_memory"),
        (FileNotFoundError(2, "gone", "/nowhere/cache"), ConnectionRefusedError(111, "refused"), "network_error"),
        # What is no lookup is what failed, and `raise` where `raise from` was meant.
        (ConnectionRefusedError(111, "refused"), FileNotFoundError(2, "not cached", "/nowhere/x"), "network_error"),
        (OSError(28, "No space left on device"), FileNotFoundError(2, "gone", "/nowhere/tmp"), "disk_full"),
        (ImportError("No module named 'flash_attn'"), RuntimeError("cannot build the model"), "dependency_missing"),
        (ImportError("No module named 'tiktoken'"), ValueError("Unrecognized model in /m."), "dependency_missing"),
    ],
)
def test_what_was_handled_is_a_cause_unless_it_was_a_lookup(
    handled: BaseException, raised: BaseException, expected: str
) -> None:
    """`except ImportError:` and going on is how programs are written; the failure came after it."""
    assert while_handling(handled, raised) == expected


def test_what_was_hidden_is_asked_last() -> None:
    """`raise RuntimeError("cannot load") from None` hides what it was; a reason of its own stands."""
    assert while_handling(OSError(28, "No space left on device"), RuntimeError("cannot load"), hide=True) == "disk_full"
    assert while_handling(OSError(28, "No space left on device"), TimeoutError("late"), hide=True) == "timeout"


def test_a_groups_members_decide() -> None:
    """Two ranks of a job fail: the one that knows why is heard, in whatever order and depth."""
    ranks = [RuntimeError("rank 0 failed"), ExceptionGroup("more", [OSError(28, "No space left on device")])]
    assert reason(ExceptionGroup("ranks", ranks)) == "disk_full"
    assert reason(ExceptionGroup("ranks", ranks[::-1])) == "disk_full"


@pytest.mark.parametrize("name", ["SafetensorError", "DataLossError", "BadZipFile"])
def test_a_type_printed_without_its_module_is_known(name: str) -> None:
    """As compiled extensions and some loggers print it."""
    assert classify([Link(name, (name,), "something new")]).reason == "file_corrupted"


def test_a_workers_traceback_is_read() -> None:
    """A chain that reached us as text only is judged by the exceptions printed in it."""
    remote = foreign("multiprocessing.pool.RemoteTraceback")(
        '\n"""\nTraceback (most recent call last):\n  File "w.py", line 3, in load\n'
        "OSError: [Errno 28] No space left on device\n\nThe above exception was the direct cause of the "
        'following exception:\n\nTraceback (most recent call last):\n  File "w.py", line 5, in load\n'
        'RuntimeError: load failed\n"""'
    )
    assert reason(RuntimeError("load failed"), remote) == "disk_full"


def test_a_file_is_looked_at_before_its_error_is_believed(tmp_path: Path) -> None:
    """A damaged header over an LFS pointer is told as the pointer, with the file's name and what was said."""
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(POINTER)
    error = foreign("safetensors_rust.SafetensorError")("Error while deserializing header: HeaderTooLarge")
    verdict = classify_exception(error, str(tmp_path))
    assert verdict.reason == "lfs_pointer"
    assert str(weights) in verdict.message
    assert "HeaderTooLarge" in verdict.message


def test_a_file_named_by_the_error_is_looked_at(tmp_path: Path) -> None:
    """Without a path from the caller the file that the message names is looked at."""
    weights = tmp_path / "model.bin"
    weights.write_bytes(b"")
    assert reason(RuntimeError(f"cannot read '{weights}'"), EOFError()) == "file_corrupted"
    assert reason(OSError(f"Error no file named model.bin found, path: {weights}")) == "file_empty"


def test_a_reason_that_is_not_the_files_stands(tmp_path: Path) -> None:
    """A GPU that ran out of memory beside a damaged file ran out of memory."""
    (tmp_path / "model.safetensors").write_bytes(POINTER)
    assert reason(OUT_OF_MEMORY("CUDA out of memory"), path=str(tmp_path)) == "gpu_out_of_memory"
    assert reason(ImportError("No module named 'x'"), path=str(tmp_path)) == "dependency_missing"


def test_a_repository_is_no_missing_file() -> None:
    """A hub name given as the path does not turn a refused connection into a missing file."""
    assert reason(OSError("We couldn't connect to 'https://hub'"), path="org/model") == "network_error"


def test_a_file_of_another_host_is_judged_by_words() -> None:
    """A chain that names a damaged file which is not here keeps its reason."""
    link = Link(
        "_pickle.UnpicklingError", ("_pickle.UnpicklingError",), "pickle data was truncated in '/elsewhere/m.bin'"
    )
    assert classify((link,), "/elsewhere").reason == "file_corrupted"


def test_it_works_without_file_descriptors(tmp_path: Path) -> None:
    """In a process that cannot open one more file the classifier still answers."""
    weights = tmp_path / "model.bin"
    weights.write_bytes(POINTER)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        verdict = classify_exception(OSError(24, "Too many open files", str(weights)), str(tmp_path))
        unknown = classify_exception(ValueError("?"), str(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert verdict.reason == "resource_limit"
    assert unknown.reason == "unknown"


def test_a_path_object_will_do(tmp_path: Path) -> None:
    """A caller's pathlib.Path is a path too."""
    (tmp_path / "model.bin").write_bytes(POINTER)
    assert classify_exception(EOFError(), tmp_path / "model.bin").reason == "lfs_pointer"  # type: ignore[arg-type]


def test_nothing_to_judge_is_unknown() -> None:
    """No links, and links that are none, are unknown rather than an error."""
    assert classify(()) == Classification("unknown", "")
    assert classify([None]).reason == "unknown"  # type: ignore[list-item]  # a caller's mistake must not end a load


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        GeneratorExit(),
        asyncio.CancelledError(),
        concurrent.futures.CancelledError(),
        foreign("anyio_like.Cancelled", asyncio.CancelledError)(),
        foreign("trio.Cancelled", BaseException)(),
        BaseExceptionGroup("tasks", [asyncio.CancelledError(), KeyboardInterrupt()]),
    ],
)
def test_an_end_on_purpose_is_a_cancellation(error: BaseException) -> None:
    """Ctrl-C, cancelled tasks and futures, and closed generators are no failures."""
    assert is_cancellation(error)


@pytest.mark.parametrize(
    "error",
    [SystemExit(1), TimeoutError(), RuntimeError(), BaseExceptionGroup("tasks", [asyncio.CancelledError(), OSError()])],
)
def test_a_failure_is_no_cancellation(error: BaseException) -> None:
    """A failure beside cancelled tasks is still a failure."""
    assert not is_cancellation(error)


def test_a_message_is_one_line() -> None:
    """Line breaks, tabs, colours and control characters are gone from a message."""
    assert one_line("a\n\tb \x1b[1mc\x1b[0m\0 d\r\n\x07") == "a b c d"


@pytest.mark.parametrize("length", [498, 500, 501, 510, 600, 5000])
def test_a_message_is_cut_around_what_decided(length: int) -> None:
    """Of a long text at most 500 characters stay, and the deciding words are among them wherever they stand."""
    for start in {0, 99, 120, length // 2, length - 10}:
        text = "x" * start + "DECIDING" + "y" * (length - start - 8)
        line = one_line(text, start)
        assert "DECIDING" in line, start
        assert len(line) <= 500, start
    assert one_line("z" * 500) == "z" * 500


def test_importing_it_is_light() -> None:
    """A service that imports it gets the standard library only, and no regular expression is compiled for it."""
    code = (
        "import sys; before = set(sys.modules)\n"
        "import model_load_exporter.classify.text as text\n"
        "from model_load_exporter.classify.patterns import compiled\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - sys.stdlib_module_names - {'model_load_exporter'}), compiled.cache_info().currsize)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert child.stdout.strip() == "[] 0"


CHECK = (
    "Check the documentation of torch.load to learn more about types accepted by default with weights_only https://x."
)
RERUN = (
    "Re-running `torch.load` with `weights_only` set to `False` will likely succeed, but it can result in arbitrary "
    "code execution."
)
WORDINGS = {
    "2.0": (
        f"Weights only load failed. {RERUN}Do it only if you get the file from a trusted source. "
        "WeightsUnpickler error: Unsupported class posix.system",
        "Weights only load failed. WeightsUnpickler error: Unsupported class posix.system",
    ),
    "2.4": (
        "Weights only load failed. This file can still be loaded, to do so you have two options \n"
        f"\t(1) {RERUN} Do it only if you got the file from a trusted source.\n\t(2) Alternatively, to load with "
        "`weights_only=True` please check the recommended steps in the following error message.\n\tWeightsUnpickler "
        "error: Unsupported global: GLOBAL a.B was not an allowed global by default. Please use `torch.serialization."
        f"add_safe_globals([B])` to allowlist this global if you trust this class/function.\n\n{CHECK}",
        "Weights only load failed. WeightsUnpickler error: Unsupported global: GLOBAL a.B was not an allowed global by "
        "default.",
    ),
    "2.6 blocked": (
        "Weights only load failed. In PyTorch 2.6, we changed the default value of the `weights_only` argument in "
        f"`torch.load` from `False` to `True`. {RERUN} Do it only if you got the file from a trusted source.\n\n\n"
        f"Trying to load unsupported GLOBAL posix.system whose module posix is blocked.\n\n{CHECK}",
        "Weights only load failed. Trying to load unsupported GLOBAL posix.system whose module posix is blocked.",
    ),
    "2.6 operand": (
        f"Weights only load failed. {RERUN} Do it only if you got the file from a trusted source.\nPlease file an "
        "issue with the following so that we can make `weights_only=True` compatible with your use case: "
        f"WeightsUnpickler error: \n\nUnsupported operand 149\n\n{CHECK}",
        "Weights only load failed. WeightsUnpickler error: Unsupported operand 149",
    ),
}


@pytest.mark.parametrize("version", WORDINGS)
def test_no_message_tells_to_switch_the_safety_off(version: str) -> None:
    """What torch.load says is cut down to what it refused."""
    said, told = WORDINGS[version]
    assert classify((Link("_pickle.UnpicklingError", ("_pickle.UnpicklingError",), said),)).message == told


def test_other_words_about_weights_only_stay() -> None:
    """Only the advice goes."""
    said = "Due to a serious vulnerability issue in `torch.load`, even with `weights_only=True`, we\nask: for torch 2.6"
    assert without_advice(said) == said


def test_what_was_read_in_the_file_is_told_before_the_text(tmp_path: Path) -> None:
    """Where both say the same reason, too: torch says of a pointer no more than `Unsupported operand 118`."""
    (tmp_path / "model.pt").write_bytes(POINTER)
    said = WORDINGS["2.6 operand"][0].replace("149", "118")
    found = classify((Link("_pickle.UnpicklingError", ("_pickle.UnpicklingError",), said),), str(tmp_path / "model.pt"))
    assert found.reason == "lfs_pointer"
    assert found.message.startswith(f"{tmp_path / 'model.pt'}: the file is a Git LFS pointer of {len(POINTER)} bytes")
    assert "Re-running" not in found.message
