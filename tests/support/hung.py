"""A mount that hangs: a FUSE file system whose server takes every request and answers none.

Who touches it sleeps in the kernel, and SIGKILL does not end that: state D, as on an NFS server that is gone. It exists
in the mount namespace of one process alone, so that nothing else on this host can run into it.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_SERVER = r"""
import ctypes, os, struct, sys
pid, folder = int(sys.argv[1]), sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)
def check(result, what):
    if result:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")
fuse = os.open("/dev/fuse", os.O_RDWR)
check(libc.setns(os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY), 0), "setns")
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
check(libc.mount(b"hung", folder.encode(), b"fuse", 0, options), "mount")
header = struct.Struct("<IIQ")
_, _, unique = header.unpack_from(os.read(fuse, 1 << 17))
answer = struct.pack("<IIIIHHIIHH8I", 7, 31, 0, 0, 12, 10, 65536, 1, 0, 0, *[0] * 8)
os.write(fuse, struct.pack("<IiQ", 16 + len(answer), 0, unique) + answer)
print("ready", flush=True)
while True:
    print(header.unpack_from(os.read(fuse, 1 << 17))[1], flush=True)
"""


@contextlib.contextmanager
def hung_mount(pid: int, folder: Path) -> Iterator[None]:
    """Over `folder`, as that process sees it. At the end every sleeper wakes with an error, and the mount is gone."""
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(pid), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    assert server.stderr is not None
    try:
        if server.stdout.readline() != "ready\n":
            pytest.skip(f"no FUSE here: {server.stderr.read().strip()}")
        yield
    finally:
        server.kill()
        server.wait(10)
        server.stdout.close()
        server.stderr.close()
        _unmount(pid, folder)


def _unmount(pid: int, folder: Path) -> None:
    subprocess.run(["nsenter", f"--mount=/proc/{pid}/ns/mnt", "umount", "-l", str(folder)], check=False)


def state_of(pid: int) -> str:
    """R, S, D, Z ..., or an empty text for a process that is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def children_of(pid: int) -> list[int]:
    """Its children, by any of its threads."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += map(int, (thread / "children").read_text().split())
    return found
