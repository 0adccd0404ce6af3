"""A journal file of another process: the service's process locks it, its supervisor writes it.

flock belongs to the open file, which both share; the kernel notes who took it. So the daemon, which asks the kernel for
the lock's owner, watches the service, and the service has no descriptor of it: its copy closes with its exec.
"""

import contextlib
import fcntl
import os
from typing import Any

from model_load_exporter.journal.line import SUFFIX, VERSION, encode
from model_load_exporter.journal.writer import JournalFile


class Draft:
    """A journal file that nobody sees yet. `lock` in the service's process, `publish` in the supervisor's."""

    def __init__(self, folder: str, file_id: str, *, unnamed: bool = False) -> None:
        """unnamed: it may wait for long, and a hidden file that does so is tidied away. Raises OSError."""
        self.id = file_id
        self._path = f"{folder}/{file_id}{SUFFIX}"
        self._hidden = f"{folder}/.{file_id}.tmp"
        self._unnamed = unnamed
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        if unnamed:
            self._fd = os.open(folder, flags | os.O_TMPFILE, 0o644)
        else:
            self._fd = os.open(self._hidden, flags | os.O_CREAT | os.O_EXCL, 0o644)
        os.fchmod(self._fd, 0o644)

    def lock(self) -> None:
        """In the service's process, before its program. Raises OSError."""
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def publish(self, first: dict[str, Any]) -> JournalFile:
        """Shows it with its first line. Raises OSError and ValueError; nothing is left behind then."""
        try:
            line = encode({**first, "v": VERSION, "id": self.id})
            if os.write(self._fd, line) != len(line):
                raise OSError("short write: the disk is full")
            fd = self._named() if self._unnamed else self._fd
            # The daemon looks at what is renamed into the spool.
            os.rename(self._hidden, self._path)
        except BaseException:
            self.discard()
            raise
        if not self._unnamed:
            self._fd = -1
        return JournalFile(fd, self.id, len(line))

    def unlock(self) -> None:
        """Lets go what `publish` did not hand on; before the journal file is closed, so that the close tells of it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def discard(self) -> None:
        """It is not needed. Never raises."""
        self.unlock()
        with contextlib.suppress(OSError):
            os.unlink(self._hidden)

    def _named(self) -> int:
        """Gives it its hidden name, and opens it by that: inotify tells nothing of what has no name when opened."""
        fds = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # By a folder's descriptor: without one os.link would link the link (link(2) instead of linkat(2)).
            os.link(str(self._fd), self._hidden, src_dir_fd=fds, follow_symlinks=True)
        finally:
            os.close(fds)
        # A higher descriptor than the lock's: where the supervisor is killed, it is closed after it.
        return os.open(self._hidden, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
