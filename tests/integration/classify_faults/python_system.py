"""Python and the operating system."""

import os
import pickle
import resource
import socket
import sys
from pathlib import Path

from registry import Load, fault


@fault("dependency_missing")
def python_module_missing(_: Path) -> tuple[Load, None]:
    return lambda: __import__("a_package_nobody_has"), None


@fault("version_incompatible")
def python_name_missing(_: Path) -> tuple[Load, None]:
    def load() -> None:
        from transformers import a_name_of_another_version  # noqa: F401

    return load, None


@fault("dependency_missing")
def python_shared_library_missing(folder: Path) -> tuple[Load, None]:
    import ctypes

    return lambda: ctypes.CDLL("libcudart_of_nobody.so.12"), None


@fault("disk_full")
def python_full_device(_: Path) -> tuple[Load, None]:
    def load() -> None:
        with open("/dev/full", "wb") as file:
            file.write(b"x")

    return load, None


@fault("resource_limit")
def python_too_many_open_files(folder: Path) -> tuple[Load, Path]:
    path = folder / "model.pth"
    path.write_bytes(bytes(100))

    def load() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), hard))
        try:
            files = [open(path, "rb") for _ in range(64)]  # noqa: SIM115  # all open at once is the fault
            raise AssertionError(f"{len(files)} files were opened beyond the limit")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    return load, path


@fault("port_in_use")
def python_port_in_use(_: Path) -> tuple[Load, None]:
    taken = socket.create_server(("127.0.0.1", 0))
    return lambda: socket.create_server(taken.getsockname(), reuse_port=False), None


@fault("host_memory_error")
def python_memory_error(_: Path) -> tuple[Load, None]:
    return lambda: bytearray(1 << 60), None


@fault("host_memory_error")
def numpy_memory_error(_: Path) -> tuple[Load, None]:
    import numpy

    return lambda: numpy.ones(1 << 50), None


@fault("timeout")
def python_future_timeout(_: Path) -> tuple[Load, None]:
    import concurrent.futures

    return lambda: concurrent.futures.Future().result(timeout=0.001), None


@fault("network_error")
def python_name_resolution(_: Path) -> tuple[Load, None]:
    return lambda: socket.getaddrinfo("nowhere.invalid", 443), None


@fault("process_died")
def python_exit(_: Path) -> tuple[Load, None]:
    return lambda: sys.exit(3), None


@fault("dependency_missing")
def pickle_of_a_class_gone(folder: Path) -> tuple[Load, Path]:
    path = folder / "model.pkl"
    path.write_bytes(b"cmy_training_code\nNet\n.")
    return lambda: pickle.loads(path.read_bytes()), path


@fault("file_empty", verify="stat")
def python_empty_file_mapped(folder: Path) -> tuple[Load, Path]:
    import mmap

    path = folder / "model.bin"
    path.write_bytes(b"")

    def load() -> object:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    return load, path


@fault("dependency_missing")
def python_module_missing_in_a_worker(folder: Path) -> tuple[Load, None]:
    import concurrent.futures

    def load() -> object:
        with concurrent.futures.ProcessPoolExecutor(
            1, mp_context=__import__("multiprocessing").get_context("spawn")
        ) as pool:
            return pool.submit(__import__, "a_package_nobody_has").result()

    return load, None


@fault("host_memory_error")
def python_group_of_failures(_: Path) -> tuple[Load, None]:
    def load() -> None:
        raise ExceptionGroup("two ranks failed", [RuntimeError("rank 1 failed to load the model"), MemoryError()])

    return load, None
