"""What the canary's tests share: interpreters, the three models, and loads that go wrong in every way."""

import asyncio
import os
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from model_load_exporter.canary.result import CanaryResult
from model_load_exporter.canary.run import run_canary
from model_load_exporter.config import Canary, Model

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-models/bin/python"
MODELS = ROOT / ".run/models"

FAULTS = """
import ctypes, os, signal, socket, subprocess, sys, time

def segfault(): ctypes.string_at(0)
def abort(): os.abort()
def bus_error(): os.kill(os.getpid(), signal.SIGBUS)
def illegal_instruction(): os.kill(os.getpid(), signal.SIGILL)
def killed(): os.kill(os.getpid(), signal.SIGKILL)
def cpu_limit(): os.kill(os.getpid(), signal.SIGXCPU)
def os_exit(): os._exit(3)
def sys_exit(): sys.exit(4)
def memory_error(): return bytearray(1 << 60)
def bad_alloc():
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\\n  what():  std::bad_alloc\\n")
    os.abort()
def hog():
    held = []
    while True:
        held.append(bytearray(16 << 20))
def hang_with_daemon(path):
    started = subprocess.Popen(["sleep", "600"], start_new_session=True)
    open(path + "/pid.tmp", "w").write(str(started.pid))
    os.rename(path + "/pid.tmp", path + "/pid")
    time.sleep(600)
def leave_daemon(path):
    # Twice forked, in a session of its own, its output elsewhere: what a helper process does to be forgotten.
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            open(path + "/pid.tmp", "w").write(str(os.getpid()))
            os.rename(path + "/pid.tmp", path + "/pid")
            time.sleep(600)
        os._exit(0)
    os.wait()
    while not os.path.exists(path + "/pid"):
        time.sleep(0.005)
def flood(path):
    end = time.monotonic() + 1
    while time.monotonic() < end:
        os.write(1, b"x" * 65535 + b"\\n")
    os.write(2, b"the last line\\n")
def hostile_reports():
    for fd in range(3, 20):
        for text in (b"{" * 5000, b"[]", b'{"event": "report", "outcome": 7', b'{"event": "exit", "status": "x"}',
                     b'{"event": "stage_end", "stage": ["x"], "seconds": 1e999, "peak_rss": -5}', b"\\xff\\x00"):
            try:
                os.write(fd, text + b"\\n")
            except OSError:
                pass
def connect(path):
    port = int(open(path + "/port").read())
    socket.create_connection(("127.0.0.1", port), 5)
def tell(path):
    fields = dict(line.rstrip("\\n").split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
    ioprio = ctypes.CDLL(None).syscall({"x86_64": 252, "aarch64": 31}[os.uname().machine], 1, 0) >> 13
    import json, resource
    json.dump({
        "nice": os.nice(0), "oom": open("/proc/self/oom_score_adj").read().strip(), "ioprio": ioprio,
        "no_new_privs": fields["NoNewPrivs"], "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "stdin": os.readlink("/proc/self/fd/0"), "environment": sorted(os.environ), "cwd": os.getcwd(),
        "fds": sorted(os.readlink("/proc/self/fd/" + fd).split(":")[0] for fd in os.listdir("/proc/self/fd")
                      if os.path.exists("/proc/self/fd/" + fd)),
        "interfaces": sorted(line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line),
    }, open(path + "/told", "w"))
"""


def load(
    path: Path | str,
    loader: str = "transformers",
    task: str | None = None,
    *,
    canary: Canary | None = None,
    spool: Path | None = None,
    stages: tuple[str, ...] | None = None,
    available: Callable[[], int | None] | None = None,
    procfs: str = "/proc",
) -> CanaryResult:
    """One canary load of that path, by default under the interpreter that has torch."""
    model = Model("case", str(path), loader=loader, task=task, canary=canary or with_torch())
    return asyncio.run(
        run_canary(
            model,
            attempt_id=new_id(),
            spool_dir=str(spool) if spool else None,
            stages=stages,
            available_memory=available,
            procfs=procfs,
        )
    )


def with_torch(**keys: object) -> Canary:
    """The canary settings of a service whose interpreter has torch and transformers."""
    return Canary(python=str(PYTHON), **keys)  # type: ignore[arg-type]  # the dataclass checks nothing, the tests do


def is_alive(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


_ids: list[str] = []


def new_id() -> str:
    """An attempt id of this test run's own: other daemons and tests may use the same host."""
    _ids.append(uuid.uuid4().hex)
    return _ids[-1]


def loads_made() -> tuple[str, ...]:
    """The ids given so far."""
    return tuple(_ids)


def cgroups_left(*ids: str) -> list[str]:
    """Groups of those loads anywhere in the hierarchies."""
    command = ["find", "/sys/fs/cgroup", "-maxdepth", "6", "-type", "d", "-name", "model-load-exporter-canary-*"]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return [folder for folder in found if folder.endswith(ids)]


def descriptors() -> int:
    """Open descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))
