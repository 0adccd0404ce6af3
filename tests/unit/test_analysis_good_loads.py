# ruff: noqa: E501 - lines of logs are as long as their writers make them
"""Loads that succeed or go on although their log looks frightening: nothing failed."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from model_load_exporter.analysis.analyze import Options
from support.logs import told

CASES = {
    "retry_ok": (
        """\
2026-01-31 10:00:00 ERROR attempt 1 failed: huggingface_hub.errors.HfHubHTTPError: 503 Server Error: Service Unavailable for url
2026-01-31 10:00:01 ERROR loader load failed, retrying in 5s
Traceback (most recent call last):
  File "/x/transformers/modeling_utils.py", line 3, in from_pretrained
OSError: We couldn't connect to 'https://huggingface.co' to load the files
2026-01-31 10:00:06 INFO loader Loading checkpoint shards: 100%
2026-01-31 10:00:07 INFO loader model loaded in 7.1s
""",
    ),
    "fallback_ok": (
        """\
2026-01-31 10:00:00 ERROR torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB
2026-01-31 10:00:01 WARNING falling back to CPU
2026-01-31 10:00:06 INFO Model nllb-200 loaded successfully on cpu
INFO:     Application startup complete.
""",
    ),
    "custom_nodes": (
        """\
Traceback (most recent call last):
  File "/app/ComfyUI/nodes.py", line 2129, in load_custom_node
    module_spec.loader.exec_module(module)
ModuleNotFoundError: No module named 'insightface'

Cannot import /app/ComfyUI/custom_nodes/faces module for custom nodes: No module named 'insightface'
Starting server
""",
    ),
    "frightening": (
        """\
/usr/lib/python3/site-packages/torch/cuda/__init__.py:129: UserWarning: CUDA initialization: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU
Some weights of BertForSequenceClassification were not initialized from the model checkpoint at bert-base and are newly initialized: ['classifier.bias']
Special tokens have been added in the vocabulary
Token indices sequence length is longer than the specified maximum sequence length for this model (612 > 512). Running this sequence through the model will result in indexing errors
2026-01-31 10:00:06 INFO httpx HTTP Request: HEAD https://huggingface.co/x/resolve/main/adapter_config.json "HTTP/1.1 404 Not Found"
2026-01-31 10:00:06 INFO ready
""",
    ),
    "other_killed_before": (
        """\
Jan 31 08:00:20 node1 kernel: [15620.100000] Out of memory: Killed process 50624 (chrome) total-vm:1kB oom_score_adj:300
""",
        """\
2026-01-31 10:00:05,123 INFO app Loading checkpoint shards:  50%
2026-01-31 10:00:07 INFO loader model loaded in 7.1s
""",
    ),
    "forged": (
        """\
2026-01-31 10:00:05,123 INFO app Loading checkpoint shards:  50%
2026-01-31 10:00:05,323 ERROR bad request: prompt "Out of memory: Killed process 123 (python3) total-vm:1kB"
2026-01-31 10:00:07 INFO loader model loaded in 7.1s
2026-01-31 10:00:09,323 ERROR bad request: prompt "Memory cgroup out of memory: Killed process 123 (python3) total-vm:1kB"
""",
    ),
    "facility_1": (
        """\
12,900,1234567,-;Out of memory: Killed process 1 (python3)
""",
    ),
    "request_failure_after": (
        """\
2026-01-31 10:00:07 INFO loader model loaded in 7.1s
INFO:     Application startup complete.
ERROR:    Exception in ASGI application
Traceback (most recent call last):
  File "/app/main.py", line 30, in predict
ValueError: text input must be of type `str`
INFO:     127.0.0.1:5 - "POST /x HTTP/1.1" 500 Internal Server Error
""",
    ),
    "fail_restart_ok": (
        """\
Jan 31 10:00:00 h systemd[1]: Started svc.
Jan 31 10:00:05 h svc[9]: torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate
Jan 31 10:00:06 h systemd[1]: svc.service: Main process exited, code=exited, status=1/FAILURE
Jan 31 10:01:00 h systemd[1]: Started svc.
Jan 31 10:01:05 h svc[19]: Loading checkpoint shards: 100%
Jan 31 10:01:05 h svc[19]: INFO:     Application startup complete.
""",
    ),
    "sigterm_normal_stop": (
        """\
INFO:     Application startup complete.
Jan 31 10:00:05 received SIGTERM, shutting down
""",
    ),
    "nothing": (
        """\
hello
world
""",
    ),
    "docker_exit_0": (
        """\
app-1  | Loading checkpoint shards:  100%
app-1 exited with code 0
""",
    ),
    "tqdm_cpu": (
        """\
2026-01-31 10:00:05.1: I tensorflow/core: This TensorFlow binary is optimized
2026-01-31 10:00:05.1: W tensorflow/stream_executor/platform/default/dso_loader.cc:64] Could not load dynamic library 'libcudart.so.11.0'; dlerror: libcudart.so.11.0: cannot open shared object file: No such file or directory
2026-01-31 10:00:05.1: I tensorflow/stream_executor/cuda/cudart_stub.cc:29] Ignore above cudart dlerror if you do not have a GPU set up on your machine.
""",
    ),
    "faiss": (
        """\
2026-01-31 10:00:05,123 - INFO - Loading faiss with AVX2 support.
2026-01-31 10:00:05,123 - INFO - Could not load library with AVX2 support due to:
ModuleNotFoundError("No module named 'faiss.swigfaiss_avx2'")
2026-01-31 10:00:05,123 - INFO - Loading faiss.
2026-01-31 10:00:05,123 - INFO - Successfully loaded faiss.
""",
    ),
    "an_oom_kill_of_another_program_while_it_serves": (
        """\
2026-01-31T10:00:05Z INFO model loaded in 3.0s
2026-01-31T10:00:30Z INFO Started server process [7]
2026-01-31T10:00:31Z INFO Application startup complete.
""",
        """\
2026-01-31T10:00:20,000000+00:00 Out of memory: Killed process 50624 (chrome) total-vm:1kB
""",
    ),
    "an_ignored_exception_of_a_destructor": (
        """\
Loading checkpoint shards: 100%
Exception ignored in: <function Pool.__del__ at 0x7f>
Traceback (most recent call last):
  File "/usr/lib/python3.11/multiprocessing/pool.py", line 268, in __del__
ResourceWarning: unclosed running multiprocessing pool
""",
    ),
    "an_optional_import_that_is_logged_below_a_warning": (
        """\
2026-01-31 10:00:00 WARNING optional kernel is not there
Traceback (most recent call last):
  File "/app/kernels.py", line 3, in <module>
ModuleNotFoundError: No module named 'causal_conv1d'
2026-01-31 10:00:09 INFO Loading checkpoint shards: 100%
""",
    ),
    "a_client_that_gives_up_on_a_service_that_is_up": (
        """\
2026-01-31T10:00:05Z INFO model loaded in 3.0s
""",
        """\
2026-01-31T10:00:09Z curl: (56) Recv failure: Connection reset by peer
""",
    ),
    "custom_code_allowed_when_asked": (
        """\
The repository for org/m contains custom code which must be executed to correctly load the model. You can inspect it.
You can avoid this prompt in future by passing the argument `trust_remote_code=True`.

Do you wish to run the custom code? [y/N] y
Loading checkpoint shards: 100%
""",
    ),
    "the_server_runs_already": (
        """\
Error: listen tcp 127.0.0.1:11434: bind: address already in use
pulling manifest
pulling 3c168af1dea0: 100%
""",
    ),
    "an_indented_warning_of_triton": (
        """\
    W0316 07:48:38.533692 1 pinned_memory_manager.cc:237] Unable to allocate pinned system memory: CUDA driver version is insufficient for CUDA runtime version
    I0316 07:48:38.724348 1 model_lifecycle.cc:818] successfully loaded 'yolo'
""",
    ),
    "requests_that_fail_long_after": (
        """\
2026-03-02 10:00:05,000 INFO app Model loaded in 5.0 s
2026-03-02 10:55:05,000 ERROR app POST /upload: [Errno 28] No space left on device: '/var/uploads/x'
2026-03-02 10:56:05,000 ERROR app ModuleNotFoundError: No module named 'foo'
""",
    ),
    "a_boot_log": (
        """\
[    0.000000] Linux version 6.1.0-13-amd64
[    0.004000] Command line: BOOT_IMAGE=/vmlinuz-6.1.0-13-amd64
""",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_failed(case: str, tmp_path: Path) -> None:
    """No failure is told, and there is nothing to do."""
    analysis = told(tmp_path, *CASES[case])
    assert analysis.reason == "none"
    assert not analysis.advice


def test_a_good_load_is_sure_where_a_line_says_so(tmp_path: Path) -> None:
    """`model loaded` is high, a server that is up medium, silence low."""
    texts = ("model loaded in 3.0s\n", "INFO:     Application startup complete.\n", "Loading checkpoint shards: 10%\n")
    assert [told(tmp_path, text).confidence for text in texts] == ["high", "medium", "low"]


def test_a_log_that_ends_in_mid_load_says_so(tmp_path: Path) -> None:
    """No failure is made up for a load that may still be running, and the reader is told that it has no end."""
    analysis = told(tmp_path, "Loading checkpoint shards: 10%\n")
    assert analysis.reason == "none"
    assert any("ends at stage weights" in note for note in analysis.missing)


def test_since_leaves_out_what_is_older(tmp_path: Path) -> None:
    """--since cuts by time: yesterday's failure is not today's."""
    text = "2026-01-30T10:00:00Z ModuleNotFoundError: No module named 'x'\n2026-01-31T10:00:00Z Loading checkpoint shards: 10%\n"
    since = datetime(2026, 1, 31, tzinfo=UTC).timestamp()
    assert told(tmp_path, text).reason == "dependency_missing"
    assert told(tmp_path, text, options=Options(zone=UTC, since=since)).reason == "none"
