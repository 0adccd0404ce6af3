"""Durations and sizes as people write them: `15m`, `1h30m`, `250ms`; `6GB` is 10^9 bytes a unit, `8GiB` 2^30.

The config file and the command line read them; messages and the status page write them. Numbers are read as decimals,
so `1.5GiB` and `0.1s` are exact. Forms that people read in two ways are refused: `1:30`, `6G`, `010`.
"""

import math
import re
from decimal import Decimal
from fractions import Fraction

LONGEST = 366 * 86400.0
"""The longest duration, in seconds: a year. More is a typing error, and timers overflow."""

LARGEST = 2**63 - 1
"""The largest size, in bytes: what a signed 64-bit limit of the kernel can hold."""

_NUMBER = r"(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,9})?"
_SECONDS = {"d": Fraction(86400), "h": Fraction(3600), "m": Fraction(60), "s": Fraction(1), "ms": Fraction(1, 1000)}
_DURATION = re.compile("".join(f"(?:(?P<{unit}>{_NUMBER}){unit}(?![a-z]))?" for unit in _SECONDS))
_BYTES: dict[str, int] = {
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("kMGTP", start=1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGTP", start=1)},
}
_SIZE = re.compile(rf"(?P<number>{_NUMBER}) ?(?P<unit>[A-Za-z]*)")
_PLAIN = re.compile(_NUMBER)
_SHOWN = 60


def shown(text: str) -> str:
    """Foreign text as it may stand in a message: in quotes, on one line, at most 60 characters of it."""
    cut = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
    return '"' + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut) + '"'


def parse_duration(text: str) -> float:
    """Seconds from `15m`, `90s`, `1h30m`, `250ms`, `2d` or a plain number of seconds; never negative.

    Raises ValueError with a line for the person who wrote it.
    """
    if _PLAIN.fullmatch(text):
        seconds = Fraction(Decimal(text))
    elif text and (match := _DURATION.fullmatch(text)):
        seconds = sum((Fraction(Decimal(n)) * _SECONDS[unit] for unit, n in match.groupdict().items() if n), Fraction())
    else:
        raise ValueError(f"{shown(text)} is not a duration; write 15m, 90s, 1h30m, 250ms or a number of seconds")
    if seconds > LONGEST:
        raise ValueError(f"{shown(text)} is longer than a year; write a shorter duration")
    return float(seconds)


def parse_size(text: str) -> int:
    """Bytes from `6GB`, `8GiB`, `512MiB`, `1.5 GiB` or a plain number of bytes; never negative.

    Raises ValueError with a line for the person who wrote it.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{shown(text)} is not a size; write 6GB, 8GiB, 512MiB or a number of bytes")
    number, unit = Fraction(Decimal(match["number"])), match["unit"] or "B"
    if unit not in _BYTES:
        raise ValueError(f"{shown(text)} has no known unit; {_unit_hint(match['number'], unit)}")
    size = number * _BYTES[unit]
    if size.denominator != 1 and unit == "B":
        raise ValueError(f"{shown(text)} is no whole number of bytes; write 6GB, 8GiB or 512MiB")
    if size > LARGEST:
        raise ValueError(f"{shown(text)} is more than a 64-bit limit can hold; write a smaller size")
    return math.floor(size)


def _unit_hint(number: str, unit: str) -> str:
    """What to write for `6G`, `6Gi`, `6gb`: only the writer knows whether 10^9 or 2^30 was meant."""
    power = " KMGTP".find(unit[0].upper())
    if power < 1 or unit[1:].lower() not in ("", "b", "i", "ib"):
        return "write 6GB, 8GiB, 512MiB or a number of bytes"
    binary = f"{number}{' KMGTP'[power]}iB (2^{10 * power} bytes a unit)"
    decimal = f"{number}{' kMGTP'[power]}B (10^{3 * power} bytes a unit)"
    return f"write {binary}" if "i" in unit.lower() else f"write {decimal} or {binary}"


def format_duration(seconds: float) -> str:
    """`250ms`, `3.5s`, `15m`, `1h30m`, `2d1h`: three digits below a minute, whole seconds above.

    What parse_duration reads from whole seconds or milliseconds comes back as the same duration.
    """
    if not math.isfinite(seconds):
        return str(seconds)
    if seconds < 0:
        return "-" + format_duration(-seconds)
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g}ms" if seconds else "0s"
    if seconds < 59.95:
        return f"{seconds:.3g}s"
    rest, parts = round(seconds), ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        parts += f"{count}{unit}" if count else ""
    return parts


def format_size(size: float) -> str:
    """`6GB`, `8GiB`, `512MiB` where that is exact, else three digits in powers of ten: `1.24GB`."""
    if not math.isfinite(size):
        return str(size)
    if size < 0:
        return "-" + format_size(-size)
    if size < 1000:
        return f"{size:.3g}B"
    exact = [(size / factor, unit) for unit, factor in _BYTES.items() if size % factor == 0 and size >= factor]
    count, unit = min(exact, default=(math.inf, ""))
    if count < 1000:
        return f"{count:.0f}{unit}"
    power = next(power for power in range(1, 6) if size < 999.5 * 1000**power or power == 5)
    return f"{float(f'{size / 1000**power:.3g}'):g}{' kMGTP'[power]}B"
