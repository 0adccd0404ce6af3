"""The list of faults, and what makes them possible: another user's rights, a full disk, a package that is not there."""

import atexit
import contextlib
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model_load_exporter.classify.chain import describe
from model_load_exporter.classify.exceptions import classify_exception

NOBODY = 65534
# What a clone without git-lfs leaves in a weights file's place, and what a download through a failing proxy does.
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 268435456\n"
PAGE = b"<!DOCTYPE html><html><head><title>503 Service Unavailable</title></head><body></body></html>"

Load = Callable[[], object]
Fault = Callable[[Path], tuple[Load, Path | str | None]]
FAULTS: dict[str, tuple[str, Fault]] = {}


def fault(expected: str) -> Callable[[Fault], Fault]:
    """Register a fault: given its folder it prepares the files and returns the load and the path it is told."""

    def register(function: Fault) -> Fault:
        FAULTS[function.__name__] = (expected, function)
        return function

    return register


def as_nobody(load: Load) -> Load:
    """The load under a user who owns nothing here. Root's own rights would hide what a service's user meets."""
    if os.geteuid() != 0:
        raise NotHereError("another user's rights can be had by root only")

    def wrapped() -> object:
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        return load()

    return wrapped


@contextlib.contextmanager
def without(*packages: str) -> Iterator[None]:
    """The packages as if they were not installed: neither found nor importable."""
    import importlib.util

    from transformers.utils import import_utils

    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in packages}
    for name in packages:
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way to block an import
    caches = [value for value in vars(import_utils).values() if hasattr(value, "cache_clear")]
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


def tmpfs(folder: Path) -> Path:
    mounted = folder / "small"
    mounted.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mounted)], capture_output=True, check=False
    )
    if done.returncode:
        raise NotHereError(f"no tmpfs can be mounted: {done.stderr.decode().strip()}")
    atexit.register(subprocess.run, ["umount", str(mounted)], check=False)
    return mounted


def fill(folder: Path) -> None:
    with contextlib.suppress(OSError), open(folder / "filler", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def provoke(name: str, base: Path) -> dict[str, Any] | None:
    """What happened, as data; None where this machine cannot provoke it."""
    expected, prepare = FAULTS[name]
    folder = base / name
    folder.mkdir()
    try:
        load, path = prepare(folder)
    except NotHereError as why:
        print(f"{name}: {why}", file=sys.stderr)
        return None
    path = str(path) if path is not None else None
    try:
        load()
    except BaseException as error:  # SystemExit is one of the faults
        links, here = describe(error), classify_exception(error, path)
        printed = "".join(traceback.format_exception(error))
    else:
        raise AssertionError(f"{name}: the load succeeded")
    finally:
        os.seteuid(os.getuid())
        os.setegid(os.getgid())
    return {
        "expected": expected,
        "links": [asdict(link) for link in links],
        "here": here.reason,
        "message": here.message,
        "path": path,
        "printed": printed,
    }
