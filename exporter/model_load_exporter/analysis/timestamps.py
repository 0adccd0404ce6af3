"""The time that a line of a log tells, in the formats that services, servers, kernels and Kubernetes write.

What a line leaves out (year, date, zone, the kernel's wall time) stays out here: clock.py completes it from the other
lines, or leaves it unknown.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

ABSOLUTE = "absolute"
"""value: seconds since the epoch."""
NAIVE = "naive"
"""value: seconds since the epoch, had the line been written in UTC; it names no zone."""
YEARLESS = "yearless"
"""value: as NAIVE, of the year 2000."""
CLOCK = "clock"
"""value: seconds since midnight, in no named zone."""
BOOT = "boot"
"""value: seconds since the host started."""
AGE = "age"
"""value: seconds before the log was taken (Kubernetes' events)."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a line tells of its time. kind: one of the constants above, which say what `value` counts."""

    kind: str
    value: float


_HEAD = 120
"""Characters that may hold the stamp: later ones are part of the message."""

_LEAP_YEAR = 2000
_FIRST_YEAR, _END = 1970, 2200
"""Years of logs. Other four digits are no year, and dates at the edge of the calendar cannot be reckoned with."""
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_TIME = r"(?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d):(?P<second>[0-5]\d|60)(?:[.,](?P<fraction>\d{1,9}))?"
_ZONE = r"(?:\s?(?P<zone>Z\b|UTC\b|GMT\b|[+-]\d{2}:?\d{2}\b))?"
_MONTH = r"(?:(?P<name>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)|(?P<month>1[0-2]|[1-9])月)"

_DATES = (
    # 2026-01-31T10:00:00.123Z, 2026-01-31 10:00:00,123, 2026/01/31 - 10:00:00, [2026-01-31 10:00:00 +0000]
    (NAIVE, rf"(?P<year>\d{{4}})[-/](?P<month>\d\d)[-/](?P<day>\d\d)(?:[T ]| - ){_TIME}{_ZONE}"),
    # 31/Jan/2026:10:00:00 +0000
    (NAIVE, rf"(?P<day>\d\d)/(?P<name>[A-Z][a-z]{{2}})/(?P<year>\d{{4}}):{_TIME}{_ZONE}"),
    # Sat, 31 Jan 2026 10:00:00 +0000
    (NAIVE, rf"(?P<day>\d\d?) (?P<name>[A-Z][a-z]{{2}}) (?P<year>\d{{4}}) {_TIME}{_ZONE}"),
    # Sat Jan 31 10:00:00.123 2026, [二 9月  3 05:57:48 2024]
    (NAIVE, rf"{_MONTH}\s{{1,2}}(?P<day>\d\d?) {_TIME}(?: [A-Z]{{3,4}})? (?P<year>\d{{4}})\b"),
    # Jan 31 10:00:00, 1月 31 10:00:00
    (YEARLESS, rf"{_MONTH}\s{{1,2}}(?P<day>\d\d?) {_TIME}"),
    # E0131 10:00:00.123456 (klog), E131 10:00:00.123456789 (torch)
    (YEARLESS, rf"\b[IWEF](?P<month>\d{{1,2}})(?P<day>\d\d) {_TIME}"),
    # 01-31 10:00:00 (vLLM)
    (YEARLESS, rf"(?<![\d-])(?P<month>\d\d)-(?P<day>\d\d) {_TIME}"),
    # 10:00:00 [ERROR]
    (CLOCK, rf"^\W{{0,3}}{_TIME}(?![\d:])"),
)
_PATTERNS = tuple((kind, re.compile(pattern)) for kind, pattern in _DATES)
_DIGITS = re.compile(r"\d\d:\d\d:\d\d")

_KERNEL = re.compile(r"(?:^|[\s>])\[\s*(\d{1,9}\.\d{6})\]")
_RECORD = re.compile(r"^\d{1,4},\d+,(\d{1,16}),[^;]{0,64};")
_EPOCH = re.compile(
    r"^[\[(]?(1[0-9]{9}(?:\.\d{1,9})?)\b(?!\.\d)"
    r"|[\"']?\b(?:ts|time|timestamp|@timestamp)[\"']?\s?[=:]\s?[\"']?(1[0-9]{9}(?:[0-9]{3}|[0-9]{6}|[0-9]{9})?(?:\.\d{1,9})?)\b"
)
_AGE = re.compile(
    r"^\s*(?:(?:Normal|Warning)\s+[A-Z]\w+\s+)?(?P<age>(?:\d{1,6}d)?(?:\d{1,6}h)?(?:\d{1,6}m)?(?:\d{1,6}s)?)"
    r"(?:\s+\(x\d+ over [\w]+\))?\s+(?:(?:Normal|Warning)\s|[\w.-]+[\s,])"
)
_UNITS = re.compile(r"(\d{1,6})([dhms])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def parse(text: str) -> Stamp | None:
    """The stamp at the head of a line; None where it has none. Never raises."""
    head = text[:_HEAD]
    best: tuple[int, Stamp] | None = None
    if _DIGITS.search(head):
        for kind, pattern in _PATTERNS:
            match = pattern.search(head)
            if match and (best is None or match.start() < best[0]):
                stamp = _dated(kind, match)
                best = (match.start(), stamp) if stamp else best
    if best is not None:
        return best[1]
    return _counted(text)


def kernel_seconds(text: str) -> float | None:
    """Seconds since boot that a kernel line tells, also where syslog's own stamp stands before them."""
    match = _KERNEL.search(text[:_HEAD])
    if match:
        return float(match[1])
    match = _RECORD.match(text)
    return int(match[1]) / 1e6 if match else None


def _counted(text: str) -> Stamp | None:
    seconds = kernel_seconds(text)
    if seconds is not None:
        return Stamp(BOOT, seconds)
    match = _EPOCH.search(text[:4096])
    if match:
        return Stamp(ABSOLUTE, _epoch(match[1] or match[2]))
    match = _AGE.match(text[:_HEAD])
    if match and match["age"]:
        return Stamp(AGE, float(sum(int(count) * _SECONDS[unit] for count, unit in _UNITS.findall(match["age"]))))
    return None


def _epoch(digits: str) -> float:
    """Seconds, from seconds, milli-, micro- or nanoseconds."""
    value = float(digits)
    for _ in range(3):
        if value < 1e11:
            break
        value /= 1000
    return value


def _dated(kind: str, match: re.Match[str]) -> Stamp | None:
    parts = match.groupdict()
    fraction = float(f"0.{parts['fraction']}") if parts["fraction"] else 0.0
    seconds = int(parts["hour"]) * 3600 + int(parts["minute"]) * 60 + int(parts["second"]) + fraction
    if kind == CLOCK:
        return Stamp(CLOCK, seconds)
    named = parts.get("name")
    month = _MONTHS.get(named.lower()) if named else int(parts["month"])
    if month is None or (kind == NAIVE and not _FIRST_YEAR <= int(parts["year"]) < _END):
        return None
    year = int(parts["year"]) if kind == NAIVE else _LEAP_YEAR
    try:
        midnight = datetime(year, month, int(parts["day"]), tzinfo=UTC)
    except ValueError:
        return None
    value = midnight.timestamp() + seconds
    zone = parts.get("zone")
    if zone is None:
        return Stamp(kind, value)
    return Stamp(ABSOLUTE, value - offset(zone))


def offset(zone: str) -> float:
    """Seconds east of Greenwich, of `Z`, `UTC`, `+02:00` or `-0700`."""
    if zone[0] not in "+-":
        return 0.0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return float(-seconds if zone[0] == "-" else seconds)


def shown(seconds: float, zone: tzinfo | None = None) -> str:
    """ISO 8601 with milliseconds; of that zone with its offset, or without any where the zone is not known."""
    when = datetime.fromtimestamp(0, UTC) + timedelta(seconds=round(seconds, 3))
    if zone is not None:
        return when.astimezone(zone).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return when.replace(tzinfo=None).isoformat(timespec="milliseconds")
