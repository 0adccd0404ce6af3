"""What the daemon reads of others: journals, kernel records, /proc, cgroups, the canary's child, its own config."""

import contextlib
import json
import os
import struct
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from fuzz_target import Scratch, Target

from model_load_exporter.attempt import LoadAttempt, stage_label
from model_load_exporter.canary.observed import Observed
from model_load_exporter.classify.chain import links_from_json
from model_load_exporter.classify.exceptions import classify
from model_load_exporter.config import ConfigError, load_config
from model_load_exporter.holding import Holding
from model_load_exporter.journal.format import CAUSES, JournalError, decode
from model_load_exporter.journal.spool import SpoolError, filesystem_type, open_spool
from model_load_exporter.journal.tail import Tail
from model_load_exporter.reasons import REASONS
from model_load_exporter.units import format_duration, format_size, parse_duration, parse_size
from model_load_exporter.witness import faulthandler_dump
from model_load_exporter.witness.cgroup import MemoryCgroup, memory_cgroup
from model_load_exporter.witness.exit_status import Process, age_of
from model_load_exporter.witness.family import descendants, doomed, last_pid
from model_load_exporter.witness.kernel_log import KernelLog, Span
from model_load_exporter.witness.locks import lock_owner
from model_load_exporter.witness.proc_connector import Heard, ProcConnector
from model_load_exporter.witness.waiting import waiting

_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
_SCRATCH = Scratch()
_PID = os.getpid()

BEGIN = {
    "event": "begin", "v": 1, "id": "fuzz-1", "time": 1.79e9, "model": "nllb", "kind": "service", "pid": 7,
    "boot_id": "b", "path": "/models/nllb", "runtime": {"python": "3.11", "threads": 4},
}  # fmt: skip
HOLD = BEGIN | {"event": "hold", "anonymous": 10, "mapped": [["a", 5]], "gpu": [["GPU-1", 6]]}
EVENTS = (
    BEGIN, HOLD,
    {"event": "stage_begin", "time": 1.79e9, "stage": "weights", "monotonic": 3.5},
    {"event": "stage_end", "time": 1.79e9, "stage": "weights", "rss": 10**9, "anonymous": 10**8, "failed": True},
    {"event": "end", "time": 1.79e9, "outcome": "failed", "reason": "file_missing", "message": "no", "peak_rss": 5},
    {"event": "unhold", "time": 1.79e9, "model": "nllb"},
    {"event": "exit", "time": 1.79e9, "moved": "fuzz-2"},
    {"event": "kill", "time": 1.79e9, "pid": 7, "boot_id": "b", "pid_namespace": 4026531836, "cause": "timeout"},
    {"event": "exit_status", "time": 1.79e9, "pid": 7, "status": 9},
    {"event": "inference", "time": 1.79e9, "model": "nllb", "count": 3, "failures": 1, "seconds": 0.5, "buckets": [1]},
)  # fmt: skip
LINES = tuple(json.dumps(event).encode() for event in EVENTS)


def _of(known: Collection[object], told: object) -> None:
    assert told in known, told


def _decode(line: bytes) -> None:
    try:
        decode(line)
    except JournalError as error:
        _of(CAUSES, error.cause)
        raise


def _tail(data: bytes) -> None:
    """A whole file, as the reader follows it: what it told must be safe to show."""
    (_FOLDER / "fuzz-1.jsonl").write_bytes(data)
    tail = Tail(str(_FOLDER), "fuzz-1.jsonl")
    try:
        _, problems = tail.read()
        assert all(problem.cause in CAUSES for problem in problems)
        tail.torn()
        if isinstance(tail.attempt, LoadAttempt):
            stage_label(tail.attempt.stage)
            tail.attempt.begin.model.encode()
        if isinstance(tail.holding, Holding):
            [name.encode() for name in tail.holding.held]
    finally:
        tail.close()


def _kernel_log(data: bytes) -> None:
    """One record a read, as the device gives them; a file gives 8 KiB of whatever it holds."""
    log = KernelLog(_SCRATCH.write(data), "boot", None)
    try:
        counts = log.read()
        assert set(counts) == {"host", "cgroup"}
        for kill in log.oom_kills(Span()):
            assert kill.scope in counts
    finally:
        log.close()


def _proc_connector(data: bytes) -> None:
    connector = ProcConnector.__new__(ProcConnector)  # without its socket, which needs root
    connector._watched = {7: Heard(7), 8: Heard(8)}
    connector.take(data)
    for pid in (7, 8):
        status = connector._watched[pid].status
        assert status is None or status.signal is None or 0 < status.signal < 128


def _procfs(read: Callable[[str], object]) -> Callable[[bytes], object]:
    """Every file of a process, and the tables beside them, with the same content."""
    process = _FOLDER / f"proc/{_PID}"
    task = process / f"task/{_PID}"

    def run(data: bytes) -> object:
        task.mkdir(parents=True, exist_ok=True)
        for folder in (process, task):
            for name in ("stat", "wchan", "syscall", "status", "cgroup", "children", "comm", "mountinfo"):
                (folder / name).write_bytes(data)
        for name in ("locks", "loadavg", "uptime", "stat"):
            (_FOLDER / "proc" / name).write_bytes(data)
        return read(str(_FOLDER / "proc"))

    return run


def _zombie(procfs: str) -> None:
    process = Process(_PID)  # a living one: its file is read before that is asked
    process.zombie_status(procfs)
    process.close()


def _lock_owner(procfs: str) -> None:
    with contextlib.suppress(ValueError):  # a line that the kernel never writes
        lock_owner(os.makedev(8, 1), 1234, procfs)


_PROCFS: dict[str, Callable[[str], object]] = {
    "locks": _lock_owner,
    "cgroup": lambda procfs: memory_cgroup(_PID, procfs, str(_FOLDER / "sys")),
    "waiting": lambda procfs: waiting(_PID, procfs),
    "descendants": lambda procfs: descendants(_PID, procfs),
    "doomed": lambda procfs: doomed(_PID, procfs),
    "last_pid": last_pid,
    "age": lambda procfs: age_of(_PID, procfs),
    "zombie": _zombie,
    "mountinfo": lambda procfs: filesystem_type("/models/nllb", f"{procfs}/{_PID}/mountinfo"),
}


def _cgroupfs(data: bytes) -> None:
    folder = _FOLDER / "sys/fs/cgroup/memory/a"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("memory.events.local", "memory.oom_control", "memory.max", "memory.limit_in_bytes", "cgroup.procs"):
        (folder / name).write_bytes(data)
    for v2 in (False, True):
        group = MemoryCgroup(str(folder), v2, "/a")
        kills, limit = group.oom_kills(), group.limit()
        assert kills is None or isinstance(kills, int)
        assert limit is None or isinstance(limit, int)
        group.group_kills()
        group.members()


def _spool_settings(data: bytes) -> None:
    (_FOLDER / "spool.json").write_bytes(data)
    assert open_spool(str(_FOLDER)).full() in (True, False)


def _observed(data: bytes) -> None:
    """What a canary's child says, in two pieces, and the reason for what it told."""
    seen = Observed()
    half = len(data) // 2
    for part in (data[:half], data[half:]):
        seen.take_reports(part)
        seen.take_log(part)
    seen.stages_until(1.0)
    json.dumps([seen.log_tail, seen.notes, seen.versions])
    found = classify(links_from_json((seen.report or {}).get("failure")))
    assert found.reason in REASONS


def _config(data: bytes) -> None:
    try:
        load_config(_SCRATCH.write(data))
    except ConfigError as error:
        for problem in error.problems:
            _of((True,), problem.line >= 0 and "\n" not in problem.message)
        raise


def _duration(data: bytes) -> None:
    seconds = parse_duration(data.decode("utf-8", "replace"))
    assert seconds >= 0
    format_duration(seconds)


def _size(data: bytes) -> None:
    size = parse_size(data.decode("utf-8", "replace"))
    assert size >= 0
    format_size(size)


_CONFIG = b"""\
models:
  - &base
    name: nllb-200
    path: /models/nllb-200
    match: ["facebook/nllb-*"]
    loader: transformers
    task: translation
    thresholds: {load_seconds: 300, memory_bytes: 6GB}
    canary: {interval: 15m, timeout: 300s, memory_limit: 8GiB, python: /usr/bin/python3, input: "Hello"}
    verify: {interval: 1h, manifest: manifest.sha256}
  - {<<: *base, name: other, path: ./x}
services:
  - {target: app, url: "http://127.0.0.1:8080/health", interval: 5s, models: {nllb-200: 2}}
cache_paths: [/models, ~/.cache]
limits: {models: 200}
"""
_KERNEL = (
    b"3,42,1000000,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=a,mems_allowed=0,oom_memcg=/x,"
    b"task_memcg=/x,task=python,pid=77,uid=0\n",
    b"3,43,1000001,-;Memory cgroup out of memory: Killed process 77 (python) total-vm:1kB, anon-rss:1kB\n",
    b"3,44,1000002,-;Out of memory: Killed process 78 (python)\n",
    b"6,45,1000003,c;python3[123]: segfault at 0 ip 00007f sp 00007f error 4 in libc.so.6[7f+1]\n",
    b"6,46,1000004,-;traps: python3[124] trap invalid opcode ip:1 sp:2 error:0 in x[1+1]\n",
    b"3,47,1000005,-;NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, GPU has fallen off the bus.\n",
    b"11,48,1,-;Killed process 1 (faked)\n SUBSYSTEM=x\n",
)
_EXIT = struct.pack("=IIIIIHH", 76, 3, 0, 0, 1, 1, 1) + struct.pack("=IIHH", 0, 0, 40, 0)
_EXIT = _EXIT[:36].ljust(36, b"\0") + struct.pack("=IIQIIIIII", 0x80000000, 0, 1, 7, 7, 9, 17, 8, 8)
_REPORTS = b"\n".join(
    json.dumps(event).encode()
    for event in (
        {"event": "contained", "cgroup": True, "python": "3.11", "notes": ["a"]},
        {"event": "started", "versions": {"torch": "2.13"}},
        {"event": "stage_begin", "stage": "weights", "call": "torch.load"},
        {"event": "stage_end", "stage": "weights", "seconds": 1.5, "peak_rss": 10**9, "failed": True},
        {"event": "report", "outcome": "failed", "failure": [
            {"type": "builtins.OSError", "bases": ["builtins.OSError"], "text": "x", "errno": 2, "filename": "/x"}]},
        {"event": "exit", "status": 9, "over_limit": False, "peak_rss": 5},
    )
) + b"\n"  # fmt: skip
_PROC = (
    b"7 (python) S 1 7 7 0 -1 4194560 1 0 0 0 5 1 0 0 20 0 1 0 100 1 1 1 1 1 1 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 9",
    b"1: FLOCK  ADVISORY  WRITE 7 08:01:1234 0 EOF\n2: POSIX ADVISORY READ 8 00:1f:99 0 EOF\n",
    b"4:memory:/docker/abc\n0::/system.slice\n",
    b"0.10 0.20 0.30 1/100 4242\n",
    b"Name:\tpython\nNSpid:\t7\t1\nSigPnd:\t0000000000000100\nShdPnd:\t0\n",
    b"24 30 0:22 / /models rw,relatime shared:1 - nfs4 server:/x rw\n",
    b"7 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8\n",
    b"8 9 10",
)

JOURNAL = (
    Target("journal_line", _decode, (JournalError,), LINES),
    Target("journal_file", _tail, (JournalError, OSError), (
        b"\n".join(LINES[:1] + LINES[2:5]) + b"\n", b"\n".join(LINES[1:2] + LINES[5:7] + LINES[9:]) + b"\n",
        LINES[0] + b"\n" + b"x" * 5000 + b"\n" + LINES[2],
    )),
    Target("spool_settings", _spool_settings, (SpoolError,), (b'{"format": 1, "max_files": 10, "max_bytes": 100}',)),
)  # fmt: skip
WITNESS = (
    Target("kernel_log", _kernel_log, (), _KERNEL),
    Target("proc_connector", _proc_connector, (), (_EXIT,)),
    *(Target(f"procfs_{name}", _procfs(read), (), _PROC) for name, read in _PROCFS.items()),
    Target("cgroupfs", _cgroupfs, (), (b"low 0\noom 3\noom_kill 2\noom_group_kill 1\n", b"max\n", b"104857600\n")),
    Target("faulthandler_dump", lambda data: faulthandler_dump.parse(data.decode("utf-8", "replace")), (), (
        b'Fatal Python error: Segmentation fault\n\nCurrent thread 0x7 (most recent call first):\n  File "a.py", '
        b"line 3 in load\n",
    )),
)  # fmt: skip
CONFIG = (
    Target("config", _config, (ConfigError,), (_CONFIG, b"a: [1, {b: *x}]", b"%YAML 1.1\n---\n- !!python/object x\n")),
    Target("duration", _duration, (ValueError,), (b"1h30m", b"250ms", b"0.1s", b"2d", b"366d", b"9" * 18)),
    Target("size", _size, (ValueError,), (b"6GB", b"8GiB", b"1.5 MiB", b"123", b"9" * 18 + b"PB")),
)
CANARY = (Target("canary_reports", _observed, (), (_REPORTS,)),)
TARGETS = (*JOURNAL, *WITNESS, *CONFIG, *CANARY)
