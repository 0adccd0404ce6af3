"""What supervisors, containers, Kubernetes and hosts say as a process ends: a failure, but not yet why."""

from model_load_exporter.analysis.sign import BOOT, CLOCK_SET, END, NOTICE, Sign
from model_load_exporter.classify.patterns import EXACT, LAST, PLAIN, VAGUE

_SIGNALS = (
    ("killed", r"2|9|15|SIGINT|SIGKILL|SIGTERM|INT|KILL|TERM|[Kk]illed|[Tt]erminated", LAST),
    ("segfault", r"11|SIGSEGV|SEGV|[Ss]egmentation fault", PLAIN),
    ("bus_error", r"7|SIGBUS|BUS|[Bb]us error", PLAIN),
    ("illegal_instruction", r"4|SIGILL|ILL|[Ii]llegal instruction", PLAIN),
    ("aborted", r"6|SIGABRT|ABRT|[Aa]borted", VAGUE),
)
"""What ended a process, by number and name, as its supervisors print it."""


def _ended(needle: str, regex: str, says: str = "", owns: bool = False) -> tuple[Sign, ...]:
    """One row for each signal; SIGNAL in the regex stands for its number or name."""
    return tuple(
        Sign(END, needle, regex.replace("SIGNAL", f"(?:{names})"), reason, rank, says, owns=owns)
        for reason, names, rank in _SIGNALS
    )


def _exited(needle: str, regex: str, says: str = "") -> tuple[Sign, ...]:
    """One row for each way to end that an exit status of a shell or container runtime stands for."""
    statuses = (
        ("killed", "137|143", LAST),
        ("segfault", "139", PLAIN),
        ("bus_error", "135", PLAIN),
        ("illegal_instruction", "132", PLAIN),
        ("aborted", "134", VAGUE),
        ("process_died", "[1-9]|[1-9][0-9]|1(?:[0-2][0-9]|3[0136])|255", LAST),
    )
    return tuple(
        Sign(END, needle, regex.replace("STATUS", f"(?:{numbers})"), reason, rank, says)
        for reason, numbers, rank in statuses
    )


_WHOSE = "systemd does not say whose limit it was"
_AGAIN = "the container ended again and again; it is not said why"

_PROCESSES = (
    # gunicorn, uvicorn, supervisord
    *_ended("was sent sig", r"was sent SIGNAL!", "a worker ended by a signal; gunicorn only guesses at memory", True),
    *_ended("due to signal", r"(?i:terminated due to signal) SIGNAL\b"),
    *_exited("was sent code", r"was sent code STATUS!"),
    Sign(END, "exited with code", r"Worker \(pid:\s?\d+\) exited with code [1-9]", "process_died"),
    Sign(END, "worker failed to boot", "", "process_died"),
    Sign(END, "app failed to load", "", "unknown"),
    Sign(END, "application startup failed", "", "unknown"),
    Sign(END, "child process [", r"Child process \[\d+\] died", "process_died"),
    *_ended("(terminated by", r"(?:exited|stopped): .*\(terminated by SIGNAL\b"),
    Sign(END, "not expected)", r"exited: .*\(exit status \d+; not expected\)", "process_died"),
    Sign(END, "entered fatal state", "", "process_died"),
    # systemd
    *_ended("code=killed, status=", r"code=killed, status=\d+/SIGNAL\b"),
    *_ended("code=dumped, status=", r"code=dumped, status=\d+/SIGNAL\b"),
    Sign(END, "code=exited, status=", r"code=exited, status=[1-9]", "process_died"),
    Sign(END, "failed with result 'oom-kill'", "", "host_oom_killed", VAGUE, _WHOSE),
    Sign(END, "has been killed by the oom killer", "", "host_oom_killed", VAGUE, _WHOSE),
    Sign(END, "operation timed out", r"\b(?:[Ss]tart|start-pre|start-post) operation timed out", "timeout", PLAIN),
    Sign(END, "failed with result", r"Failed with result '(?:timeout|watchdog)'", "timeout", PLAIN),
    Sign(END, "watchdog timeout", r"Watchdog timeout \(limit", "timeout", PLAIN),
    # torch, joblib, ray, model servers
    *_ended("exitcode", r"exitcode\s*: -SIGNAL\b"),
    *_ended("received by pid", r"Signal \d+ \(SIGNAL\) received by PID"),
    *_ended("is killed by signal", r"is killed by signal: SIGNAL\b"),
    *_ended("exited prematurely", r"exited prematurely: signal SIGNAL\b"),
    *_ended("exited with 'signal", r"exited with 'signal SIGNAL\b"),
    *_ended("uncaught signal:", r"Uncaught signal: SIGNAL,"),
    *_exited("(exitcode:", r"\(exitcode: STATUS\)"),
    *_exited("exited with 'exitcode", r"exited with 'exitcode STATUS'"),
    Sign(END, "exited unexpectedly", r"DataLoader worker", "process_died"),
    Sign(END, "was unexpectedly terminated", r"worker process", "process_died"),
    Sign(END, "received sigquit from a child process", "", "process_died"),
    Sign(END, "died unexpectedly", "", "process_died"),
    Sign(END, "worker process died", "", "process_died"),
    Sign(END, "worker died", r"\bWorker died\b", "process_died"),
    *_ended("terminated abnormally with signal", r"with signal \d+/SIGNAL\b"),
    *_ended("via signal", r"via signal \[SIGNAL\]"),
    *_ended("process was signaled to shutdown", r"with signal SIGNAL\b"),
    *_ended("process has terminated", r"process has terminated: signal: SIGNAL\b"),
    Sign(END, "process has terminated", r"process has terminated: exit status \d", "process_died"),
    *_ended("llama runner terminated", r"error=\"signal: SIGNAL\b"),
    Sign(END, "llama runner terminated", r"error=\"exit status [1-9]", "process_died"),
    Sign(END, "process no longer running", r"runner process no longer running", "process_died"),
    Sign(END, "died or was killed while executing", "", "process_died"),
    Sign(END, "killed due to memory pressure", r"\b[1-9]\d* Workers .*killed due to", "host_oom_killed", EXACT),
    Sign(END, "error trying to connect", r"[Ss]erver error: error trying to connect", "process_died", owns=True),
    Sign(END, "server error: transport error", "", "process_died", owns=True),
    Sign(END, "shardfailed", "", "process_died"),
    Sign(END, "| unavailable", r"\| UNAVAILABLE: ", "unknown"),
    Sign(END, "shardcannotstart", "", "unknown"),
    Sign(END, "failed to start", r"(?:Shard \d+|[Ee]ngine(?: process| core)?|EngineCore|vLLM) failed to start",
         "unknown"),
    Sign(END, "initialization failed. see root cause above", "", "unknown"),
    Sign(END, "enginedeaderror", "", "process_died"),
    # schedulers of batch jobs
    Sign(END, "due to time limit", r"CANCELLED AT .* DUE TO TIME LIMIT", "timeout", EXACT),
    Sign(END, "walltime", r"(?i)walltime .*exceeded|exceeded.* walltime|killed.*walltime", "timeout", PLAIN),
    *_exited("exited with exit code", r"[Ee]xited with exit code STATUS\b"),
    *_exited("] error ", r"^make(?:\[\d+\])?: \*\*\* \[.*\] Error STATUS\b"),
    Sign(END, "zsh: killed", r"^zsh: killed\s", "killed"),
    Sign(END, "press any key to continue", r"^Press any key to continue[ .]*$", "process_died"),
    Sign(END, "请按任意键继续", r"^请按任意键继续[ .]*$", "process_died"),
    Sign(END, "boot timeout", r"Error R10 \(Boot timeout\)", "timeout", EXACT),
)  # fmt: skip

_CONTAINERS = (
    # docker, compose, containerd
    *_exited("exited with code", r"^[\w.\-]+(?:\s*\|)?\s+exited with code STATUS\b"),
    *_exited("exit code is", r"Container killed.* exit code is STATUS\b"),
    Sign(END, "for exceeding memory limits", r"[Cc]ontainer killed", "cgroup_oom_killed", EXACT),
    Sign(END, "oom killed", r"(?i)\b(?:container|task|pod)\b.*\bOOM killed", "cgroup_oom_killed", PLAIN),
    *_exited("exitcode=", r"container die .*exitCode=STATUS\b", "the container ended"),
    *_exited("\"exitcode\":", r"\"ExitCode\":\s?STATUS\b"),
    Sign(END, "container oom", r"\bcontainer oom [0-9a-f]{12}", "cgroup_oom_killed", EXACT),
    Sign(END, "\"oomkilled\": true", "", "cgroup_oom_killed", EXACT),
    # Kubernetes
    *_exited("exit code:", r"Exit Code:\s+STATUS\b", "the container's last end"),
    *_exited("exitcode:", r"exitCode:\s+STATUS\b", "the container's last end"),
    Sign(END, "failed startup probe", "", "timeout", VAGUE, "the kubelet restarts what is not up in time"),
    Sign(END, "failed liveness probe", "", "killed", VAGUE, "the kubelet ends what does not answer"),
    Sign(NOTICE, "probe failed", r"(?:Liveness|Readiness|Startup) probe (?:failed|errored)", owns=True),
    Sign(END, "crashloopbackoff", "", "process_died", LAST, _AGAIN),
    Sign(END, "back-off restarting", "", "process_died", LAST, _AGAIN),
    Sign(END, "the node was low on resource: memory", "", "host_oom_killed", PLAIN, "the kubelet evicted the pod"),
    Sign(END, "the node was low on resource: ephemeral-storage", "", "disk_full", PLAIN, "the kubelet evicted the pod"),
    Sign(END, "ephemeral local storage usage exceeds", "", "disk_full", EXACT, "the kubelet evicted the pod"),
    Sign(END, "exceed", r"Usage of EmptyDir volume \S+ exceeds the limit|exceeded its local ephemeral storage limit",
         "disk_full", EXACT, "the kubelet evicted the pod"),
    Sign(END, "system oom encountered", "", "host_oom_killed", EXACT),
    Sign(END, "preempt", r"\bPreempted\b", "killed"),
    Sign(END, "deadlineexceeded", r"DeadlineExceeded\b.*(?:Job|active longer)", "timeout", PLAIN),
)  # fmt: skip

_HOSTS = (
    Sign(BOOT, "-- boot ", r"^-- Boot [0-9a-f]{32} --", "host_rebooted", PLAIN, "the host started again"),
    Sign(BOOT, "-- reboot --", "", "host_rebooted", PLAIN, "the host started again"),
    Sign(BOOT, "linux version ", r"(?:^|\] |kernel: )Linux version \d", "host_rebooted", PLAIN, "the host started"),
    Sign(BOOT, "system will reboot now", "", "host_rebooted", PLAIN),
    Sign(BOOT, "system is rebooting", "", "host_rebooted", PLAIN),
    Sign(BOOT, "system will power off now", "", "host_rebooted", PLAIN),
    Sign(END, "kernel panic - not syncing", "", "host_rebooted", EXACT),
    Sign(END, "panic(cpu ", r"panic\(cpu \d+ caller 0x", "host_rebooted", EXACT, "macOS panicked", owns=True),
    Sign(CLOCK_SET, "setting system clock to"),
)

ENDS: tuple[Sign, ...] = (*_PROCESSES, *_CONTAINERS, *_HOSTS)
