"""inotify on one folder: a name for each file that was moved in, written or closed. Linux, by ctypes on libc."""

import ctypes
import os
import struct

IN_MODIFY = 0x2
IN_CLOSE_WRITE = 0x8
IN_MOVED_TO = 0x80
IN_Q_OVERFLOW = 0x4000
_IN_NONBLOCK = os.O_NONBLOCK
_IN_CLOEXEC = os.O_CLOEXEC

_HEADER = struct.Struct("iIII")


class Inotify:
    """Watches one folder; `fileno` for poll, `read` for what happened since. Raises OSError where it cannot."""

    def __init__(self, folder: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), f"inotify_init1: {os.strerror(ctypes.get_errno())}")
        mask = IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO
        if libc.inotify_add_watch(self._fd, os.fsencode(folder), mask) < 0:
            error = ctypes.get_errno()
            os.close(self._fd)
            raise OSError(error, f"inotify on {folder}: {os.strerror(error)}")

    def fileno(self) -> int:
        """The descriptor to poll for reading."""
        return self._fd

    def read(self) -> tuple[dict[str, int], bool]:
        """({name: mask of all that happened to it}, overflowed). After an overflow names are missing: sweep."""
        names: dict[str, int] = {}
        overflowed = False
        while True:
            try:
                data = os.read(self._fd, 65536)
            except BlockingIOError:
                return names, overflowed
            offset = 0
            while offset < len(data):
                _, mask, _, length = _HEADER.unpack_from(data, offset)
                offset += _HEADER.size
                name = data[offset : offset + length].rstrip(b"\0").decode("utf-8", "surrogateescape")
                offset += length
                overflowed = overflowed or bool(mask & IN_Q_OVERFLOW)
                if name:
                    names[name] = names.get(name, 0) | mask

    def close(self) -> None:
        """Ends the watch."""
        os.close(self._fd)
