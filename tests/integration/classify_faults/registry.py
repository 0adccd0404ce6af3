"""The list of faults, and what makes them possible: another user's rights, a full disk, a package that is not there."""

import atexit
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model_load_exporter.classify.chain import describe
from model_load_exporter.classify.exceptions import classify_exception

NOBODY = 65534
# What a clone without git-lfs leaves in a weights file's place, and what a download through a failing proxy does.
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 268435456\n"
PAGE = b"<!DOCTYPE html><html><head><title>503 Service Unavailable</title></head><body></body></html>"

Load = Callable[[], object]
Prepare = Callable[[Path], tuple[Load, Path | str | None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. prepare: given its folder, makes the files and returns the load and the path it is told.

    expected: the reason; None for a load that is well although its log may frighten. verify: the level from which
    `verify` must find it without loading; None where no file is to blame, or none that a look could tell. silent:
    the load succeeds, and what it loads is wrong, or ran what it should not. found_as: the reason that `verify` gives
    where it sees more of the file than the words tell.
    """

    expected: str | None
    prepare: Prepare
    verify: str | None = None
    silent: bool = False
    found_as: str | None = None


FAULTS: dict[str, Fault] = {}


def fault(
    expected: str, *, verify: str | None = None, silent: bool = False, found_as: str | None = None
) -> Callable[[Prepare], Prepare]:
    """Register a fault by its function's name."""

    def register(function: Prepare) -> Prepare:
        FAULTS[function.__name__] = Fault(expected, function, verify, silent, found_as)
        return function

    return register


def healthy(function: Prepare) -> Prepare:
    """Register a load that succeeds and is right, however much its libraries warn."""
    FAULTS[function.__name__] = Fault(None, function)
    return function


@dataclass(frozen=True, slots=True)
class InAChild:
    """A load that happens in a forked child, as another user or with little address space."""

    load: Load
    uid: int | None = None
    address_space: int | None = None

    def __call__(self) -> object:
        if self.uid is not None:
            os.setgroups([])
            os.setgid(self.uid)
            os.setuid(self.uid)  # for good: access(2) asks for the real user
        if self.address_space is not None:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + self.address_space,) * 2)
        return self.load()


def as_nobody(load: Load) -> Load:
    """The load under a user who owns nothing here. Root's own rights would hide what a service's user meets."""
    if os.geteuid() != 0:
        raise NotHereError("another user's rights can be had by root only")
    return InAChild(load, uid=NOBODY)


def with_little_memory(load: Load, size: int) -> Load:
    """The load with `size` bytes of address space beyond what the libraries took."""
    return InAChild(load, address_space=size)


@contextlib.contextmanager
def without(*packages: str) -> Iterator[None]:
    """The packages as if they were not installed: neither found nor importable."""
    import importlib.util

    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in packages}
    for name in packages:
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way to block an import
    asked = sys.modules.get("transformers.utils.import_utils")  # it remembers what is installed
    caches = [value for value in vars(asked).values() if hasattr(value, "cache_clear")] if asked else []
    found = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *rest: None if name in packages else found(name, *rest)
    for cache in caches:
        cache.cache_clear()
    try:
        yield
    finally:
        importlib.util.find_spec = found
        for name in packages:
            del sys.modules[name]
        sys.modules.update(hidden)
        for cache in caches:
            cache.cache_clear()


class NotHereError(Exception):
    """The fault cannot be provoked on this machine."""


def tmpfs(folder: Path, size: str = "64k") -> Path:
    mounted = folder / "small"
    mounted.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mounted)], capture_output=True, check=False
    )
    if done.returncode:
        raise NotHereError(f"no tmpfs can be mounted: {done.stderr.decode().strip()}")
    atexit.register(subprocess.run, ["umount", str(mounted)], check=False)
    return mounted


def fill(folder: Path) -> None:
    with contextlib.suppress(OSError), open(folder / "filler", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def write_manifest(folder: Path) -> None:
    """`manifest.sha256` of what is in the folder now, as sha256sum(1) writes it."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    listed = subprocess.run(["sha256sum", *names], cwd=folder, capture_output=True, check=True)
    (folder / "manifest.sha256").write_bytes(listed.stdout)


def flip(path: Path, offset: int) -> None:
    """One bit, `offset` bytes from the file's begin, or from its end where negative."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 4
    path.write_bytes(data)


def provoke(name: str, base: Path) -> dict[str, Any] | None:
    """What happened, as data; None where this machine cannot provoke it."""
    one = FAULTS[name]
    folder = base / name
    folder.mkdir()
    try:
        load, path = one.prepare(folder)
    except NotHereError as why:
        print(f"{name}: {why}", file=sys.stderr)
        return None
    path = str(path) if path is not None else None
    met = _in_a_child(load, path) if isinstance(load, InAChild) else _met(load, path)
    if (met["printed"] == "") != (one.silent or one.expected is None):
        print(
            f"{name}: the load {'succeeded' if met['printed'] == '' else 'failed'}\n{met['printed']}", file=sys.stderr
        )
        return None
    manifest = folder / "manifest.sha256"
    return met | {
        "expected": one.expected,
        "verify": one.verify,
        "silent": one.silent,
        "found_as": one.found_as or one.expected,
        "path": path,
        "manifest": str(manifest) if manifest.exists() else None,
        "uid": load.uid if isinstance(load, InAChild) else None,
    }


def _met(load: Load, path: str | None) -> dict[str, Any]:
    """What the load raised (`printed` is empty where it succeeded), and all that it wrote to the terminal."""
    links, here, printed = (), None, ""
    with _output() as written:
        try:
            load()
        except BaseException as error:  # SystemExit is one of the faults
            links, here = describe(error), classify_exception(error, path)
            printed = "".join(traceback.format_exception(error))
        written.seek(0)
        said = written.read()
    return {
        "links": [asdict(link) for link in links],
        "here": here.reason if here else None,
        "message": here.message if here else None,
        "printed": printed,
        "said": said,
    }


@contextlib.contextmanager
def _output() -> Iterator[Any]:
    """Standard output and error, C++ libraries' included, into a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile("w+", errors="replace") as written:
        os.dup2(written.fileno(), 1)
        os.dup2(written.fileno(), 2)
        try:
            yield written
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in enumerate(kept, start=1):
                os.dup2(copy, number)
                os.close(copy)


def _in_a_child(load: Load, path: str | None) -> dict[str, Any]:
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = json.dumps(_met(load, path))
        except BaseException:
            answer = json.dumps({"failed": traceback.format_exc()})
        with open(sender, "w") as stream:
            stream.write(answer)
        os._exit(0)
    os.close(sender)
    with open(receiver) as stream:
        met: dict[str, Any] = json.load(stream)
    os.waitpid(child, 0)
    if "failed" in met:
        raise AssertionError(met["failed"])
    return met
