"""Journal format 1: bytes to events. docs/JOURNAL.md says the same for writers in any language.

One JSON object a line, one write a line, at most 4096 bytes with its newline. Whatever cannot be taken raises
JournalError with a cause of a closed set, which the daemon counts; nothing here trusts a length, a type or a number.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any

from model_load_exporter.attempt import OUTCOMES, Begin, End, Event, Kill, ParentStatus, StageBegin, StageEnd
from model_load_exporter.holding import Exit, Hold, HoldingEvent, Inference, Unhold
from model_load_exporter.inference import INFERENCE_BUCKETS
from model_load_exporter.journal.line import MAX_LINE, VERSION

CAUSES = (
    "bad_json",
    "bad_event",
    "oversized",
    "torn",
    "unknown_version",
    "foreign_file",
    "too_large",
    "unreadable",
    "lost",
)
"""Why a line, or a file, was not taken (label `cause` of model_load_exporter_journal_errors_total)."""

ID = re.compile(r"[A-Za-z0-9-]{1,64}\Z")

_TEXT_LIMIT = 500
_RUNTIME_KEYS = 32
_RUNTIME_TEXT = 200
_NOTE_ROWS = 20


class JournalError(ValueError):
    """A line or file that cannot be taken; `cause` is one of CAUSES."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


def decode(line: bytes) -> Event | HoldingEvent | Kill | None:
    """One line to its event; None for an event of a kind that this version does not know.

    Raises JournalError: `oversized`, `bad_json`, `bad_event`, `unknown_version`.
    """
    if len(line) > MAX_LINE:
        raise JournalError("oversized", f"a line of {len(line)} bytes; {MAX_LINE} is the limit")
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise JournalError("bad_json", f"not a JSON object: {error}") from None
    if not isinstance(data, dict):
        raise JournalError("bad_json", "not a JSON object")
    version = data.get("v", VERSION)
    if version != VERSION:
        raise JournalError("unknown_version", f"format version {str(version)[:20]}; this reader knows {VERSION}")
    parse = _PARSERS.get(_text(data, "event", 40))
    try:
        return parse(data) if parse is not None else None
    except JournalError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise JournalError("bad_event", f"{data.get('event')}: {error}") from None


def _text(data: dict[str, Any], key: str, limit: int = _TEXT_LIMIT) -> str:
    value = data.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise JournalError("bad_event", f"{key} is not text")
    return _whole(value, limit)


def _whole(text: str, limit: int) -> str:
    """Cut, and without half characters (JSON can say them; UTF-8, and so a label or a page, cannot)."""
    return text[:limit].encode("utf-8", "replace").decode()


def _name(data: dict[str, Any], key: str) -> str:
    text = _text(data, key, 200)
    if not text.strip():
        raise ValueError(f"{key} is missing")
    return "".join(char if char.isprintable() else " " for char in text)


def _label(data: dict[str, Any], key: str) -> str:
    return "".join(char if char.isprintable() else " " for char in _text(data, key, 200))


def _number(value: object, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{key} is not a number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{key} is not finite")
    return number


def _time(data: dict[str, Any]) -> float:
    time = _number(data.get("time"), "time")
    if not 0 <= time < 1e11:
        raise ValueError("time is not in unix seconds")
    return time


def _bytes(data: dict[str, Any], key: str) -> int | None:
    value = data.get(key)
    if value is None:
        return None
    number = _number(value, key)
    if not 0 <= number < 2**60:
        raise ValueError(f"{key} is not a number of bytes")
    return int(number)


def _monotonic(data: dict[str, Any]) -> float | None:
    value = data.get("monotonic")
    return None if value is None else _number(value, "monotonic")


def _int(data: dict[str, Any], key: str) -> int | None:
    value = data.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**62:
        raise ValueError(f"{key} is not a number")
    return value


def _id(data: dict[str, Any], key: str = "id") -> str:
    value = _text(data, key)
    if not ID.match(value):
        raise ValueError(f"{key} is not of the form [A-Za-z0-9-]{{1,64}}")
    return value


def _optional_id(data: dict[str, Any], key: str) -> str | None:
    return _id(data, key) if data.get(key) is not None else None


def _pid(data: dict[str, Any]) -> int:
    pid = _int(data, "pid")
    if pid is None or pid >= 2**31:
        raise ValueError("pid is missing")
    return pid


def _begin(data: dict[str, Any]) -> Begin:
    if "v" not in data:
        raise JournalError("unknown_version", "begin has no format version")
    kind = _text(data, "kind")
    if kind not in ("service", "canary"):
        raise ValueError("kind is neither service nor canary")
    return Begin(
        id=_id(data),
        time=_time(data),
        model=_name(data, "model"),
        kind=kind,
        pid=_pid(data),
        boot_id=_text(data, "boot_id", 64),
        target=_label(data, "target"),
        path=_text(data, "path", 4096) or None,
        repo=_text(data, "repo") or None,
        group=_text(data, "group") or None,
        rank=_whole(str(data["rank"]), 40) if data.get("rank") is not None else None,
        parent=_optional_id(data, "parent"),
        pid_namespace=_int(data, "pid_namespace"),
        monotonic=_monotonic(data),
        runtime=_flat(data.get("runtime")),
    )


def _stage_begin(data: dict[str, Any]) -> StageBegin:
    return StageBegin(_time(data), _name(data, "stage"), _monotonic(data))


def _stage_end(data: dict[str, Any]) -> StageEnd:
    return StageEnd(
        _time(data),
        _name(data, "stage"),
        _bytes(data, "rss"),
        _bytes(data, "anonymous"),
        data.get("failed") is True,
        _monotonic(data),
    )


def _end(data: dict[str, Any]) -> End:
    outcome = _text(data, "outcome")
    if outcome not in OUTCOMES:
        raise ValueError(f"outcome is none of {', '.join(OUTCOMES)}")
    return End(
        time=_time(data),
        outcome=outcome,
        reason=_text(data, "reason") or None,
        message=_text(data, "message", 2000),
        peak_rss=_bytes(data, "peak_rss"),
        peak_anonymous=_bytes(data, "peak_anonymous"),
        monotonic=_monotonic(data),
        notes=_notes(data),
    )


def _notes(data: dict[str, Any]) -> dict[str, Any]:
    """As `runtime`, and lists of texts, at most 20 each."""
    rows = data.get("notes")
    lists = {
        _whole(key, 40): [_whole(one, _RUNTIME_TEXT) for one in value[:_NOTE_ROWS] if isinstance(one, str)]
        for key, value in list(rows.items() if isinstance(rows, dict) else ())[:_RUNTIME_KEYS]
        if isinstance(value, list)
    }
    return {**_flat(rows), **lists}


def _kill(data: dict[str, Any]) -> Kill:
    return Kill(_time(data), _pid(data), _text(data, "boot_id", 64), _int(data, "pid_namespace"), _name(data, "cause"))


def _hold(data: dict[str, Any]) -> Hold:
    if "v" not in data:
        raise JournalError("unknown_version", "hold has no format version")
    return Hold(
        id=_id(data),
        time=_time(data),
        model=_name(data, "model"),
        pid=_pid(data),
        boot_id=_text(data, "boot_id", 64),
        target=_label(data, "target"),
        path=_text(data, "path", 4096) or None,
        repo=_text(data, "repo") or None,
        replaces=_optional_id(data, "replaces"),
        pid_namespace=_int(data, "pid_namespace"),
        anonymous=_bytes(data, "anonymous") or 0,
        mapped=_pairs(data, "mapped"),
        gpu=_pairs(data, "gpu"),
        format=_label(data, "format")[:40],
        version=_label(data, "version")[:100],
        dtype=_label(data, "dtype")[:40],
        revision=_label(data, "revision")[:100],
        fallback=_label(data, "fallback")[:100],
        runtime=_flat(data.get("runtime")),
    )


def _pairs(data: dict[str, Any], key: str) -> tuple[tuple[str, int], ...]:
    """`[["NAME", BYTES], ...]`, at most 128 of them."""
    rows = data.get(key)
    if rows is None:
        return ()
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) == 2 for row in rows):
        raise TypeError(f"{key} is not a list of pairs")
    return tuple((_whole(str(name), 64), _bytes({key: size}, key) or 0) for name, size in rows[:128])


def _flat(rows: object) -> dict[str, Any]:
    """Text and finite numbers of one level, at most 32: it goes on into the ledger and into JSON answers as it is."""
    if not isinstance(rows, dict):
        return {}
    return {
        _whole(key, 40): _whole(value, _RUNTIME_TEXT) if isinstance(value, str) else value
        for key, value in list(rows.items())[:_RUNTIME_KEYS]
        if isinstance(value, str) or (isinstance(value, (int, float)) and abs(value) < 2**53)
    }


def _unhold(data: dict[str, Any]) -> Unhold:
    return Unhold(_time(data), _name(data, "model"))


def _inference(data: dict[str, Any]) -> Inference:
    count, failures = _int(data, "count"), _int(data, "failures") or 0
    seconds = _number(data.get("seconds", 0), "seconds")
    if count is None or failures > count or not 0 <= seconds < 1e15:
        raise ValueError("count, failures and seconds do not fit together")
    rows = data.get("buckets")
    if rows is None:
        rows = [0] * len(INFERENCE_BUCKETS) + [count]
    if not isinstance(rows, list) or len(rows) != len(INFERENCE_BUCKETS) + 1:
        raise ValueError(f"buckets are not {len(INFERENCE_BUCKETS) + 1} numbers")
    buckets = tuple(_int({"buckets": row}, "buckets") or 0 for row in rows)
    if sum(buckets) != count:
        raise ValueError("buckets do not add up to count")
    return Inference(_time(data), _name(data, "model"), count, failures, seconds, buckets)


def _exit(data: dict[str, Any]) -> Exit:
    return Exit(_time(data), _optional_id(data, "moved"))


def _parent_status(data: dict[str, Any]) -> ParentStatus:
    status = _int(data, "status")
    if status is None or status > 0xFFFF:
        raise ValueError("status is not one of wait(2)")
    return ParentStatus(_time(data), _pid(data), status)


_PARSERS: dict[str, Callable[[dict[str, Any]], Event | HoldingEvent | Kill]] = {
    "begin": _begin,
    "stage_begin": _stage_begin,
    "stage_end": _stage_end,
    "end": _end,
    "hold": _hold,
    "unhold": _unhold,
    "inference": _inference,
    "exit": _exit,
    "kill": _kill,
    "exit_status": _parent_status,
}
