"""One journal file as the reader follows it: what was read of it, what it tells, whether its writer lives."""

import fcntl
import os
import stat
import time

from model_load_exporter.attempt import Begin, End, LoadAttempt, ParentStatus, StageBegin, StageEnd
from model_load_exporter.holding import Exit, Hold, Holding, Inference, Unhold
from model_load_exporter.journal.format import JournalError, decode
from model_load_exporter.journal.line import MAX_FILE, MAX_LINE, SUFFIX

_CHUNK = 65536


class Tail:
    """Follows one file from its first byte. Holds a descriptor until `close`."""

    def __init__(self, folder: str, name: str) -> None:
        """Opens the file. Raises OSError, and JournalError `foreign_file` for what is no regular file."""
        self.name = name
        self.file_id = name.removesuffix(SUFFIX)
        # NOFOLLOW and NONBLOCK: the folder is open to all, and a link or a FIFO in it must not lead or hang the reader.
        self.fd = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        status = os.fstat(self.fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self.fd)
            raise JournalError("foreign_file", f"{name} is not a regular file")
        self.inode = status.st_ino
        self.device = status.st_dev
        self.attempt: LoadAttempt | None = None
        self.holding: Holding | None = None
        self.finished = False
        self._offset = 0
        self._rest = b""
        self._skipping = False
        self._foreign = False

    @property
    def foreign(self) -> bool:
        """True for a file that does not begin like a journal: it is left alone."""
        return self._foreign

    def read(self) -> tuple[int, list[JournalError]]:
        """Takes what was written since: (events taken, problems met). Raises OSError where the disk does."""
        events = 0
        problems: list[JournalError] = []
        while not self._foreign and self._offset < MAX_FILE:
            data = os.pread(self.fd, _CHUNK, self._offset)
            if not data:
                break
            self._offset += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                events += self._take(line, problems)
            if len(self._rest) > MAX_LINE:
                if not self._skipping:
                    problems.append(JournalError("oversized", f"{self.name}: a line over {MAX_LINE} bytes"))
                self._rest, self._skipping = b"", True
                self._foreign = self.attempt is None and self.holding is None
            if self._offset >= MAX_FILE:
                problems.append(JournalError("too_large", f"{self.name}: over {MAX_FILE} bytes, the rest is not read"))
        return events, problems

    def torn(self) -> bool:
        """True when the file ends in the middle of a line; meaningful once its writer is gone."""
        return bool(self._rest) and not self._skipping and not self._foreign

    def released(self) -> bool:
        """True when no process has the file locked: its writer closed it, or is dead."""
        try:
            # Shared: an exclusive test would look like a living writer to every other reader.
            fcntl.flock(self.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self.fd, fcntl.LOCK_UN)
        return True

    def age(self) -> float:
        """Seconds since the file was last written."""
        return time.time() - os.fstat(self.fd).st_mtime

    def close(self) -> None:
        """Gives the descriptor back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _take(self, line: bytes, problems: list[JournalError]) -> int:
        if self._skipping:
            # The end of an oversized line, which is counted already.
            self._skipping = False
            return 0
        if not line.strip():
            return 0
        try:
            return self._apply(line)
        except JournalError as error:
            problems.append(JournalError(error.cause, f"{self.name}: {error}"))
            if self.attempt is None and self.holding is None:
                self._foreign = True
            return 0

    def _apply(self, line: bytes) -> int:
        if self._foreign:
            return 0
        event = decode(line)
        if self.attempt is not None:
            if not isinstance(event, (StageBegin, StageEnd, End, ParentStatus)):
                return 0
            self.attempt.apply(event)
        elif self.holding is not None:
            if not isinstance(event, (Hold, Unhold, Inference, Exit, ParentStatus)):
                return 0
            self.holding.apply(event)
        elif isinstance(event, (Begin, Hold)):
            if event.id != self.file_id:
                raise JournalError("foreign_file", f"begins with the id {event.id}, which is not its name")
            if isinstance(event, Begin):
                self.attempt = LoadAttempt(event)
            else:
                self.holding = Holding(event)
        else:
            raise JournalError("foreign_file", "begins with neither begin nor hold")
        return 1
