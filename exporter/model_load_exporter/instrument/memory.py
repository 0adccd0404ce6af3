"""The loading process's own memory, read from inside: cheap enough for every stage of every load.

Each function gives a plain answer where something cannot be read; none raises.
"""

import os
import sys

_MAX_MAPPED = 64

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class Meter:
    """/proc/self/statm, kept open for the life of a load: opening it is four fifths of a reading."""

    __slots__ = ("_fd",)

    def __init__(self) -> None:
        try:
            self._fd = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def read(self) -> tuple[int | None, int | None, int | None]:
        """(address space, resident, anonymous) bytes of this process now; None where there is no /proc."""
        try:
            fields = os.pread(self._fd, 128, 0).split()
            # What is resident and not of a file or of shared memory is anonymous: RssAnon in /proc/self/status.
            return int(fields[0]) * _PAGE, int(fields[1]) * _PAGE, (int(fields[1]) - int(fields[2])) * _PAGE
        except (OSError, ValueError, IndexError):
            return None, None, None

    def close(self) -> None:
        """The load is over. May be called again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                os.close(fd)
            except OSError:
                return

    __del__ = close


def highest_resident() -> int | None:
    """The highest resident size of this process so far, bytes. It never falls: it tells of a load only if it rose."""
    try:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    except (ImportError, OSError, ValueError):
        return None


def mapped_files(path: str | None) -> list[list[object]]:
    """Model files at or below `path` that this process has mapped: [["DEVICE:INODE", bytes], ...], each file once."""
    if not path:
        return []
    found: dict[str, int] = {}
    try:
        root = os.path.realpath(path)
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
            for line in maps:
                if root not in line and "/blobs/" not in line:
                    continue
                fields = line.rstrip("\n").split(maxsplit=5)
                if len(fields) < 6 or fields[4] == "0":
                    continue
                # A hub cache maps the blob behind the snapshot's link: ask the model's own files for their identity.
                if fields[5] == root or fields[5].startswith(root + "/") or _is_blob_of(fields[5], root):
                    found[f"{fields[3]}:{fields[4]}"] = os.stat(fields[5]).st_size
                if len(found) >= _MAX_MAPPED:
                    break
    except (OSError, ValueError):
        return []
    return [[name, size] for name, size in found.items()]


def _is_blob_of(mapped: str, root: str) -> bool:
    """True for .../models--org--name/blobs/SHA when the root is a snapshot folder of the same repository."""
    repository, snapshots, _ = root.partition("/snapshots/")
    return bool(snapshots) and mapped.startswith(f"{repository}/blobs/")


def gpu_allocated() -> dict[str, int]:
    """Bytes allocated by this process on each GPU, by index; empty unless torch has already initialised CUDA here."""
    torch = sys.modules.get("torch")
    try:
        if torch is None or not torch.cuda.is_initialized():
            return {}
        return {str(index): int(torch.cuda.memory_allocated(index)) for index in range(torch.cuda.device_count())}
    except Exception:  # another library's code, in the middle of a user's load
        return {}
