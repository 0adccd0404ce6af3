"""The canary's child: `PYTHON -I -X faulthandler child.py SPEC_JSON`, under the service's own interpreter.

That interpreter has neither this package nor a promise of its age, so this is one file of the standard library alone,
for Python 3.8 and newer. It becomes two processes. The guard moves itself into the canary's cgroup, forks the loader,
samples its memory, and at the end kills whatever the load left behind: as the subreaper of its subtree it is told of
every descendant, setsid or not. The loader gives up its network, writes the attempt's journal and loads for real.

Both speak to the parent in JSON lines on `report_fd`: `contained` (guard), `started`, `stage_begin`, `stage_end`,
`report` (loader), `exit` (guard, last). The parent judges; nothing here names a reason unless no exception could.

SPEC: id, model, report_fd, parent (its pid); optional: spool, path, repo, loader, task, input, stages (only these),
cgroups (files that take a pid, the one with the memory limit first), need_cgroup (do not load outside of that one),
memory_limit (bytes that the guard enforces where no cgroup does), options (what to do otherwise than a service does by
default: see OPTIONS), text (its embedding is told beside the input's), fingerprint (tell a checksum of the weights).
"""

# os.path throughout: pathlib would be a large part of what the guard costs.

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib
import importlib.util
import inspect
import json
import mmap
import os
import resource
import signal
import socket
import struct
import sys
import time
import traceback
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

SUPPORTED_LOADERS = ("transformers", "torch", "safetensors", "onnx", "tflite", "gguf")
"""The loaders with a name that this file knows; besides them, `python:module:callable`."""

OPTIONS = (
    "dtype", "use_safetensors", "attention", "use_fast", "low_memory", "int8", "mmap", "optimize", "arena", "delegates",
    "save",
)  # fmt: skip
"""What `probe --variants` may ask for. `save`: a folder to write the weights of a pickle to, as safetensors."""

OLDEST_PYTHON = (3, 8)

_LINE = 4096
_TEXT = 2000
_NUMBERS = 4096
_SAMPLE_SECONDS = 0.01
_PAGE = resource.getpagesize()
_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000
_PDEATHSIG, _NO_NEW_PRIVS, _CHILD_SUBREAPER = 1, 38, 36
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
_IDLE = 3 << 13
_THREADS = min(2, os.cpu_count() or 1)


# ---------------------------------------------------------------- containment


def _libc() -> Any:
    """The C library, or None under an interpreter that was built without ctypes."""
    try:
        import ctypes

        return ctypes.CDLL(None, use_errno=True)
    except (ImportError, OSError):
        return None


def _prctl(option: int, value: int) -> bool:
    libc = _libc()
    return libc is not None and libc.prctl(option, value, 0, 0, 0) == 0


def _put(path: str, text: str) -> None:
    """Writes to a kernel file in one write; OSError is the caller's."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def join_cgroups(files: list[str]) -> str | None:
    """Moves this process into each group; what went wrong with the first, which has the limit, or None."""
    problem = None
    for file in files:
        try:
            _put(file, "0")
        except OSError as error:
            if file == files[0]:
                problem = f"{file}: {error.strerror}"
    return problem


def lower_priority() -> list[str]:
    """Last for CPU and disk, first for the OOM killer, no new privileges, no core dump. Notes on what could not be."""
    notes = []
    with contextlib.suppress(OSError):
        os.nice(19)
    libc, number = _libc(), _IOPRIO_SET.get(os.uname().machine)
    if libc is None or number is None or libc.syscall(number, 1, 0, _IDLE) != 0:
        notes.append("disk priority not lowered")
    try:
        _put("/proc/self/oom_score_adj", "1000")
    except OSError:
        notes.append("not first in line for the OOM killer")
    _prctl(_NO_NEW_PRIVS, 1)
    # 1, not 0: it also keeps a core_pattern that pipes to a program from being fed gigabytes.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    return notes


def leave_network() -> list[str]:
    """Into an empty network namespace, through a user namespace where root is not given. A note if that fails."""
    libc = _libc()
    uid, gid = os.getuid(), os.getgid()
    if libc is None:
        return ["network not isolated"]
    if libc.unshare(_NEW_NETWORK) != 0:
        if libc.unshare(_NEW_USER | _NEW_NETWORK) != 0:
            return ["network not isolated"]
        with contextlib.suppress(OSError):
            _put("/proc/self/setgroups", "deny")
            _put("/proc/self/uid_map", f"{uid} {uid} 1")
            _put("/proc/self/gid_map", f"{gid} {gid} 1")
    # Its own loopback, up: some loaders talk to worker processes of theirs over it.
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))
    return []


# ---------------------------------------------------------------- the guard


def guard(spec: dict[str, Any], report: Report) -> int:
    """Runs in the first process: containment, the loader's fork, and the watch until nothing is left of it."""
    groups = spec.get("cgroups") or []
    problem = join_cgroups(groups)
    if problem is not None and spec.get("need_cgroup"):
        report.send({"event": "contained", "cgroup": False, "refused": problem, "notes": []})
        return 0
    contained = bool(groups) and problem is None
    notes = lower_priority()
    if problem is not None:
        notes.append(f"memory limit watched, not enforced by a cgroup: {problem}")
    if not _prctl(_CHILD_SUBREAPER, 1):
        notes.append("processes that the load starts may outlive it")
    report.send({"event": "contained", "cgroup": contained, "notes": notes, "python": sys.version.split()[0]})

    # Blocked, and fetched by sigtimedwait: no handler runs at a bad moment, and the loader inherits none.
    watched = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    # The daemon's death must not leave a load behind. It may have died before this line.
    _prctl(_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != spec["parent"]:
        return 0
    me = os.getpid()
    pid = os.fork()
    if pid == 0:
        _prctl(_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != me:
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, watched)
        # Straight out: at this point a native library's exit handlers could only turn a good load into a crash.
        os._exit(load(spec, report))
    seen = watch(pid, watched, None if contained else spec.get("memory_limit"))
    report.send({"event": "exit", **seen}, separate=True)
    return 0


def watch(pid: int, watched: set[signal.Signals], limit: int | None) -> dict[str, Any]:
    """Waits for the loader, samples its memory, then ends all descendants; returns what `exit` tells of it.

    The samples come from here, since a thread of the loader would starve while native code holds its GIL.
    """
    seen: dict[str, Any] = {"status": None, "over_limit": False, "peak_rss": 0, "peak_anonymous": 0}
    ending, tick = False, 0
    while True:
        arrived = signal.sigtimedwait(watched, _SAMPLE_SECONDS)
        if arrived is not None and arrived.si_signo == signal.SIGTERM:
            ending = True
        while True:
            try:
                done, code = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return seen
            if done == 0:
                break
            if done == pid:
                seen["status"], ending = code, True
        if not ending:
            sizes = memory_of(pid)
            now = anonymous_in(sizes)
            seen["peak_rss"] = max(seen["peak_rss"], sizes.get("VmRSS", 0))
            seen["peak_anonymous"] = max(seen["peak_anonymous"], now)
            tick += 1
            if limit is not None and tick % 10 == 0:
                now = sum(anonymous_in(memory_of(one)) for one in descendants())
            if limit is not None and now > limit:
                seen["over_limit"] = ending = True
        if ending:
            for one in descendants():
                with contextlib.suppress(OSError):
                    os.kill(one, signal.SIGKILL)


def descendants() -> list[int]:
    """The pids of all processes below this one, from /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
                children.setdefault(int(file.read().rpartition(b")")[2].split()[1]), []).append(int(name))
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def memory_of(pid: int | str = "self") -> dict[str, int]:
    """Bytes by name (VmRSS, VmHWM, RssAnon, RssShmem) from /proc/PID/status; empty once the process is gone."""
    sizes = {}
    with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/status", "rb") as file:
        for line in file:
            name, _, rest = line.partition(b":")
            if name in (b"VmRSS", b"VmHWM", b"RssAnon", b"RssShmem"):
                sizes[name.decode()] = int(rest.split()[0]) * 1024
    return sizes


def anonymous_in(sizes: dict[str, int]) -> int:
    """Memory that no file stands behind: what counts against a limit and cannot be dropped."""
    return sizes.get("RssAnon", 0) + sizes.get("RssShmem", 0)


# ---------------------------------------------------------------- telling


class Report:
    """Lines to the parent. Where it has gone, nobody is left to tell, and that is no error."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        os.set_inheritable(fd, False)

    def send(self, event: dict[str, Any], separate: bool = False) -> None:
        """One event, one line; `separate` ends a line that a killed writer left unfinished."""
        data = (b"\n" if separate else b"") + json.dumps(event, default=str).encode() + b"\n"
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self.fd, data) :]

    def close(self) -> None:
        """In a forked child: its copy would keep the parent waiting for the end."""
        with contextlib.suppress(OSError):
            os.close(self.fd)


class Journal:
    """The attempt's file in the spool, format 1; without a spool, or on any error of it, silently nothing."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.fd = -1
        self.notes: list[str] = []
        if spec.get("spool"):
            try:
                self._create(spec)
            except OSError as error:
                self.notes.append(f"journal not written: {spec['spool']}: {error.strerror}")

    def _create(self, spec: dict[str, Any]) -> None:
        begin = {"event": "begin", "v": 1, "id": spec["id"], "model": spec["model"], "kind": "canary"}
        begin.update(_clocks(), pid=os.getpid(), boot_id=_boot_id(), runtime={"python": sys.version.split()[0]})
        with contextlib.suppress(OSError):
            begin["pid_namespace"] = os.stat("/proc/self/ns/pid").st_ino
        begin.update({key: spec[key] for key in ("path", "repo") if spec.get(key)})
        line = json.dumps(begin).encode() + b"\n"
        if len(line) > _LINE:
            raise OSError(errno.EMSGSIZE, "the model's name and path do not fit in a line")
        hidden = os.path.join(spec["spool"], f".{spec['id']}.tmp")
        fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.write(fd, line) != len(line):
                raise OSError(errno.ENOSPC, "the disk is full")
            os.rename(hidden, os.path.join(spec["spool"], f"{spec['id']}.jsonl"))
        except OSError:
            os.close(fd)
            with contextlib.suppress(OSError):
                os.unlink(hidden)
            raise
        self.fd = fd

    def write(self, event: dict[str, Any]) -> None:
        """One event, one write of at most 4096 bytes."""
        if self.fd < 0:
            return
        line = json.dumps({**event, **_clocks()}).encode() + b"\n"
        if len(line) > _LINE:
            line = json.dumps({**event, **_clocks(), "message": event.get("message", "")[:300]}).encode() + b"\n"
        with contextlib.suppress(OSError):
            os.write(self.fd, line)

    def close(self) -> None:
        """Closing the last copy frees the lock; LOCK_UN would free it under another process's feet."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _clocks() -> dict[str, float]:
    return {"time": round(time.time(), 6), "monotonic": round(time.monotonic(), 6)}


def _boot_id() -> str:
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
    return ""


def chain_of(error: BaseException) -> list[dict[str, Any]]:
    """The exception and all that led to it, outermost first: {type, bases, text, errno, filename, module} each."""
    links: list[dict[str, Any]] = []
    seen: set[int] = set()
    waiting = [error]
    while waiting and len(links) < 32:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        links.append(_link(current))
        waiting += [one for one in getattr(current, "exceptions", ()) if isinstance(one, BaseException)]
        if current.__cause__ is not None:
            waiting.append(current.__cause__)
        elif current.__context__ is not None and not current.__suppress_context__:
            waiting.append(current.__context__)
    return links


def _link(error: BaseException) -> dict[str, Any]:
    try:
        text = str(error)
    except Exception:  # a foreign __str__ may do anything
        text = ""
    if len(text) > _TEXT:
        text = text[: _TEXT // 2] + " [...] " + text[-_TEXT // 2 :]
    filename = error.filename if isinstance(error, OSError) else None
    bases = [f"{base.__module__}.{base.__qualname__}" for base in type(error).__mro__ if base is not object]
    return {
        "type": bases[0],
        "bases": bases[:16],
        "text": text,
        "errno": error.errno if isinstance(error, OSError) else None,
        "filename": os.fsdecode(filename) if isinstance(filename, (str, bytes)) else None,
        "module": error.name if isinstance(error, ImportError) else None,
    }


def file_in(error: BaseException, source: str, opened: str) -> str | None:
    """The model's file that was being read: what the deepest cause names, else what its innermost function was given.

    Libraries in Rust and C++ rarely say which file it was; the Python functions that call them know. Where a function
    knows several, it is the last one `opened`, or none that can be told.
    """
    causes = [error]
    while len(causes) < 32:
        deeper = causes[-1].__cause__ or causes[-1].__context__
        if deeper is None:
            break
        causes.append(deeper)
    for cause in reversed(causes):
        given = [[getattr(cause, "filename", None)]]
        given += [list(frame.f_locals.values())[:100] for frame, _ in traceback.walk_tb(cause.__traceback__)][::-1]
        for values in given:
            texts = {one for one in values if isinstance(one, str) and one.startswith(source) and os.path.isfile(one)}
            if len(texts) == 1:
                return texts.pop()
            if texts:
                return opened if opened in texts else None
    return None


# ---------------------------------------------------------------- the load


class FindingError(Exception):
    """A fault that no library raised: the load is refused or wrong. `reason` is of the closed set."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Load:
    """One load under way: its stages, told to journal and parent as they happen, and what was found."""

    def __init__(self, spec: dict[str, Any], report: Report, journal: Journal) -> None:
        self.spec = spec
        self.report = report
        self.journal = journal
        self.source = spec.get("path") or spec.get("repo") or ""
        self.options: dict[str, Any] = spec.get("options") or {}
        self.notes: list[str] = []
        self.found: dict[str, Any] = {}
        self.peak_rss = 0
        self.peak_anonymous = 0
        self.opened = ""

    def wants(self, stage: str) -> bool:
        """Whether the stage was asked for; without a choice, all are."""
        return not self.spec.get("stages") or stage in self.spec["stages"]

    @contextlib.contextmanager
    def stage(self, name: str, call: str = "") -> Iterator[None]:
        """Times what happens within, with its own peak of memory. call: the library's function that does the work."""
        # VmHWM counts from here on: what an earlier stage took at its peak is not this one's.
        with contextlib.suppress(OSError):
            _put("/proc/self/clear_refs", "5")
        begun = time.monotonic()
        self.journal.write({"event": "stage_begin", "stage": name})
        self.report.send({"event": "stage_begin", "stage": name, "call": call})
        event: dict[str, Any] = {"event": "stage_end", "stage": name}
        try:
            yield
        except BaseException:
            event["failed"] = True
            raise
        finally:
            seconds = time.monotonic() - begun
            sizes = memory_of()
            rss, anonymous = sizes.get("VmRSS"), sizes.get("RssAnon")
            peak = max(sizes.get("VmHWM", 0), rss or 0)
            self.peak_rss = max(self.peak_rss, peak)
            self.peak_anonymous = max(self.peak_anonymous, anonymous or 0)
            self.journal.write({**event, "rss": rss, "anonymous": anonymous})
            self.report.send({**event, "seconds": round(seconds, 6), "peak_rss": peak or None})

    def imports(self, *modules: str, then: Callable[..., None] | None = None) -> list[Any]:
        """Imports libraries as a stage of its own, and reports versions and memory as they are before the load.

        `then` gets the modules and imports what they would only fetch in the middle of a stage.
        """
        with self.stage("other", "import " + ", ".join(modules)):
            loaded: list[Any] = [importlib.import_module(module) for module in modules]
            if then is not None:
                then(*loaded)
        # From here on only: libraries open thousands of files of their own.
        sys.addaudithook(self._opens)
        found = {module.__name__: str(module.__version__) for module in loaded if hasattr(module, "__version__")}
        sizes = memory_of()
        self.report.send(
            {"event": "started", "versions": found, "rss": sizes.get("VmRSS"), "anonymous": sizes.get("RssAnon")}
        )
        return loaded

    def _opens(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(self.source):
            self.opened = arguments[0]


def load(spec: dict[str, Any], report: Report) -> int:
    """Runs in the loader: the whole attempt, from its first journal line to its report. Returns the exit status."""
    notes = leave_network()
    prepare_environment()
    journal = Journal(spec)
    # A copy of either in a process that the load forks would hide this one's death.
    os.register_at_fork(after_in_child=journal.close)
    os.register_at_fork(after_in_child=report.close)
    attempt = Load(spec, report, journal)
    attempt.notes += notes + journal.notes
    result: dict[str, Any] = {"event": "report", "outcome": "loaded"}
    message = ""
    try:
        find_loader(spec.get("loader") or "transformers")(attempt)
    except (SystemExit, GeneratorExit) as error:
        # Code of the load ends the process: for the parent an exit without a report, as it would be in a service.
        return error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1
    except BaseException as error:  # whatever it is, it is the answer
        message = str(error)[:500]
        reason = error.reason if isinstance(error, FindingError) else None
        result.update(outcome="failed", failure=chain_of(error), reason=reason)
        with contextlib.suppress(Exception):
            result["file"] = file_in(error, attempt.source, attempt.opened)
        with contextlib.suppress(Exception):
            traceback.print_exception(type(error), error, error.__traceback__)
    peaks = {"peak_rss": attempt.peak_rss or None, "peak_anonymous": attempt.peak_anonymous or None}
    journal.write({"event": "end", "outcome": result["outcome"], "message": message, **peaks})
    report.send({**result, **attempt.found, **peaks, "notes": attempt.notes})
    journal.close()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def prepare_environment() -> None:
    """What libraries read at import: no hub, no telemetry, few threads, and no GPU, which the services need."""
    os.environ.update(
        dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"), "1"),
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        TOKENIZERS_PARALLELISM="false",
        CUDA_VISIBLE_DEVICES="",
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(_THREADS)),
    )
    # Read-only file systems and another user's packages: nothing is written beside them.
    sys.dont_write_bytecode = True


def find_loader(name: str) -> Callable[[Load], None]:
    """The function that loads that way. Raises FindingError for one that this version does not know."""
    if name.startswith("python:"):
        return load_callable
    known = {
        "transformers": load_transformers,
        "torch": load_torch,
        "safetensors": load_safetensors,
        "onnx": load_onnx,
        "tflite": load_tflite,
        "gguf": load_gguf,
    }
    if name not in known:
        raise FindingError("config_invalid", f"loader {name} is not supported by this version's canary")
    return known[name]


# ---------------------------------------------------------------- tensors


def touch(torch: Any, tensors: Iterable[Any], fingerprint: bool = False) -> dict[str, Any]:
    """Reads a byte of every page, since a mapped file costs memory only then.

    Returns parameters, dtype (of most of them), and with `fingerprint` a checksum of all values, in whatever order.
    """
    storages: set[int] = set()
    counted: set[tuple[int, int]] = set()
    sizes: dict[str, int] = {}
    checksum = 0
    for tensor in tensors:
        if tensor.device.type == "meta":
            raise FindingError("architecture_mismatch", "a weight was never filled: it is still on the meta device")
        if tensor.layout is not torch.strided:
            continue
        # Tied weights are one tensor under two names.
        place = (tensor.data_ptr(), tensor.numel())
        if place not in counted:
            counted.add(place)
            dtype = str(tensor.dtype).replace("torch.", "")
            sizes[dtype] = sizes.get(dtype, 0) + tensor.numel()
            if fingerprint:
                checksum += checksum_of(tensor)
        storage = tensor.untyped_storage()
        if storage.nbytes() and storage.data_ptr() not in storages:
            storages.add(storage.data_ptr())
            pages = torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(storage)
            int(pages[::_PAGE].sum())
    found = {"parameters": sum(sizes.values()), "dtype": max(sizes, key=sizes.__getitem__) if sizes else None}
    return {**found, "fingerprint": f"{checksum % 2**64:016x}"} if fingerprint else found


def checksum_of(tensor: Any) -> int:
    """The CRC of a tensor's values as they lie in memory."""
    import ctypes

    whole = tensor.detach().contiguous()
    return zlib.crc32((ctypes.c_char * (whole.numel() * whole.element_size())).from_address(whole.data_ptr()))


def quantization_of(config: Any, dtype: str | None) -> str:
    """How the weights are quantised: what config.json says of it, else by their type; `none` for plain floats."""
    told = config.get("quantization_config") if isinstance(config, dict) else None
    if isinstance(told, dict):
        bits = 4 if told.get("load_in_4bit") else 8 if told.get("load_in_8bit") else told.get("bits")
        method = str(told.get("quant_method") or "unknown")
        return f"{method}-{bits}bit" if bits else method
    if dtype is None or dtype in ("float64", "float32", "float16", "bfloat16"):
        return "none"
    return {"qint8": "int8", "quint8": "uint8", "qint32": "int32"}.get(dtype, dtype)


def config_beside(path: str) -> Any:
    """The config.json of a model's folder; None where there is none that can be read."""
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    with contextlib.suppress(OSError, ValueError), open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        return json.load(file)
    return None


def numbers(flat: Any) -> list[float]:
    """At most 4096 numbers, evenly taken, of a flat array or tensor: what the outputs of two loads are compared by."""
    step = max(1, -(-len(flat) // _NUMBERS))
    return [float(f"{value:.6g}") for value in flat[::step].tolist()]


def tensors_in(value: Any, depth: int = 0) -> Iterator[Any]:
    """The tensors of a state dict, of a module, or of anything nested that holds some."""
    if hasattr(value, "__tensor_flatten__"):
        # A tensor made of others, as torchao's quantised ones are: it has no memory of its own.
        yield from tensors_in([getattr(value, name) for name in value.__tensor_flatten__()[0]], depth + 1)
    elif hasattr(value, "untyped_storage") and hasattr(value, "data_ptr"):
        yield value
    elif hasattr(value, "state_dict") and hasattr(value, "parameters"):
        yield from tensors_in(value.state_dict(), depth + 1)
    elif depth < 20 and isinstance(value, (dict, list, tuple)):
        for one in value.values() if isinstance(value, dict) else value:
            yield from tensors_in(one, depth + 1)


def limit_threads(torch: Any, *_: Any) -> None:
    """Few threads: the canary runs beside the services."""
    with contextlib.suppress(RuntimeError):
        torch.set_num_threads(_THREADS)


# ---------------------------------------------------------------- torch, safetensors


def weight_files(path: str, single: str, suffixes: tuple[str, ...]) -> list[str]:
    """The files that hold the weights at that path: itself, the shards of its index, or what its folder has."""
    if not os.path.isdir(path):
        return [path]
    index = os.path.join(path, f"{single}.index.json")
    if os.path.exists(index):
        with open(index, encoding="utf-8") as file:
            names = set(json.load(file)["weight_map"].values())
        return [os.path.join(path, os.path.basename(name)) for name in sorted(names)]
    if os.path.exists(os.path.join(path, single)):
        return [os.path.join(path, single)]
    found = sorted(name for name in os.listdir(path) if name.endswith(suffixes))
    if not found:
        raise FileNotFoundError(errno.ENOENT, f"no {single} and no *{suffixes[0]} in the folder", path)
    return [os.path.join(path, name) for name in found]


def load_torch(attempt: Load) -> None:
    """torch.load of weights only, on the CPU; several files of a folder stay loaded together, as in a service."""
    (torch,) = attempt.imports("torch", then=limit_threads)
    if not attempt.wants("weights"):
        return
    with attempt.stage("weights", "torch.load"):
        files = weight_files(attempt.source, "pytorch_model.bin", (".pth", ".pt", ".bin", ".ckpt"))
        options = {"mmap": True} if attempt.options.get("mmap") else {}
        loaded = [torch.load(file, map_location="cpu", weights_only=True, **options) for file in files]
        if attempt.options.get("save"):
            save_as_safetensors(torch, loaded, files, attempt.options["save"])
        tell_tensors(attempt, torch, as_type(torch, loaded, attempt.options.get("dtype")))


def load_safetensors(attempt: Load) -> None:
    """Every shard by safetensors' own load_file, as torch tensors."""
    torch, library = attempt.imports("torch", "safetensors.torch", then=limit_threads)
    if not attempt.wants("weights"):
        return
    with attempt.stage("weights", "safetensors.torch.load_file"):
        files = weight_files(attempt.source, "model.safetensors", (".safetensors",))
        loaded = [as_type(torch, library.load_file(file), attempt.options.get("dtype")) for file in files]
        tell_tensors(attempt, torch, loaded)


def tell_tensors(attempt: Load, torch: Any, loaded: Any) -> None:
    """What there is to tell of weights without a model around them."""
    found = touch(torch, tensors_in(loaded), bool(attempt.spec.get("fingerprint")))
    attempt.found.update(found, quantization=quantization_of(config_beside(attempt.source), found["dtype"]))


def as_type(torch: Any, value: Any, dtype: str | None) -> Any:
    """The same with its floating tensors in that type, converted one by one: two forms of one tensor at a time."""
    if dtype is None:
        return value
    if isinstance(value, dict):
        for key in list(value):
            value[key] = as_type(torch, value[key], dtype)
    elif isinstance(value, list):
        for index, one in enumerate(value):
            value[index] = as_type(torch, one, dtype)
    elif isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.to(getattr(torch, dtype))
    return value


def save_as_safetensors(torch: Any, loaded: list[Any], files: list[str], folder: str) -> None:
    """Writes what weights_only read as model*.safetensors. Raises FindingError for more than tensors by name."""
    library = importlib.import_module("safetensors.torch")
    seen: set[int] = set()
    index: dict[str, str] = {}
    for number, part in enumerate(loaded, 1):
        if not isinstance(part, dict) or not all(isinstance(one, torch.Tensor) for one in part.values()):
            raise FindingError("config_invalid", f"{files[number - 1]} holds more than tensors by name")
        whole = {}
        for key, tensor in part.items():
            # Tied weights: safetensors refuses two names for one piece of memory.
            whole[key] = tensor.clone() if tensor.data_ptr() in seen else tensor.contiguous()
            seen.add(tensor.data_ptr())
        name = "model.safetensors" if len(loaded) == 1 else f"model-{number:05}-of-{len(loaded):05}.safetensors"
        library.save_file(whole, os.path.join(folder, name), metadata={"format": "pt"})
        index.update(dict.fromkeys(whole, name))
    if len(loaded) > 1:
        with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as file:
            json.dump({"metadata": {}, "weight_map": index}, file)


# ---------------------------------------------------------------- onnx, tflite, gguf, callables


def load_onnx(attempt: Load) -> None:
    """An onnxruntime session on the CPU, and one run on made-up inputs where their shapes allow it."""
    onnxruntime, numpy = attempt.imports("onnxruntime", "numpy")
    if not attempt.wants("weights"):
        return
    with attempt.stage("weights", "onnxruntime.InferenceSession"):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = _THREADS
        if attempt.options.get("optimize") is False:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if attempt.options.get("arena") is False:
            options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        (file,) = weight_files(attempt.source, "model.onnx", (".onnx",))[:1]
        session = onnxruntime.InferenceSession(file, sess_options=options, providers=["CPUExecutionProvider"])
        attempt.found["quantization"] = onnx_quantization(file)
    if not attempt.wants("inference"):
        return
    types = {"tensor(int64)": "int64", "tensor(int32)": "int32", "tensor(bool)": "bool", "tensor(float16)": "float16"}
    inputs = {}
    for one in session.get_inputs():
        shape = [size if isinstance(size, int) and size > 0 else 1 for size in one.shape]
        inputs[one.name] = made_up(numpy, one.name, shape, types.get(one.type, "float32"))
    with attempt.stage("inference", "InferenceSession.run"):
        try:
            tell_outputs(attempt, session.run(None, inputs))
        except Exception as error:  # the inputs are made up; a model that refuses them is loaded
            attempt.notes.append(f"inference on made-up inputs was refused: {str(error)[:200]}")


def onnx_quantization(file: str) -> str:
    """`int8` or `int4` where the graph has operators of that kind, by the names in the file; else `none`."""
    kinds = {
        "int4": (b"MatMulNBits", b"MatMulBnb4"),
        "int8": (b"DequantizeLinear", b"DynamicQuantizeLinear", b"MatMulInteger", b"ConvInteger", b"QLinearMatMul",
                 b"QLinearConv", b"DynamicQuantizeMatMul"),
    }  # fmt: skip
    with open(file, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for kind, names in kinds.items():
            # A node's op_type in the protobuf: field 4, its length, the name.
            if any(data.find(b"\x22" + bytes([len(name)]) + name) >= 0 for name in names):
                return kind
    return "none"


def made_up(numpy: Any, name: str, shape: list[int], dtype: str) -> Any:
    """An input that is the same each time: a wave for floats; for whole numbers ones, and zeros for what is a type."""
    count = 1
    for size in shape:
        count *= size
    if dtype.startswith("float"):
        return numpy.sin(numpy.arange(count, dtype="float32") * 0.1).reshape(shape).astype(dtype)
    return numpy.full(shape, 0 if "type" in name else 1, dtype=dtype)


def tell_outputs(attempt: Load, outputs: list[Any]) -> None:
    """The shapes of numpy outputs, and the numbers of the first. Raises FindingError for NaN."""
    attempt.found["output"] = ", ".join(f"{out.dtype} {list(out.shape)}" for out in outputs[:8])
    first = next((out for out in outputs if out.dtype.kind == "f" and out.size), None)
    if first is not None:
        flat = first.astype("float32").ravel()
        if bool((flat != flat).any()):
            attempt.notes.append("the output for made-up inputs is not a number (NaN)")
        else:
            attempt.found["vector"] = numbers(flat)


def load_tflite(attempt: Load) -> None:
    """A LiteRT (TensorFlow Lite) interpreter with its tensors allocated, and one run on made-up inputs."""
    known = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter", "tensorflow")
    name = next((one for one in known if importlib.util.find_spec(one.partition(".")[0])), known[0])
    library, numpy = attempt.imports(name, "numpy")
    library = library.lite if name == "tensorflow" else library
    if not attempt.wants("weights"):
        return
    with attempt.stage("weights", "Interpreter.allocate_tensors"):
        (file,) = weight_files(attempt.source, "model.tflite", (".tflite",))[:1]
        options = {"model_path": file, "num_threads": _THREADS}
        if attempt.options.get("delegates") is False:
            options["experimental_op_resolver_type"] = library.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = library.Interpreter(**options)
        interpreter.allocate_tensors()
        scaled = [one for one in interpreter.get_tensor_details() if len(one["quantization_parameters"]["scales"])]
        kinds = {numpy.dtype(one["dtype"]).name for one in scaled} & {"int4", "int8", "uint8", "int16"}
        attempt.found["quantization"] = min(kinds) if kinds else "none"
    if not attempt.wants("inference"):
        return
    with attempt.stage("inference", "Interpreter.invoke"):
        try:
            for one in interpreter.get_input_details():
                value = made_up(numpy, one["name"], list(one["shape"]), numpy.dtype(one["dtype"]).name)
                interpreter.set_tensor(one["index"], value)
            interpreter.invoke()
            found = [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]
            tell_outputs(attempt, found)
        except (ValueError, RuntimeError, TypeError) as error:
            attempt.notes.append(f"inference on made-up inputs was refused: {str(error)[:200]}")


def load_gguf(attempt: Load) -> None:
    """llama.cpp's Python binding on the CPU, and 16 tokens, greedily."""
    if importlib.util.find_spec("llama_cpp") is None:
        raise FindingError(
            "dependency_missing", "loader gguf needs the package llama-cpp-python, which is not installed"
        )
    (library,) = attempt.imports("llama_cpp")
    if not attempt.wants("weights"):
        return
    with attempt.stage("weights", "llama_cpp.Llama"):
        (file,) = weight_files(attempt.source, "model.gguf", (".gguf",))[:1]
        mapped = attempt.options.get("mmap") is not False
        model = library.Llama(
            # Verbose: an error says no more than that it failed, llama.cpp's own lines on stderr say why.
            file,
            n_ctx=256,
            n_gpu_layers=0,
            n_threads=_THREADS,
            use_mmap=mapped,
            seed=0,
            verbose=True,
        )
        with contextlib.suppress(AttributeError, TypeError):
            attempt.found["parameters"] = int(library.llama_model_n_params(model.model))
        attempt.found["quantization"] = gguf_type((getattr(model, "metadata", None) or {}).get("general.file_type"))
    if not attempt.wants("inference"):
        return
    attempt.found["kind"] = _GENERATE
    with attempt.stage("inference", "Llama.create_completion"):
        text = attempt.spec.get("input") or "Hello"
        answer = model.create_completion(text, max_tokens=16, temperature=0.0)
        attempt.found["output"] = str(answer["choices"][0]["text"])[:_TEXT]


def gguf_type(number: Any) -> str | None:
    """The name of `general.file_type`, as llama.cpp has it; `none` for plain floats, None for an unknown one."""
    names = {
        0: "none", 1: "none", 32: "none", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
        11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
        19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
        26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 36: "TQ1_0", 37: "TQ2_0",
    }  # fmt: skip
    return names.get(int(number)) if str(number).isdigit() else None


def load_callable(attempt: Load) -> None:
    """`python:module:callable` or `python:/path/to/file.py:callable`, called with the model's path if it takes one."""
    module_name, _, name = attempt.spec["loader"][len("python:") :].rpartition(":")
    with attempt.stage("other", f"import {module_name}"):
        function = getattr(import_module(module_name), name)
    if not attempt.wants("weights"):
        return
    with attempt.stage("weights", f"{name}()"):
        try:
            takes_path = bool(inspect.signature(function).parameters)
        except (TypeError, ValueError):
            takes_path = True
        loaded = function(attempt.source) if takes_path else function()
        if "torch" in sys.modules:
            tell_tensors(attempt, sys.modules["torch"], loaded)


def import_module(name: str) -> Any:
    """A module by its name, or by the path of its file."""
    if not name.endswith(".py"):
        return importlib.import_module(name)
    found = importlib.util.spec_from_file_location("canary_loader", name)
    if found is None or found.loader is None:
        raise ModuleNotFoundError(f"{name} cannot be imported", name=name)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


# ---------------------------------------------------------------- transformers

_GENERATE, _EMBED, _CLASSIFY, _FORWARD = "generate", "embed", "classify", "forward"
_TASKS = {
    "translation": ("AutoModelForSeq2SeqLM", _GENERATE),
    "summarization": ("AutoModelForSeq2SeqLM", _GENERATE),
    "text2text-generation": ("AutoModelForSeq2SeqLM", _GENERATE),
    "text-generation": ("AutoModelForCausalLM", _GENERATE),
    "feature-extraction": ("AutoModel", _EMBED),
    "sentence-similarity": ("AutoModel", _EMBED),
    "text-classification": ("AutoModelForSequenceClassification", _CLASSIFY),
    "sentiment-analysis": ("AutoModelForSequenceClassification", _CLASSIFY),
    "token-classification": ("AutoModelForTokenClassification", _FORWARD),
    "ner": ("AutoModelForTokenClassification", _FORWARD),
    "question-answering": ("AutoModelForQuestionAnswering", _FORWARD),
    "fill-mask": ("AutoModelForMaskedLM", _FORWARD),
}


def load_transformers(attempt: Load) -> None:
    """Configuration, tokenizer, weights, pipeline and a first inference, as a service does it."""

    def prepare(torch: Any, transformers: Any) -> None:
        limit_threads(torch)
        # What fails here fails again in its stage, where it belongs.
        with contextlib.suppress(Exception):
            transformers.utils.logging.disable_progress_bar()
            with open(os.path.join(attempt.source, "config.json"), encoding="utf-8") as file:
                getattr(transformers, json.load(file)["architectures"][0])

    torch, transformers = attempt.imports("torch", "transformers", then=prepare)
    source, task, options = attempt.source, attempt.spec.get("task"), attempt.options
    local = {"local_files_only": True, "trust_remote_code": False}
    tokenizer = model = kind = config = None
    if any(attempt.wants(stage) for stage in ("config", "weights", "pipeline", "inference")):
        with attempt.stage("config", "AutoConfig.from_pretrained"):
            config = transformers.AutoConfig.from_pretrained(source, **local)
            model_class, kind = choose_class(transformers, config, task)
            attempt.found["kind"] = kind
        if kind is None:
            attempt.notes.append(f"no inference: {task or model_class.__name__} is no task that the canary can ask")
    # Alone it needs no config: whether it loads is then told apart from whether the config does.
    if attempt.wants("tokenizer") and (kind is not None or config is None):
        with attempt.stage("tokenizer", "AutoTokenizer.from_pretrained"):
            fast = {"use_fast": options["use_fast"]} if "use_fast" in options else {}
            tokenizer = transformers.AutoTokenizer.from_pretrained(source, **local, **fast)
            if len(tokenizer) <= len(tokenizer.all_special_tokens):
                # transformers 5 makes an empty one where it finds no files.
                raise FindingError("file_missing", f"the tokenizer has no vocabulary: its files are not in {source}")
    if attempt.wants("weights") and config is not None:
        with attempt.stage("weights", f"{model_class.__name__}.from_pretrained"):
            model = read_weights(transformers, model_class, source, {**local, **model_options(transformers, options)})
            if options.get("int8"):
                quantize(torch, model)
            found = touch(torch, tensors_in(model))
            how = "int8" if options.get("int8") else quantization_of(config.to_dict(), found["dtype"])
            attempt.found.update(found, quantization=how)
    if model is None or tokenizer is None:
        return
    if attempt.wants("pipeline"):
        with attempt.stage("pipeline", "transformers.pipeline"):
            if not build_pipeline(transformers, task, model, tokenizer) and task:
                attempt.notes.append(f"no pipeline: transformers {transformers.__version__} has none for {task}")
    if attempt.wants("inference"):
        call = "generate" if kind == _GENERATE else "forward"
        with attempt.stage("inference", f"{type(model).__name__}.{call}"), torch.no_grad():
            told = infer(torch, kind, model, tokenizer, attempt.spec.get("input") or "Hello", pooling_of(source))
            attempt.found.update(told)
            if attempt.spec.get("text") and "vector" in told:
                other = infer(torch, kind, model, tokenizer, attempt.spec["text"], pooling_of(source))
                attempt.found["vector_of_text"] = other["vector"]


def model_options(transformers: Any, options: dict[str, Any]) -> dict[str, Any]:
    """What from_pretrained calls them; the name of the type changed with version 4.56."""
    found: dict[str, Any] = {}
    if "dtype" in options:
        version = tuple(int(part) for part in transformers.__version__.split(".")[:2])
        found["dtype" if version >= (4, 56) else "torch_dtype"] = getattr(sys.modules["torch"], options["dtype"])
    if "use_safetensors" in options:
        found["use_safetensors"] = options["use_safetensors"]
    if options.get("attention"):
        found["attn_implementation"] = options["attention"]
    if options.get("low_memory"):
        found["low_cpu_mem_usage"] = True
    return found


def quantize(torch: Any, model: Any) -> None:
    """Weights of the linear layers in 8 bits, in place: by torchao, else by what torch had before it."""
    if importlib.util.find_spec("torchao") is not None:
        library = importlib.import_module("torchao.quantization")
        library.quantize_(model, library.Int8WeightOnlyConfig())
        return
    if any(one.is_floating_point() and one.dtype != torch.float32 for one in model.parameters()):
        message = (
            "torch's own dynamic quantisation needs float32 weights; torchao, which is not installed, takes others"
        )
        raise FindingError("version_incompatible", message)
    try:
        library = importlib.import_module("torch.ao.quantization")
        library.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)
    except (ImportError, AttributeError):
        message = f"torch {torch.__version__} has no dynamic quantisation, and torchao is not installed"
        raise FindingError("dependency_missing", message) from None


def pooling_of(source: str) -> str:
    """How sentence-transformers makes one vector of a text: `cls` where 1_Pooling/config.json says so, else `mean`."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        with open(os.path.join(source, "1_Pooling", "config.json"), encoding="utf-8") as file:
            found = json.load(file)
        if found.get("pooling_mode_cls_token") or found.get("pooling_mode") == "cls":
            return "cls"
    return "mean"


def choose_class(transformers: Any, config: Any, task: str | None) -> tuple[Any, str | None]:
    """The class to load with and how to ask it: by the task, else by the architecture that config.json names."""
    known = _TASKS.get("translation" if str(task).startswith("translation_") else str(task))
    if known is not None:
        return getattr(transformers, known[0]), known[1]
    name = (getattr(config, "architectures", None) or [""])[0]
    found = getattr(transformers, name, None)
    if found is None:
        return transformers.AutoModel, None
    generates = name.endswith("ForConditionalGeneration") and getattr(config, "is_encoder_decoder", False)
    if task:
        return found, None
    if generates or name.endswith("ForCausalLM"):
        return found, _GENERATE
    if name.endswith("ForSequenceClassification"):
        return found, _CLASSIFY
    return found, _EMBED if name.endswith("Model") else None


def read_weights(transformers: Any, model_class: Any, source: str, local: dict[str, Any]) -> Any:
    """from_pretrained with the service's defaults. Raises FindingError where the checkpoint lacks weights."""
    options = {**local, "output_loading_info": True}
    if not model_class.__name__.startswith("Auto"):
        # Only the Auto classes know it; the others never run a model's own code.
        del options["trust_remote_code"]
    # Older versions hand an unknown option on to the model; they load weights only by themselves.
    if "weights_only" in inspect.signature(transformers.PreTrainedModel.from_pretrained).parameters:
        options["weights_only"] = True
    model, info = model_class.from_pretrained(source, **options)
    # An encoder that is asked for embeddings never uses its pooler.
    missing = sorted(key for key in info.get("missing_keys") or () if "pooler" not in key.split("."))
    if missing:
        names = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise FindingError(
            "architecture_mismatch",
            f"the checkpoint lacks {len(missing)} of the model's weights, which now hold random numbers: {names}",
        )
    return model.eval()


def build_pipeline(transformers: Any, task: str | None, model: Any, tokenizer: Any) -> bool:
    """The library's own pipeline; False where it has none for the task, as newer versions dropped several."""
    try:
        transformers.pipelines.check_task(task)
    except Exception:  # KeyError, RuntimeError or AttributeError, by the version
        return False
    transformers.pipeline(task, model=model, tokenizer=tokenizer, device=-1)
    return True


def infer(torch: Any, kind: str | None, model: Any, tokenizer: Any, text: str, pooling: str) -> dict[str, Any]:
    """One small inference: `output`, its text or what there is to say of its numbers, and these as `vector`.

    Raises FindingError for NaN.
    """
    inputs = dict(tokenizer(text, return_tensors="pt"))
    if kind == _GENERATE:
        return {"output": generate(torch, model, tokenizer, inputs)}
    encoder = model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) and kind == _EMBED else model
    taken = inspect.signature(encoder.forward).parameters
    output = encoder(**{key: value for key, value in inputs.items() if key in taken})[0].float()
    if not bool(torch.isfinite(output).all()):
        raise FindingError("file_corrupted", "the output is not a number (NaN): weights damaged, or out of range")
    if kind == _EMBED:
        vector = output[0][0] if pooling == "cls" else output.mean(dim=1)[0]
        first = ", ".join(f"{value:.3f}" for value in vector[:4].tolist())
        told = f"embedding of {vector.numel()} numbers, norm {float(vector.norm()):.3f}: {first}, ..."
        return {"output": told, "vector": numbers(vector)}
    vector = output.flatten()
    if kind == _CLASSIFY:
        best = int(output[0].argmax())
        return {
            "output": str((getattr(model.config, "id2label", None) or {}).get(best, best)),
            "vector": numbers(vector),
        }
    return {"output": f"output of shape {list(output.shape)}", "vector": numbers(vector)}


def generate(torch: Any, model: Any, tokenizer: Any, inputs: dict[str, Any]) -> str:
    """At most 16 new tokens, greedily; the language to translate into is the model's own default."""
    inputs.pop("token_type_ids", None)
    options = {"max_new_tokens": 16, "num_beams": 1, "do_sample": False}
    if getattr(model.generation_config, "pad_token_id", None) is None:
        options["pad_token_id"] = next(
            (one for one in (tokenizer.pad_token_id, tokenizer.eos_token_id) if one is not None), 0
        )
    result = model.generate(**inputs, output_scores=True, return_dict_in_generate=True, **options)
    # -inf marks tokens that generation rules out; NaN is nobody's intention.
    if any(bool(torch.isnan(scores).any()) for scores in result.scores):
        raise FindingError("file_corrupted", "the output is not a number (NaN): weights damaged, or out of range")
    tokens = result.sequences[0]
    if not getattr(model.config, "is_encoder_decoder", False):
        tokens = tokens[inputs["input_ids"].shape[1] :]
    return str(tokenizer.decode(tokens, skip_special_tokens=True))[:_TEXT]


def main() -> int:
    """Reads the spec and runs the guard."""
    spec = json.loads(sys.argv[1])
    report = Report(spec["report_fd"])
    if sys.version_info < OLDEST_PYTHON:  # an older interpreter of a service can come as far as this
        message = f"Python {sys.version.split()[0]} is too old for the canary, which needs 3.8 or newer"
        failure = [_link(FindingError("version_incompatible", message))]
        report.send({"event": "report", "outcome": "failed", "reason": "version_incompatible", "failure": failure})
        return 0
    return guard(spec, report)


if __name__ == "__main__":
    sys.exit(main())
