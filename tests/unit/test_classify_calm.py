"""Lines and logs that frighten and are no failure: what loads print that go on."""

import pytest

from model_load_exporter.classify.text import classify_text, line_verdict


@pytest.mark.parametrize(
    "line",
    [
        "INFO 11-07 17:49:16 model_runner.py:889] If you are running out of memory, consider decreasing the batch",
        "WARNING 11-07 17:49:16 selector.py:51] Cannot use FlashAttention-2 backend: No module named 'flash_attn'",
        "/venv/torch/cuda/__init__.py:1: UserWarning: CUDA initialization: Found no NVIDIA driver on your system.",
        "UserWarning: Not enough free disk space to download the file. The expected file size is: 0.05 MB.",
        "Some weights of BertModel were not initialized from the model checkpoint and are newly initialized",
        "Special tokens have been added in the vocabulary, make sure the associated word embeddings are fine-tuned",
        "Loading checkpoint shards: 100%|██████████| 2/2 [00:01<00:00,  1.56it/s]",
        "Uvicorn running on http://0.0.0.0:8000 (Press CTRL+C to quit)",
        "torch_dtype is deprecated! Use dtype instead!",
        "Setting pad_token_id to eos_token_id:2 for open-end generation.",
        "ERROR: ld.so: object 'x.so' from LD_PRELOAD cannot be preloaded (cannot open shared object file): ignored.",
        "2024-05-01 08:45:12.1: W tensorflow/dso_loader.cc:64] libcudart.so: cannot open shared object file",
        "2024-05-01 08:45:12.1: E xla/cuda_driver.cc:266] failed call to cuInit: no CUDA-capable device is detected",
        "warning: failed to mlock 9000-byte buffer (after previously locking 0 bytes): Cannot allocate memory",
        "Trial 404 of 500: accuracy 0.401, 403 samples",
        "the previous run was killed by its scheduler and has been resumed",
        "[W socket.cpp:663] [c10d] The client socket has failed to connect (errno: 101 - Network is unreachable).",
        "[W827 10:00:00.1 socket.cpp:697] [c10d] The client socket cannot be initialized (errno: 97).",
        "E0000 00:00:1753406689.851729    7257 cuda_dnn.cc:8579] Unable to register cuDNN factory",
        "W0000 00:00:1753406689.867166    7257 computation_placer.cc:177] computation placer already registered.",
        'time=2026-01-01T10:00:00Z level=INFO source=gpu.go msg="unable to load cuda library" error="not found"',
        '{"timestamp":"2026-01-01T10:00:00Z","level":"WARN","message":"Error: a kernel: file not found"}',
        "0.00.212.233 W load: special_eos_id is not in special_eog_ids - the tokenizer config may be incorrect",
        "If you get `CUDA error: invalid device function` errors, the above might be the cause",
        "............warning: failed to mlock 9000-byte buffer (after locking 0 bytes): Cannot allocate memory",
        "/venv/sklearn/base.py:318: UserWarning: Trying to unpickle estimator MLP from version 0.21.3",
        r"C:\\a\\sklearn\\base.py:376: InconsistentVersionWarning: Trying to unpickle estimator X from version 0.23",
        "An error occurred while trying to fetch /m: Error no file named diffusion_pytorch_model.safetensors found",
        "Could not cache non-existence of file. Will ignore error and continue. Error: [Errno 13] Permission denied",
        "Failed to load _MLModelProxy: No module named 'coremltools.libcoremlpython'",
        "[warning  ] backend: warmup inference failed (non-fatal)",
        "DEBUG 04-21 23:21:17 [chat_utils.py:350] ValueError: Unrecognized model in /data/my_lora.",
        "[E:onnxruntime:Default, ort.cc:1480 TryGetProviderInfo_CUDA] FAIL : Failed to load library libcublas.so.11",
        "LoadLib(libhsa-amd-aqlprofile64.so) failed: libhsa-amd-aqlprofile64.so: cannot open shared object file",
        'rsyslogd: [origin software="rsyslogd" x-pid="900"] exiting on signal 15.',
        "ggml_cuda_host_malloc: failed to allocate 16607.35 MiB of pinned memory: out of memory",
        "WARNING 01-01 10:00:00 utils.py:700] Port 8000 is already in use, trying port 8001",
        "ERROR: FlashAttention could not be loaded: No module named 'flash_attn', falling back to eager attention",
        "---> 12     raise ValueError('CUDA out of memory')",
        "    raise OSError('No space left on device')",
        '    "OOMKilled": false,',
        "Readiness probe failed: Get http://192.0.2.1/health: dial tcp 192.0.2.1:80: connect: connection refused",
        "None of PyTorch, TensorFlow >= 2.0, or Flax have been found. Models won't be available",
        "0.0 seconds (IMPORT FAILED): /data/custom_nodes/ComfyUI_NAI_mod",
        "Could not find AdvancedControlNet nodes",
        "You should probably TRAIN this model on a down-stream task to be able to use it for predictions.",
        'HTTP Request: GET https://hub/api/models/m/revision/main "HTTP/1.1 404 Not Found"',
        "[2022-06-10 10:08:05,936: WARNING/ForkPoolWorker-1] error: file not found, using the default",
        "npm warn deprecated: error: this package is no longer supported",
    ],
)
def test_a_frightening_line_is_no_failure(line: str) -> None:
    """What a load prints that goes on is not called a failure, alone or by the line."""
    assert classify_text(line) is None
    assert line_verdict(line) is None


def test_an_exception_that_python_ignores_is_none() -> None:
    """A destructor's traceback at the end of a process is not told; one that follows it is."""
    ignored = """\
Exception ignored in: <function Model.__del__ at 0x7f>
Traceback (most recent call last):
  File "/app/a.py", line 3, in __del__
AttributeError: 'NoneType' object has no attribute 'close'
"""
    assert classify_text(ignored) is None
    told = classify_text(ignored + "MemoryError\n")
    assert told is not None
    assert told.reason == "host_memory_error"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "2026-01-01 [INFO ] W-9000-m-stdout MODEL_LOG - ModuleNotFoundError: No module named 'a'",
            "dependency_missing",
        ),
        (
            "2026-01-01 [WARN ] W-9000-m-stderr MODEL_LOG - torch.OutOfMemoryError: CUDA out of memory.",
            "gpu_out_of_memory",
        ),
        (
            "2026-01-01 10:00:00 - serve - INFO - PermissionError: [Errno 13] Permission denied: '/m'",
            "permission_denied",
        ),
        (
            "W tensorflow/core/framework/op_kernel.cc:1192] Data loss: Checksum does not match: stored 1",
            "file_corrupted",
        ),
        ("[1] include/shm.h:28 NCCL WARN Call to posix_fallocate failed : No space left on device", "resource_limit"),
        (
            "[W socket.cpp:426] [c10d] The server socket has failed to bind (errno: 98 - Address already in use)",
            "port_in_use",
        ),
    ],
)
def test_a_level_does_not_hide_what_a_worker_said(line: str, reason: str) -> None:
    """A level that a server gave to all its worker's output, or a library to its fatal line, does not silence it."""
    verdict = line_verdict(line)
    assert verdict is not None
    assert verdict[0] == reason
