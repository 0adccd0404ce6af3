"""Durations and sizes: what is read, what is refused and why, and what is written."""

import pytest

from model_load_exporter.units import (
    LARGEST,
    LONGEST,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
    shown,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15m", 900.0),
        ("300s", 300.0),
        ("1h30m", 5400.0),
        ("250ms", 0.25),
        ("2d1h", 176400.0),
        ("1d1h1m1s1ms", 90061.001),
        ("1.5h", 5400.0),
        ("0.1s", 0.1),
        ("300", 300.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("0s", 0.0),
        ("1m1ms", 60.001),
        ("366d", LONGEST),
    ],
)
def test_duration(text: str, seconds: float) -> None:
    """A duration is read to the exact number of seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "fast", "yes", "nan", "inf", ".inf", "ms", "\x00", "5m\n", "\u0665m", "9" * 400),
        *("-5", "+5s", "1:30", "1e3", "0x10", "010", ".5", "5.", "1_000", "1h30", "1ms5"),
        *("30m1h", "5s5s", "10 minutes", "5 m", "5M"),
    ],
)
def test_no_duration(text: str) -> None:
    """What can be read in two ways, or in none, is no duration, and the message says how to write one."""
    with pytest.raises(ValueError, match=r"is not a duration; write 15m, 90s, 1h30m, 250ms or a number of seconds\Z"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["367d", "366d1ms", "9999999999999999999", "999999999h"])
def test_duration_too_long(text: str) -> None:
    """More than a year is refused: timers overflow on it."""
    with pytest.raises(ValueError, match="is longer than a year"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("6GB", 6_000_000_000),
        ("8GiB", 8 << 30),
        ("512MiB", 512 << 20),
        ("1.5GiB", 3 << 29),
        ("0.1kB", 100),
        ("1.1GB", 1_100_000_000),
        ("64KiB", 65536),
        ("2TB", 2_000_000_000_000),
        ("1TiB", 1 << 40),
        ("1PB", 10**15),
        ("1PiB", 1 << 50),
        ("8 GiB", 8 << 30),
        ("100B", 100),
        ("2000000000", 2_000_000_000),
        ("0", 0),
        ("0.3KiB", 307),
        (str(LARGEST), LARGEST),
    ],
)
def test_size(text: str, size: int) -> None:
    """A size is read to the byte; a fraction of a byte is dropped."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", '"" is not a size; write 6GB, 8GiB, 512MiB or a number of bytes'),
        ("-1GB", '"-1GB" is not a size; write 6GB, 8GiB, 512MiB or a number of bytes'),
        ("6_000", '"6_000" is not a size; write 6GB, 8GiB, 512MiB or a number of bytes'),
        ("010GB", '"010GB" is not a size; write 6GB, 8GiB, 512MiB or a number of bytes'),
        ("6  GB", '"6  GB" is not a size; write 6GB, 8GiB, 512MiB or a number of bytes'),
        ("6GB\n", '"6GB\\n" is not a size; write 6GB, 8GiB, 512MiB or a number of bytes'),
        ("6G", '"6G" has no known unit; write 6GB (10^9 bytes a unit) or 6GiB (2^30 bytes a unit)'),
        ("6Gi", '"6Gi" has no known unit; write 6GiB (2^30 bytes a unit)'),
        ("6gib", '"6gib" has no known unit; write 6GiB (2^30 bytes a unit)'),
        ("6gb", '"6gb" has no known unit; write 6GB (10^9 bytes a unit) or 6GiB (2^30 bytes a unit)'),
        ("6KB", '"6KB" has no known unit; write 6kB (10^3 bytes a unit) or 6KiB (2^10 bytes a unit)'),
        ("6m", '"6m" has no known unit; write 6MB (10^6 bytes a unit) or 6MiB (2^20 bytes a unit)'),
        ("6b", '"6b" has no known unit; write 6GB, 8GiB, 512MiB or a number of bytes'),
        ("6 apples", '"6 apples" has no known unit; write 6GB, 8GiB, 512MiB or a number of bytes'),
        ("1.5", '"1.5" is no whole number of bytes; write 6GB, 8GiB or 512MiB'),
        ("0.5B", '"0.5B" is no whole number of bytes; write 6GB, 8GiB or 512MiB'),
        (str(LARGEST + 1), f'"{LARGEST + 1}" is more than a 64-bit limit can hold; write a smaller size'),
        ("9000PiB", '"9000PiB" is more than a 64-bit limit can hold; write a smaller size'),
    ],
)
def test_no_size(text: str, message: str) -> None:
    """A size that cannot be taken is refused with what was likely meant."""
    with pytest.raises(ValueError, match=r"\A") as error:
        parse_size(text)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0004, "0.4ms"),
        (0.25, "250ms"),
        (0.9996, "1s"),
        (1, "1s"),
        (3.456, "3.46s"),
        (59.96, "1m"),
        (60, "1m"),
        (61.4, "1m1s"),
        (900, "15m"),
        (5400, "1h30m"),
        (3599.6, "1h"),
        (176400, "2d1h"),
        (-90, "-1m30s"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_format_duration(seconds: float, text: str) -> None:
    """A duration is written short: three digits below a minute, whole seconds above."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (1024, "1KiB"),
        (6_000_000_000, "6GB"),
        (8 << 30, "8GiB"),
        (512 << 20, "512MiB"),
        (1_240_512_345, "1.24GB"),
        (999_999_999, "1GB"),
        (123_456, "123kB"),
        (1_240_512_345.5, "1.24GB"),
        (10**20, "100000PB"),
        (-2048, "-2KiB"),
        (float("inf"), "inf"),
    ],
)
def test_format_size(size: float, text: str) -> None:
    """A size is written exactly where a unit allows it, else with three digits."""
    assert format_size(size) == text


@pytest.mark.parametrize("seconds", [0, 0.001, 0.999, 1, 59, 60, 61, 3600, 5400, 86399, 86400, 90061, int(LONGEST)])
def test_duration_comes_back(seconds: float) -> None:
    """What is written of whole seconds and milliseconds reads as the same duration."""
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1024, 6_000_000_000, 8 << 30, 999 << 40, 3 << 20])
def test_size_comes_back(size: int) -> None:
    """What is written exactly reads as the same size."""
    assert parse_size(format_size(size)) == size


def test_shown_is_one_short_line() -> None:
    """Foreign text in a message keeps to one line and 60 characters, and shows what is invisible."""
    assert shown("a\nb\x1b[31m\u202e") == '"a\\nb\\x1b[31m\\u202e"'
    assert shown("x" * 61) == '"' + "x" * 57 + '..."'
