"""Each row of the signs has a line that it fits: what supervisors, clusters, servers and clients really print."""

import pytest

from model_load_exporter.analysis.ends import ENDS
from model_load_exporter.analysis.life import LIFE_SIGNS
from model_load_exporter.analysis.reading import TABLE
from model_load_exporter.analysis.sign import (
    BEGIN,
    BOOT,
    CLIENT,
    CLOCK_SET,
    END,
    FRAME,
    LOADED,
    NOTICE,
    SERVING,
    STAGE,
    STOP,
    Sign,
)
from model_load_exporter.analysis.signs import SIGNS
from model_load_exporter.analysis.stages import STAGE_SIGNS
from model_load_exporter.classify.known import TYPES
from model_load_exporter.classify.patterns import fits

_BY_SIGNAL = {
    "killed": ("9", "SIGKILL", "KILL", "Killed", "killed"),
    "segfault": ("11", "SIGSEGV", "SEGV", "Segmentation fault", "segmentation fault"),
    "bus_error": ("7", "SIGBUS", "BUS", "Bus error", "bus error"),
    "illegal_instruction": ("4", "SIGILL", "ILL", "Illegal instruction", "illegal instruction"),
    "aborted": ("6", "SIGABRT", "ABRT", "Aborted", "aborted"),
}
_SIGNALLED = (
    "[2026-01-31 10:00:00 +0000] [3] [ERROR] Worker (pid:16) was sent {1}!",
    "2026-01-31 10:00:15,123 WARN exited: app (terminated by {1}; not expected)",
    "svc.service: Main process exited, code=killed, status={0}/{2}",
    "svc.service: Main process exited, code=dumped, status={0}/{2}",
    "  exitcode  : -{0} (pid: 12)",
    "  traceback : Signal {0} ({1}) received by PID 12",
    "RuntimeError: DataLoader worker (pid 12) is killed by signal: {3}.",
    "billiard.exceptions.WorkerLostError: Worker exited prematurely: signal {0} ({1}) Job: 3.",
    "Process 'ForkPoolWorker-3' pid:27 exited with 'signal {0} ({1})'",
    "ERROR shard-manager: text_generation_launcher: Shard process was signaled to shutdown with signal {0} rank=0",
    "[WARNING] Worker with pid 55 was terminated due to signal {0}",
    "systemd-coredump[9]: Process 7 (python) of user 0 terminated abnormally with signal {0}/{2}, processing...",
    "PM2 log: App [app:0] exited with code [0] via signal [{1}]",
    "Uncaught signal: {0}, pid=2, tid=2, fault_addr=0.",
    'error="llama runner process has terminated: signal: {4}"',
    'level=ERROR source=server.go:449 msg="llama runner terminated" error="signal: {4}"',
)
_BY_STATUS = {
    "killed": ("137", "143"), "segfault": ("139",), "bus_error": ("135",), "illegal_instruction": ("132",),
    "aborted": ("134",), "process_died": ("1", "2", "42", "101", "127", "255"),
}  # fmt: skip
_EXITED = (
    "srun: error: host: task 0: Exited with exit code {}",
    "app-1 exited with code {}",
    "[ERROR] Worker (pid:3005) was sent code {}!",
    "make: *** [Makefile:20: run] Error {}",
    "torch.distributed.elastic.multiprocessing.api:failed (exitcode: {}) local_rank: 0",
    "Process 'ForkPoolWorker-3' pid:27 exited with 'exitcode {}'",
    "Container killed by YARN; exit code is {}",
    "2026-01-31T10:00:00Z container die 0123456789ab (image=x, exitCode={}, name=app)",
    '            "ExitCode": {},',
    "      Exit Code:    {}",
    "      exitCode: {}",
)

LINES: list[tuple[str, str, str]] = [
    *((text.format(*names), END, reason) for text in _SIGNALLED for reason, names in _BY_SIGNAL.items()),
    *((text.format(n), END, reason) for text in _EXITED for reason, numbers in _BY_STATUS.items() for n in numbers),
    ("[ERROR] Worker (pid:66) exited with code 3", END, "process_died"),
    ("[ERROR] Reason: Worker failed to boot.", END, "process_died"),
    ("[ERROR] Reason: App failed to load.", END, "unknown"),
    ("ERROR:    Application startup failed. Exiting.", END, "unknown"),
    ("INFO:     Child process [4711] died", END, "process_died"),
    ("WARN exited: app (exit status 1; not expected)", END, "process_died"),
    ("INFO gave up: app entered FATAL state, too many start retries too quickly", END, "process_died"),
    ("svc.service: Main process exited, code=exited, status=1/FAILURE", END, "process_died"),
    ("svc.service: Failed with result 'oom-kill'.", END, "host_oom_killed"),
    ("svc.service: A process of this unit has been killed by the OOM killer.", END, "host_oom_killed"),
    ("svc.service: start operation timed out. Terminating.", END, "timeout"),
    ("svc.service: Failed with result 'timeout'.", END, "timeout"),
    ("svc.service: Watchdog timeout (limit 30s)!", END, "timeout"),
    ("RuntimeError: DataLoader worker (pid(s) 12) exited unexpectedly", END, "process_died"),
    ("A worker process managed by the executor was unexpectedly terminated.", END, "process_died"),
    ("Received sigquit from a child process. It usually means the child failed.", END, "process_died"),
    ("Worker proc VllmWorker-0 died unexpectedly, shutting down executor.", END, "process_died"),
    ("org.pytorch.serve.wlm.WorkerLifeCycle - Backend worker process died.", END, "process_died"),
    ("Load model failed: model_1, error: Worker died.", END, "process_died"),
    ("llama runner process has terminated: exit status 2", END, "process_died"),
    ('level=ERROR source=server.go:449 msg="llama runner terminated" error="exit status 2"', END, "process_died"),
    ("llama runner process no longer running: -1", END, "process_died"),
    ("| densenet | 1 | UNAVAILABLE: Internal: unable to create stream |", END, "unknown"),
    ("Error: ShardCannotStart", END, "unknown"),
    ("Error: ShardFailed", END, "process_died"),
    ("A worker died or was killed while executing a task by an unexpected system error.", END, "process_died"),
    ("2 Workers (tasks / actors) killed due to memory pressure (OOM), 0 Workers crashed", END, "host_oom_killed"),
    ("Server error: error trying to connect: No such file or directory (os error 2)", END, "process_died"),
    ("Server error: transport error", END, "process_died"),
    ("zsh: killed     python app.py", END, "killed"),
    ("Press any key to continue . . .", END, "process_died"),
    ("请按任意键继续. . .", END, "process_died"),
    ("Error R10 (Boot timeout) -> Web process failed to bind to $PORT", END, "timeout"),
    ("Container killed by YARN for exceeding memory limits. 5.5 GB of 5.5 GB used.", END, "cgroup_oom_killed"),
    ("error: container app was OOM killed", END, "cgroup_oom_killed"),
    ("RuntimeError: Engine process failed to start. See stack trace for the root cause.", END, "unknown"),
    ("RuntimeError: Engine core initialization failed. See root cause above.", END, "unknown"),
    ("vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.", END, "process_died"),
    ("slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT 2026-01-31T10:00:00 DUE TO TIME LIMIT ***", END, "timeout"),
    ("=>> PBS: job killed: walltime 3607 exceeded limit 3600", END, "timeout"),
    ("2026-01-31T10:00:00Z container oom 0123456789ab (image=x)", END, "cgroup_oom_killed"),
    ('            "OOMKilled": true,', END, "cgroup_oom_killed"),
    ("Normal  Killing  41s  kubelet  Container vllm failed startup probe, will be restarted", END, "timeout"),
    ("Normal  Killing  41s  kubelet  Container vllm failed liveness probe, will be restarted", END, "killed"),
    ("Warning  Unhealthy  41s  kubelet  Liveness probe failed: context deadline exceeded", NOTICE, ""),
    ("      Reason:       CrashLoopBackOff", END, "process_died"),
    ("Warning  BackOff  1s  kubelet  Back-off restarting failed container", END, "process_died"),
    ("Warning  Evicted  3m  kubelet  The node was low on resource: memory.", END, "host_oom_killed"),
    ("Warning  Evicted  3m  kubelet  The node was low on resource: ephemeral-storage.", END, "disk_full"),
    ("Pod ephemeral local storage usage exceeds the total limit of containers 2Gi.", END, "disk_full"),
    ('Usage of EmptyDir volume "models" exceeds the limit "2Gi".', END, "disk_full"),
    ("Container m exceeded its local ephemeral storage limit 2Gi.", END, "disk_full"),
    ("System OOM encountered, victim process: python3, pid: 4711", END, "host_oom_killed"),
    ("Normal  Preempted  3m  default-scheduler  Preempted by pod 1", END, "killed"),
    ("Warning  DeadlineExceeded  3m  job-controller  Job was active longer than specified deadline", END, "timeout"),
    ("-- Boot 0123456789abcdef0123456789abcdef --", BOOT, "host_rebooted"),
    ("-- Reboot --", BOOT, "host_rebooted"),
    ("[    0.000000] Linux version 6.18.5 (x@y)", BOOT, "host_rebooted"),
    ("systemd-logind[1]: The system will reboot now!", BOOT, "host_rebooted"),
    ("systemd-logind[1]: System is rebooting.", BOOT, "host_rebooted"),
    ("systemd-logind[1]: The system will power off now!", BOOT, "host_rebooted"),
    ("[   12.000000] Kernel panic - not syncing: Fatal exception", END, "host_rebooted"),
    ("panic(cpu 0 caller 0xfffffe00427add7c): watchdog timeout: no checkins from watchdogd", END, "host_rebooted"),
    ("[    1.000000] rtc_cmos 00:04: setting system clock to 2026-01-31T10:00:00 UTC (1769853600)", CLOCK_SET, ""),
    ("[error] 7#7: *1 upstream prematurely closed connection while reading", CLIENT, "network_error"),
    ("[error] *1 recv() failed while reading response header from upstream", CLIENT, "network_error"),
    ("[error] *1 connect() failed (111) while connecting to upstream", CLIENT, "network_error"),
    ("[error] *1 no live upstreams", CLIENT, "network_error"),
    ("upstream connect error or disconnect/reset before headers. reset reason: overflow", CLIENT, "network_error"),
    ("no healthy upstream", CLIENT, "network_error"),
    ("http://10.0.0.2:8000: Remote end closed connection without response", CLIENT, "network_error"),
    ("curl: (52) Empty reply from server", CLIENT, "network_error"),
    ("curl: (56) Recv failure: Connection reset by peer", CLIENT, "network_error"),
    ("HTTPConnectionPool(host='localhost', port=8000): [Errno 111] Connection refused", CLIENT, "network_error"),
    ("curl: (7) Failed to connect to localhost port 8000", CLIENT, "network_error"),
    ("[error] *1 upstream timed out (110: Connection timed out)", CLIENT, "network_error"),
    ("HTTP/1.1 502 Bad Gateway", CLIENT, "network_error"),
    ("HTTP/1.1 503 Service Unavailable", CLIENT, "network_error"),
    ("HTTP/1.1 504 Gateway Time-out", CLIENT, "network_error"),
    ("[INFO] Booting worker with pid: 66", BEGIN, ""),
    ("[INFO] Starting gunicorn 23.0.0", BEGIN, ""),
    ("INFO:     Started server process [1]", BEGIN, ""),
    ("INFO:     Started parent process [1]", BEGIN, ""),
    ("INFO:     Started reloader process [1] using StatReload", BEGIN, ""),
    ("INFO 01-31 10:00:00 llm_engine.py:161] Initializing an LLM engine (v0.5) with config: x", BEGIN, ""),
    ("[2026-01-31 10:00:00] server_args=ServerArgs(model_path='x')", BEGIN, ""),
    ("INFO 01-31 10:00:00 api_server.py] vLLM API server version 0.9", BEGIN, ""),
    ("svc.service: Scheduled restart job, restart counter is at 3.", BEGIN, ""),
    ("Jan 31 10:00:00 h systemd[1]: Started svc.service.", BEGIN, ""),
    ("INFO spawned: 'app' with pid 12", BEGIN, ""),
    ("2026-01-31T10:00:00Z container start 0123456789ab (image=x)", BEGIN, ""),
    ("INFO text_generation_launcher: Starting shard rank=0", BEGIN, ""),
    ("Torchserve version: 0.9.0", BEGIN, ""),
    ('{"event":"begin","v":1,"id":"7d","time":1.0}', BEGIN, ""),
    ("INFO 01-31 10:00:00 model_runner.py:965] Graph capturing finished in 88 secs.", LOADED, ""),
    ("[2026-01-31 10:00:00 TP0] Capture cuda graph end. Time elapsed: 15.22 s", LOADED, ""),
    ("INFO 01-31 10:00:00 launcher.py:19] Available routes are:", LOADED, ""),
    ("[2026-01-31 10:00:00] The server is fired up and ready to roll!", LOADED, ""),
    ("main: model loaded", LOADED, ""),
    ("Loaded model nllb-200 in 3.1 s", LOADED, ""),
    ("Finished loading the model", LOADED, ""),
    ("Model nllb-200 was loaded successfully", LOADED, ""),
    ("successfully loaded 'densenet' version 1", LOADED, ""),
    ("org.pytorch.serve.wlm.ModelManager - Model albert_squad loaded.", LOADED, ""),
    ("llama runner started in 3.02 seconds", LOADED, ""),
    ("main: server is listening on http://127.0.0.1:8080", LOADED, ""),
    ("pipeline nllb loaded in 3.1 s", LOADED, ""),
    ("WorkerThread - x State change WORKER_STARTED -> WORKER_MODEL_LOADED", LOADED, ""),
    ("INFO text_generation_router: router/src/main.rs:318: Connected", LOADED, ""),
    ('{"event":"end","time":1.0,"outcome":"loaded"}', LOADED, ""),
    ("INFO:     Application startup complete.", SERVING, ""),
    ("INFO:     Uvicorn running on http://0.0.0.0:8000", SERVING, ""),
    (" * Running on http://127.0.0.1:5000", SERVING, ""),
    ("I0131 10:00:00.0 1 http_server.cc:4692] Started HTTPService at 0.0.0.0:8000", SERVING, ""),
    ("[INFO] Handling signal: term", STOP, "killed"),
    ("Received SIGTERM, shutting down", STOP, "killed"),
    ("received signal 15", STOP, "killed"),
    ("Normal  Killing  41s  kubelet  Stopping container vllm", STOP, "killed"),
    ("[INFO] Worker exiting (pid: 66)", NOTICE, ""),
]  # fmt: skip


@pytest.mark.parametrize(("line", "role", "reason"), LINES)
def test_a_line_has_its_role_and_reason(line: str, role: str, reason: str) -> None:
    """Among the rows that fit is one of the line's role, and the best of that role has its reason."""
    rows = [row for row in (*ENDS, *LIFE_SIGNS) if row.role == role and _fits(row, line)]
    assert rows
    assert max(rows, key=lambda row: row.rank).reason == reason


@pytest.mark.parametrize("row", [*ENDS, *LIFE_SIGNS], ids=lambda row: f"{row.needle} {row.reason}")
def test_every_row_has_a_line(row: Sign) -> None:
    """No wording stands in the table without somebody who says it."""
    assert any(_fits(row, line) for line, _, _ in LINES)


@pytest.mark.parametrize(
    ("line", "role"),
    [
        ("no model loaded", LOADED),
        ("0 Workers (tasks / actors) killed due to memory pressure (OOM)", END),
        ("model loaded: false", LOADED),
        ("model loaded from cache failed", LOADED),
        ("app-1 exited with code 0", END),
        ("    Exit Code:    0", END),
        ("HTTPSConnectionPool(host='huggingface.co') via 127.0.0.1: Connection refused", CLIENT),
        ("ProxyError('Cannot connect to proxy.', 127.0.0.1:7890 Connection refused", CLIENT),
        ("503 Server Error: Service Unavailable for url: https://huggingface.co/x", CLIENT),
        ("svc.service: Failed with result 'exit-code'.", END),
    ],
)
def test_near_wordings_are_none(line: str, role: str) -> None:
    """What only looks alike fits no row of that role."""
    assert not [row for row in (*ENDS, *LIFE_SIGNS) if row.role == role and _fits(row, line)]


def test_rows_can_be_found_by_their_needle() -> None:
    """Every needle is lower case, as scan wants it, and long enough not to fit every line."""
    assert all(row.needle == row.needle.lower() and len(row.needle) >= 4 for row in SIGNS)


def test_every_stage_has_marks() -> None:
    """Servers' lines or frames tell every stage of the closed set."""
    told = {row.stage for row in STAGE_SIGNS}
    assert told >= {"download", "config", "tokenizer", "weights", "device", "pipeline", "warmup", "inference"}
    assert {row.role for row in STAGE_SIGNS} == {STAGE, FRAME}


@pytest.mark.parametrize("name", [name for name in TYPES if name.rpartition(".")[2].endswith(("Error", "Exception"))])
def test_every_known_exception_is_found(name: str) -> None:
    """The last line of a traceback reaches classify for every type that it knows."""
    line = f"{name.removeprefix('builtins.')}: message"
    assert any(isinstance(row, Sign) and _fits(row, line) for row in TABLE)


def _fits(row: Sign, line: str) -> bool:
    return fits(row, line, line.lower()) is not None  # type: ignore[arg-type] # a Sign has needle and regex as well
