# ruff: noqa: E501 - lines of logs are as long as their writers make them
"""Which line is the cause: of mixed logs, of consequences that come last, of several attempts."""

from pathlib import Path

import pytest

from model_load_exporter import cli
from model_load_exporter.analysis.analyze import analyze
from support.logs import told

CASES = {
    "reset_of_a_client_oom_kill_of_the_kernel": (
        "cgroup_oom_killed",
        """\
2026-01-31 10:00:05,123 INFO app Loading checkpoint shards:  50%
Jan 31 10:00:20 node1 kernel: [15620.100000] Memory cgroup out of memory: Killed process 50624 (python3) total-vm:1kB
2026-01-31 10:00:20,500 ERROR client: ConnectionResetError: [Errno 104] Connection reset by peer
""",
    ),
    "worker_died_module": (
        "dependency_missing",
        """\
[2026-01-31 10:00:00 +0000] [66] [INFO] Booting worker with pid: 66
[2026-01-31 10:00:01 +0000] [66] [ERROR] Exception in worker process
Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
    import sentencepiece
ModuleNotFoundError: No module named 'sentencepiece'
[2026-01-31 10:00:01 +0000] [66] [INFO] Worker exiting (pid: 66)
[2026-01-31 10:00:01 +0000] [10] [ERROR] Worker (pid:66) exited with code 3
[2026-01-31 10:00:01 +0000] [10] [ERROR] Shutting down: Master
[2026-01-31 10:00:01 +0000] [10] [ERROR] Reason: Worker failed to boot.
""",
    ),
    "gunicorn_timeout": (
        "timeout",
        """\
[2026-01-31 10:00:00 +0000] [66] [INFO] Booting worker with pid: 66
[2026-01-31 10:00:31 +0000] [10] [CRITICAL] WORKER TIMEOUT (pid:66)
[2026-01-31 10:00:31 +0000] [66] [ERROR] Error handling request /
Traceback (most recent call last):
  File "/venv/gunicorn/workers/base.py", line 204, in handle_abort
    sys.exit(1)
SystemExit: 1
[2026-01-31 10:00:31 +0000] [66] [INFO] Worker exiting (pid: 66)
[2026-01-31 10:00:32 +0000] [10] [ERROR] Worker (pid:66) was sent SIGKILL! Perhaps out of memory?
[2026-01-31 10:00:32 +0000] [74] [INFO] Booting worker with pid: 74
""",
    ),
    "sigkill_alone": (
        "killed",
        """\
[2026-01-31 10:00:00 +0000] [66] [INFO] Booting worker with pid: 66
[2026-01-31 10:00:32 +0000] [10] [ERROR] Worker (pid:66) was sent SIGKILL! Perhaps out of memory?
[2026-01-31 10:00:32 +0000] [74] [INFO] Booting worker with pid: 74
""",
    ),
    "exit_137_no_oom": (
        "killed",
        """\
    Last State:     Terminated
      Reason:       Error
      Exit Code:    137
""",
    ),
    "oomkilled": (
        "cgroup_oom_killed",
        """\
    State:          Waiting
      Reason:       CrashLoopBackOff
    Last State:     Terminated
      Reason:       OOMKilled
      Exit Code:    137
""",
    ),
    "crashloop_app_traceback": (
        "config_invalid",
        """\
  Warning  BackOff  3m12s (x5 over 10m)  kubelet  Back-off restarting failed container app in pod x
""",
        """\
Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
ValueError: User-specified max_model_len (204800) is greater than the derived max_model_len (None=4096 in model's config.json).
""",
    ),
    "liveness": (
        "killed",
        """\
  Warning  Unhealthy  41s (x3 over 61s)    kubelet            Liveness probe failed: Get "http://192.0.2.177:8000/v2/health/live": context deadline exceeded (Client.Timeout exceeded while awaiting headers)
  Normal   Killing    41s                  kubelet            Container triton failed liveness probe, will be restarted
""",
    ),
    "startup_probe": (
        "timeout",
        """\
  Warning  Unhealthy  41s (x30 over 5m)    kubelet            Startup probe failed: Get "http://192.0.2.177:8000/health": dial tcp 192.0.2.177:8000: connect: connection refused
  Normal   Killing    41s                  kubelet            Container vllm failed startup probe, will be restarted
""",
    ),
    "lazy_load_fails_in_request": (
        "file_missing",
        """\
INFO:     Application startup complete.
ERROR:    Exception in ASGI application
Traceback (most recent call last):
  File "/app/main.py", line 30, in predict
  File "/x/transformers/modeling_utils.py", line 30, in from_pretrained
FileNotFoundError: [Errno 2] No such file or directory: '/models/x/model.safetensors'
""",
    ),
    "startup_swallowed": (
        "unsafe_pickle",
        """\
INFO:     Started server process [1]
INFO:     Waiting for application startup.
2026 ERROR Model load failed: Weights only load failed. WeightsUnpickler error: Unsupported global: GLOBAL x
INFO:     Application startup complete.
INFO:     Uvicorn running on http://0.0.0.0:8000
""",
    ),
    "import_time_load_error_then_uvicorn": (
        "unsafe_pickle",
        """\
2026 ERROR Model load failed: Weights only load failed. WeightsUnpickler error: Unsupported global: GLOBAL x
INFO:     Started server process [1]
INFO:     Waiting for application startup.
INFO:     Application startup complete.
""",
    ),
    "two_incidents": (
        "disk_full",
        """\
Jan 31 10:00:00 h systemd[1]: Started svc.
Jan 31 10:00:05 h svc[9]: torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate
Jan 31 10:00:06 h systemd[1]: svc.service: Main process exited, code=exited, status=1/FAILURE
Jan 31 10:01:00 h systemd[1]: Started svc.
Jan 31 10:01:05 h svc[19]: OSError: [Errno 28] No space left on device
Jan 31 10:01:06 h systemd[1]: svc.service: Main process exited, code=exited, status=1/FAILURE
""",
    ),
    "mid_load_client": (
        "process_died",
        """\
2026-01-31 10:00:05,123 INFO app Loading checkpoint shards:  50%
""",
        """\
2026-01-31 10:00:08 ERROR requests.exceptions.ConnectionError: ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))
""",
    ),
    "segv_kernel": (
        "segfault",
        """\
2026-01-31 10:00:05,123 INFO app Loading checkpoint shards:  50%
Jan 31 10:00:08 h systemd[1]: svc.service: Main process exited, code=killed, status=11/SEGV
""",
        """\
Jan 31 10:00:08 h kernel: python3[777]: segfault at 0 ip 00007f sp 00007f error 4 in libtorch_cpu.so[7f+1]
""",
    ),
    "chained": (
        "auth_denied",
        """\
Traceback (most recent call last):
  File "/x/huggingface_hub/utils/_http.py", line 409, in hf_raise_for_status
requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://huggingface.co/meta-llama/x/resolve/main/config.json

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/x/huggingface_hub/file_download.py", line 1, in hf_hub_download
huggingface_hub.errors.GatedRepoError: 401 Client Error.

During handling of the above exception, another exception occurred:

OSError: You are trying to access a gated repo.
""",
    ),
    "reboot_mid_load": (
        "host_rebooted",
        """\
Jan 31 10:00:05 h svc[9]: Loading checkpoint shards:  50%
-- Boot 0123456789abcdef0123456789abcdef --
Jan 31 10:02:05 h systemd[1]: Started svc.
""",
    ),
    "sigterm_mid_load": (
        "killed",
        """\
Loading checkpoint shards:  50%
2026-01-31 10:00:05 received SIGTERM, shutting down
""",
    ),
    "journal": (
        "file_corrupted",
        """\
{"event":"begin","v":1,"id":"7d","time":1763751600.251,"monotonic":88.1,"kind":"service","model":"nllb-200","path":"/models/nllb","pid":4711,"boot_id":"x"}
{"event":"stage_begin","time":1763751600.252,"monotonic":88.101,"stage":"tokenizer"}
{"event":"stage_begin","time":1763751601.102,"monotonic":88.951,"stage":"weights"}
{"event":"end","time":1763751605.401,"monotonic":93.25,"outcome":"failed","reason":"file_corrupted","message":"PytorchStreamReader failed reading zip archive"}
""",
    ),
    "docker_exit": (
        "killed",
        """\
app-1  | Loading checkpoint shards:  50%
app-1 exited with code 137
""",
    ),
    "nginx_only": (
        "network_error",
        """\
2026/01/31 10:00:00 [error] 7#7: *1 recv() failed (104: Connection reset by peer) while reading response header from upstream, client: 10.0.0.1, upstream: "http://10.0.0.2:8000/predict"
""",
    ),
    "supervisord": (
        "killed",
        """\
2026-01-31 10:00:05,123 INFO spawned: 'app' with pid 12
2026-01-31 10:00:15,123 WARN exited: app (terminated by SIGKILL; not expected)
""",
    ),
    "nccl": (
        "gpu_out_of_memory",
        """\
[rank0]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB
[rank3]:[E227 16:30:43.527571405 ProcessGroupNCCL.cpp:1595] Process group watchdog thread terminated with exception: [Rank 3] Watchdog caught collective operation timeout: WorkNCCL
terminate called after throwing an instance of 'c10::DistBackendError'
""",
    ),
    "kernel_of_other_near": (
        "dependency_missing",
        """\
2026-01-31T10:00:01Z ModuleNotFoundError: No module named 'x'
2026-01-31T10:00:01Z svc exited
""",
        """\
2026-01-31T10:00:02,000000+00:00 Out of memory: Killed process 1 (chrome) total-vm""",
    ),
    "a_kernel_line_that_names_the_pid_beats_an_error_before_it": (
        "cgroup_oom_killed",
        """\
2026-01-31T10:00:00Z INFO Started server process [777]
2026-01-31T10:00:05Z ERROR worker torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB
2026-01-31T10:00:09Z INFO Loading checkpoint shards:  50%
""",
        """\
2026-01-31T10:00:12,000000+00:00 Memory cgroup out of memory: Killed process 777 (my-own-server) total-vm:1kB
""",
    ),
    "newest_first": (
        "disk_full",
        """\
2026-01-31T10:00:09Z INFO systemd[1]: Started svc.
2026-01-31T10:00:08Z systemd[1]: svc.service: Main process exited, code=exited, status=1/FAILURE
2026-01-31T10:00:07Z ERROR OSError: [Errno 28] No space left on device
2026-01-31T10:00:06Z INFO Fetching 12 files
2026-01-31T10:00:05Z INFO systemd[1]: Started svc.
2026-01-31T09:00:05Z INFO model loaded in 7.1s
""",
    ),
    "evicted_for_memory": (
        "host_oom_killed",
        """\
  Warning  Evicted  3m  kubelet  The node was low on resource: memory. Container app was using 9Gi, request is 1Gi
""",
    ),
    "evicted_for_disk": (
        "disk_full",
        """\
  Warning  Evicted  3m  kubelet  Pod ephemeral local storage usage exceeds the total limit of containers 2Gi.
""",
    ),
    "torchrun_child_segfault": (
        "segfault",
        """\
E0131 10:00:00.000000 12 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: -11) local_rank: 0 (pid: 12)
  rank      : 0 (local_rank: 0)
  exitcode  : -11 (pid: 12)
  traceback : Signal 11 (SIGSEGV) received by PID 12
""",
    ),
    "batch_time_limit": (
        "timeout",
        """\
Loading checkpoint shards:  50%
slurmstepd: error: *** JOB 391127 ON node1 CANCELLED AT 2026-01-31T10:00:00 DUE TO TIME LIMIT ***
""",
    ),
    "a_broken_client_is_the_kernels_kill_of_another_name": (
        "host_oom_killed",
        """\
2026-01-31T10:00:05Z time=x level=ERROR msg="error loading llama server" error="llama runner process has terminated: signal: killed"
""",
        """\
2026-01-31T10:00:04,500000+00:00 Out of memory: Killed process 31337 (ollama_llama_se) total-vm:1kB
""",
    ),
    "cause_in_one_replica_of_two": (
        "permission_denied",
        """\
2026-01-31T10:00:05Z INFO model loaded in 3.0s
""",
        """\
2026-01-31T10:00:05Z ERROR PermissionError: [Errno 13] Permission denied: '/models/x/model.safetensors'
""",
    ),
    "docker_json": (
        "dependency_missing",
        """\
{"log":"Traceback (most recent call last):\\n","stream":"stderr","time":"2026-01-31T10:00:00.1Z"}
{"log":"ModuleNotFoundError: No module named 'sentencepiece'\\n","stream":"stderr","time":"2026-01-31T10:00:00.2Z"}
""",
    ),
    "a_traceback_without_its_end": (
        "unknown",
        """\
Loading checkpoint shards:  50%
Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
""",
    ),
    "an_unknown_error_tells_more_than_the_exit_after_it": (
        "unknown",
        """\
Jan 31 10:00:05 h svc[9]: FrobnicationError: the flux is too high
Jan 31 10:00:06 h systemd[1]: svc.service: Main process exited, code=exited, status=1/FAILURE
""",
    ),
    "a_segfault_after_an_allocation_that_failed": (
        "host_memory_error",
        """\
2026-01-31T10:00:05Z MemoryError
2026-01-31T10:00:06Z Fatal Python error: Segmentation fault
""",
    ),
    "the_nodes_oom_kill_behind_kubernetes_oomkilled": (
        "host_oom_killed",
        """\
      Reason:       OOMKilled
      Exit Code:    137
""",
        """\
[15620.100100] Out of memory: Killed process 50624 (python3) total-vm:1kB
""",
    ),
    "an_oom_kill_told_after_the_wait_for_the_killed_was_given_up": (
        "host_oom_killed",
        """\
Jan 31 10:00:05 h svc[9]: level=ERROR msg="error loading server" error="timed out waiting for llama runner to start"
Jan 31 10:00:05 h systemd[1]: svc.service: A process of this unit has been killed by the OOM killer.
Jan 31 10:00:06 h systemd[1]: svc.service: Failed with result 'oom-kill'.
""",
    ),
    "an_unknown_failure_before_an_exit_status": (
        "unknown",
        """\
main: error: failed to load model '/models/m.gguf'
The program '[6600] server' has exited with code 1 (0x1).
""",
    ),
    "of_several_attempts_the_last_that_says_why": (
        "file_missing",
        """\
Jan 31 10:00:00 h systemd[1]: Started svc.
Jan 31 10:00:05 h svc[9]: FileNotFoundError: [Errno 2] No such file or directory: '/models/a.bin'
Jan 31 10:00:06 h systemd[1]: svc.service: Main process exited, code=exited, status=1/FAILURE
Jan 31 10:01:00 h systemd[1]: Started svc.
Jan 31 10:01:01 h svc[19]: Loading checkpoint shards:  50%
""",
    ),
    "a_worker_timed_out_and_another_began": (
        "timeout",
        """\
[2026-01-31 10:00:35 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:7)
[2026-01-31 10:00:36 +0000] [9] [INFO] Booting worker with pid: 9
INFO:     Application startup complete.
""",
    ),
    "a_hosts_log_with_a_reboot_and_no_service": (
        "host_rebooted",
        """\
Jan 31 09:58:01 h CRON[4887]: pam_unix(cron:session): session opened for user root
-- Reboot --
Jan 31 10:00:00 h kernel: Linux version 6.1.0-13-amd64
""",
    ),
    "nvidia_smi_before_the_kernels_word": (
        "gpu_fault",
        """\
Unable to determine the device handle for GPU0000:01:00.0: Unknown Error
NVRM: Xid (PCI:0000:01:00): 79, pid=811, name=python3, GPU has fallen off the bus.
""",
    ),
    "what_a_scheduler_guesses_is_no_cause": (
        "process_died",
        """\
ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.
Worker exit detail: Worker unexpectedly exits with a connection error code 2. End of file. Some common causes include: \
(1) the process was killed by the OOM killer, (2) ray stop was called, or (3) the worker crashed due to SIGSEGV
""",
    ),
    "another_process_loaded_in_the_same_second": (
        "gpu_out_of_memory",
        """\
2026-01-31 10:00:28,100 [Stage-0] ERROR torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB
2026-01-31 10:00:28,900 [Stage-1] INFO Model loaded successfully.
""",
    ),
    "an_exception_before_another_writers_line": (
        "resource_limit",
        """\
OSError: [Errno 24] Too many open files: '/venv/METADATA'job-0 20250615-09:26:54 worker 0 INFO: Running initialization
""",
    ),
    "a_servable_that_is_tried_again": (
        "version_incompatible",
        """\
2026-01-31 10:00:07.085314: I cc/saved_model/loader.cc:333] SavedModel load for tags { serve }; Status: fail: Not found: Op type not registered 'X' in binary
""",
    ),
    "exceptions_ignored_at_the_exit": (
        "file_missing",
        """\
OSError: Error no file named pytorch_model.bin, model.safetensors found in directory ./m.
Exception ignored in: <function finalizer at 0x000002301AA30720>
Traceback (most recent call last):
TypeError: '>=' not supported between instances of 'NoneType' and 'int'
""",
    ),
    "a_traceback_below_a_warning_that_named_its_own_error": (
        "dependency_missing",
        """\
A matching Triton is not available, some optimizations will not be enabled.
Error caught was: No module named 'triton'
Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
ModuleNotFoundError: No module named 'sentencepiece'
""",
    ),
    "another_container_of_the_same_log_came_up": (
        "killed",
        """\
app-1     | 2026-03-02 10:14:00 INFO Loading checkpoint shards:  50%
app-1 exited with code 137
gateway-1 | 2026-03-02 10:14:05 INFO:     Application startup complete.
gateway-1 | 2026-03-02 10:14:05 INFO:     Uvicorn running on http://0.0.0.0:80
""",
    ),
    "another_pod_of_the_same_log_loaded": (
        "gpu_out_of_memory",
        """\
[pod/app-aaaaa/app] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB
[pod/app-bbbbb/app] 2026-03-02 10:14:09 INFO Model loaded in 5.0 s
""",
    ),
    "a_client_in_the_log_of_its_service": (
        "killed",
        """\
app-1     | 2026-03-02 10:14:00 INFO Loading checkpoint shards:  50%
client-1  | 2026-03-02 10:14:01 ERROR ConnectionResetError: [Errno 104] Connection reset by peer
app-1 exited with code 137
""",
    ),
    "macos_panicked": (
        "host_rebooted",
        """\
panic(cpu 0 caller 0xfffffe00427add7c): watchdog timeout: no checkins from watchdogd in 93 seconds
""",
    ),
    "the_question_for_custom_code_without_an_answer": (
        "trust_remote_code_required",
        """\
The repository for org/m contains custom code which must be executed to correctly load the model.
Do you wish to run the custom code? [y/N] Traceback (most recent call last):
  File "/app/main.py", line 3, in <module>
EOFError: EOF when reading a line
""",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_cause_is_found(case: str, tmp_path: Path) -> None:
    """The reason is the root cause's, whatever the last line says."""
    reason, *texts = CASES[case]
    assert told(tmp_path, *texts).reason == reason


def test_the_order_of_the_sources_does_not_matter(tmp_path: Path) -> None:
    """Service, kernel and client tell the same in any order on the command line."""
    service = "2026-01-31T10:00:05Z INFO Loading checkpoint shards:  50%\n"
    kernel = "2026-01-31T10:00:20,000000+00:00 Memory cgroup out of memory: Killed process 5 (python3) total-vm:1kB\n"
    client = "2026-01-31T10:00:20.5Z curl: (56) Recv failure: Connection reset by peer\n"
    answers = [
        told(tmp_path, *texts)
        for texts in ((service, kernel, client), (client, kernel, service), (kernel, client, service))
    ]
    assert {(answer.reason, answer.stage, answer.confidence) for answer in answers} == {
        ("cgroup_oom_killed", "weights", "high")
    }


@pytest.mark.parametrize(
    ("text", "confidence"),
    [
        ("ModuleNotFoundError: No module named 'sentencepiece'\n", "high"),
        ("FileNotFoundError: [Errno 2] No such file or directory: '/models/x'\n", "medium"),
        ("app-1 exited with code 137\n", "low"),
        ("SomethingNewError: hm\n", "low"),
    ],
)
def test_confidence_says_how_exact_the_words_are(text: str, confidence: str, tmp_path: Path) -> None:
    """Exact words are believed, plain ones less, an end or an unknown error hardly."""
    assert told(tmp_path, text).confidence == confidence


def test_rivals_lower_the_confidence(tmp_path: Path) -> None:
    """Two exact and different causes in one attempt cannot both be the root."""
    text = "ImportError: cannot import name 'x' from 'y'\nOSError: [Errno 28] No space left on device\n"
    assert told(tmp_path, text).confidence == "medium"


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("loading file tokenizer.json\nKilled\n", "tokenizer"),
        ("Loading checkpoint shards:  50%\nKilled\n", "weights"),
        ("Capture cuda graph begin.\nKilled\n", "warmup"),
        ("Killed\n", None),
        (
            "Traceback (most recent call last):\n"
            '  File "/x/transformers/models/auto/auto_factory.py", line 1, in from_pretrained\n'
            '  File "/x/transformers/tokenization_utils_base.py", line 2, in _from_pretrained\n'
            "OSError: [Errno 5] Input/output error\n",
            "tokenizer",
        ),
        (
            "Fatal Python error: Bus error\n\nCurrent thread 0x01 (most recent call first):\n"
            '  File "/x/torch/serialization.py", line 1 in _load\n',
            "weights",
        ),
        ("ValueError: max_model_len (9) is greater than the derived max_model_len (None=4 in model's config.json)\n", "config"),
    ],
)  # fmt: skip
def test_the_stage_comes_from_frames_words_or_the_last_mark(text: str, stage: str | None, tmp_path: Path) -> None:
    """A traceback's frames tell it best, then the message, then what the server printed last; else it is not told."""
    assert told(tmp_path, text).stage == stage


def test_the_stage_of_a_kernels_line_is_the_services(tmp_path: Path) -> None:
    """The kernel does not know what it interrupted: the service's last stage before says it."""
    service = "2026-01-31T10:00:01Z loading file tokenizer.json\n2026-01-31T10:00:05Z Loading checkpoint shards:  50%\n"
    kernel = "2026-01-31T10:00:20,000000+00:00 Out of memory: Killed process 5 (python3) total-vm:1kB\n"
    assert told(tmp_path, service, kernel).stage == "weights"


def test_other_attempts_are_listed(tmp_path: Path) -> None:
    """The answer is the last failure's; the earlier one is told beside it, and that it was made good."""
    text = (
        "Jan 31 10:00:00 h systemd[1]: Started svc.\n"
        "Jan 31 10:00:05 h svc[9]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\n"
        "Jan 31 10:01:00 h systemd[1]: Started svc.\n"
        "Jan 31 10:01:05 h svc[9]: model loaded in 3.0s\n"
        "Jan 31 10:02:00 h systemd[1]: Started svc.\n"
        "Jan 31 10:02:05 h svc[9]: OSError: [Errno 28] No space left on device\n"
    )
    analysis = told(tmp_path, text)
    assert analysis.reason == "disk_full"
    assert [(i.event.reason, i.resolved) for i in analysis.incidents] == [
        ("gpu_out_of_memory", True),
        ("disk_full", False),
    ]


def test_a_traceback_has_the_time_of_the_line_above_it(tmp_path: Path) -> None:
    """Also where that line says nothing that is looked for, and an older one does."""
    text = """\
[2026-03-02 08:00:00 +0000] [1] [INFO] Starting gunicorn 20.1.0
2026-03-02T14:00:05Z ERROR job 17 broke
Traceback (most recent call last):
  File "/app/x.py", line 1, in load
MemoryError
"""
    assert str(told(tmp_path, text).time).startswith("2026-03-02T14:00:05")


def test_a_source_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Beside one that can; and what it says is no all-clear."""
    good = tmp_path / "good.log"
    good.write_text("2026-01-31T10:00:05Z INFO model loaded in 3.0s\n")
    found = analyze([str(good), "/nowhere"])
    assert [(source.name, source.problem) for source in found.sources] == [
        (str(good), ""),
        ("/nowhere", "there is no such file"),
    ]
    assert cli.main(["analyze", str(good), "/nowhere"]) == 2
    assert cli.main(["analyze", str(good)]) == 0
