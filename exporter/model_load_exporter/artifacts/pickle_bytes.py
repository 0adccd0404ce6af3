"""A pickle's bytes and the arguments of its opcodes, read a window at a time: no length that it names costs memory."""

from collections.abc import Callable

WINDOW = 256 * 1024

SHORT = 1024
"""Bytes of the longest string that is kept; no module has a longer name."""

OPAQUE = None
"""Stands for every value that says nothing of what the pickle does."""

Read = Callable[[int, int], bytes]
"""read(offset, length): exactly that many bytes."""


class BrokenError(Exception):
    """The pickle cannot go on; the message is the rest of a sentence that begins with `its pickle`."""


class Window:
    """Where reading is. Every method raises BrokenError where the pickle breaks off."""

    def __init__(self, read: Read, begin: int, size: int) -> None:
        self._read = read
        self._size = size
        self._base = begin
        self._window = b""
        self._at = 0

    @property
    def position(self) -> int:
        """The offset of the next byte."""
        return self._base + self._at

    def _move(self, position: int) -> None:
        self._base, self._at, self._window = position, 0, b""

    def _number(self, width: int, signed: bool = False) -> int:
        return int.from_bytes(self._take(width), "little", signed=signed)

    def _string(self, length: int, encoding: str = "utf-8") -> object:
        if length > SHORT:
            self._skip(length)
            return OPAQUE
        return self._take(length).decode(encoding, "surrogatepass" if encoding == "utf-8" else "strict")

    def _take(self, length: int) -> bytes:
        if len(self._window) - self._at < length:
            self._refill()
        raw = self._window[self._at : self._at + length]
        if len(raw) < length:
            raise BrokenError("breaks off")
        self._at += length
        return raw

    def _skip(self, length: int) -> None:
        if length < 0 or self.position + length > self._size:
            raise BrokenError("breaks off")
        self._at += length

    def _line(self) -> str:
        """Up to the next newline; of a longer one than a name can be, no more than that it is longer."""
        while (stop := self._window.find(b"\n", self._at)) < 0:
            if self.position + len(self._window) - self._at >= self._size:
                raise BrokenError("breaks off")
            if len(self._window) - self._at >= WINDOW:  # text of megabytes: its beginning is enough
                self._at += WINDOW - 1
            left = len(self._window) - self._at
            self._refill()
            if len(self._window) <= left:  # a stream's size is not known before its end
                raise BrokenError("breaks off")
        raw = self._window[self._at : stop]
        self._at = stop + 1
        return raw[: 2 * SHORT].decode("utf-8", "replace").rstrip("\r")

    def _refill(self) -> None:
        position = self.position
        if position >= self._size:
            raise BrokenError("breaks off")
        self._base, self._at = position, 0
        self._window = self._read(position, min(WINDOW, self._size - position))
        if not self._window:
            raise BrokenError("breaks off")
