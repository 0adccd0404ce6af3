"""What log collectors wrap around a line, taken off: Docker's JSON, Kubernetes' CRI, the journal, JSON loggers.

Wrappers nest: a CRI line may hold the JSON of the application's own logger. Only lines that matter are unwrapped.
"""

import json
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

_CRI = re.compile(r"(\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:?\d\d)) (?:stdout|stderr) [FP](?::\S*)? (.*)", re.DOTALL)
_CRI_PART = re.compile(rb"(?m)^\S+ (stdout|stderr) P(?::\S*)? [^\n]*\n")
_CRI_HEAD = re.compile(rb"\S+ (stdout|stderr) ([FP])(?::\S*)? ")

_MESSAGE = ("log", "MESSAGE", "message", "msg", "textPayload", "jsonPayload")
_EVENT = "event"
"""structlog's name for it, which others give another meaning: taken where a level stands beside it."""
_DETAIL = ("exc_info", "exception", "error", "err", "stack_trace", "stacktrace", "stack", "traceback")
_TIME = ("time", "timestamp", "@timestamp", "ts", "asctime")
_LEVEL = ("level", "levelname", "severity", "lvl")
_DEPTH = 4

_FIELD_NAME = re.compile(rb"[A-Z0-9_]{1,64}=")
_FIELD = b"MESSAGE="
_FIELD_TIME = b"__REALTIME_TIMESTAMP="


class Unwrapped(NamedTuple):
    """text: what was logged, perhaps of several lines. time: as the wrapper writes it, the journal's in ISO 8601."""

    text: str
    time: str


def unwrap(line: bytes) -> Unwrapped | None:
    """What a wrapped line holds; None for a line that is not wrapped."""
    if line[:1] != b"{" and line[10:11] != b"T":  # neither JSON nor CRI's time
        return None
    text = line.decode(errors="replace")
    time = ""
    for depth in range(_DEPTH):
        found = _unwrap(text)
        if found is None:
            return None if depth == 0 else Unwrapped(text, time)
        text, time = found.text, time or found.time
    return Unwrapped(text, time)


def _unwrap(text: str) -> Unwrapped | None:
    if text[:1] == "{":
        try:
            # Numbers stay as they are written: a time of 19 digits would lose some, one of 5,000 is refused.
            entry = json.loads(text, strict=False, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            return None
        return _entry(entry) if isinstance(entry, dict) else None
    cri = _CRI.match(text)
    return Unwrapped(cri[2], cri[1]) if cri else None


def _entry(entry: dict[str, Any]) -> Unwrapped | None:
    level = _first(entry, _LEVEL)
    message = _first(entry, _MESSAGE if level is None else (*_MESSAGE, _EVENT))
    if isinstance(message, dict):
        message = _first(message, _MESSAGE)
    if isinstance(message, list):  # the journal's way to write what is no text
        message = bytes(int(byte) for byte in message if str(byte).isdecimal() and int(byte) < 256).decode(
            errors="replace"
        )
    if not isinstance(message, str):
        return None
    parts = [message.rstrip("\r\n"), *(part for key in _DETAIL if isinstance(part := entry.get(key), str))]
    text = "\n".join(part for part in parts if part)
    if isinstance(level, str) and level.isalpha():
        text = f"{level.upper()} {text}"  # a warning has to stay one
    time = entry.get("__REALTIME_TIMESTAMP") or _first(entry, _TIME)
    if not isinstance(time, str):
        time = ""
    elif "__REALTIME_TIMESTAMP" in entry:
        time = _iso(time)
    # JSON may name half a character (\ud83d), which no encoding can write.
    return Unwrapped(text.encode(errors="replace").decode(), time)


def _first(entry: dict[str, Any], keys: tuple[str, ...]) -> object:
    return next((entry[key] for key in keys if entry.get(key) is not None), None)


def _iso(microseconds: str) -> str:
    try:
        return datetime.fromtimestamp(int(microseconds) / 1e6, UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError, OSError):
        return ""


def message_field(line: bytes) -> bytes:
    """The value of a MESSAGE= line of `journalctl -o export`; any other line as it is."""
    return line.removeprefix(_FIELD)


def is_field(line: bytes) -> bool:
    """Whether the line, of `journalctl -o export`, is a field other than the message, or the end of an entry."""
    return not line or (_FIELD_NAME.match(line) is not None and not line.startswith(_FIELD))


def exported_time(data: bytes | bytearray, before: int) -> str:
    """The time of the journal's entry (`-o export`) that the line at `before` belongs to; "" if it began earlier."""
    at = data.rfind(_FIELD_TIME, 0, before)
    if at < 0:
        return ""
    at += len(_FIELD_TIME)
    return _iso(bytes(data[at : data.find(b"\n", at, at + 32)]).decode(errors="replace"))


def is_cri(line: bytes) -> bool:
    """Whether a container runtime wrote the line for Kubernetes."""
    return _CRI_HEAD.match(line) is not None


class Joined(NamedTuple):
    """data: whole messages. used: the bytes that they took."""

    data: bytes
    used: int


def joined(data: bytes | bytearray, end: int, *, wait: bool = True) -> Joined | None:
    """Lines of CRI (data[:end]) with the parts of long messages put together; None where there are none.

    wait: leaves out a message whose last part is not there yet, and what follows it. The lines that a message took are
    made up by empty ones: no other line's number changes.
    """
    if _CRI_PART.search(data, 0, end) is None:
        return None
    lines: list[bytes] = []
    unended: dict[bytes, tuple[int, int]] = {}
    """stream -> (the index of the message's first line, its offset in data)"""
    at = 0
    for line in bytes(data[:end]).split(b"\n"):
        head = _CRI_HEAD.match(line)
        stream, tag = (head[1], head[2]) if head else (b"", b"F")
        index, offset = unended.get(stream, (len(lines), at))
        if index == len(lines):
            lines.append(line)
        else:
            lines[index] += line[head.end() if head else 0 :]
            lines.append(b"")
        if tag == b"P":
            unended[stream] = (index, offset)
        else:
            unended.pop(stream, None)
        at += len(line) + 1
    if not (wait and unended):
        return Joined(b"\n".join(lines), end)
    first, used = min(unended.values())
    return Joined(b"".join(line + b"\n" for line in lines[:first]), used)
