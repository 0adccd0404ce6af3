"""What a line tells of its time, and how the clock completes it."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from model_load_exporter.analysis import timestamps
from model_load_exporter.analysis.clock import Clock
from model_load_exporter.analysis.events import Event
from model_load_exporter.analysis.timestamps import ABSOLUTE, AGE, BOOT, CLOCK, NAIVE, YEARLESS, Stamp, parse


def _at(*parts: int, fraction: float = 0.0, zone: timezone = UTC) -> float:
    return datetime(*parts, tzinfo=zone).timestamp() + fraction  # type: ignore[arg-type, misc] # the parts of a date


NOW = _at(2026, 2, 1)


@pytest.mark.parametrize(
    ("line", "kind", "value"),
    [
        ("2026-01-31T10:00:00.123Z INFO x", ABSOLUTE, _at(2026, 1, 31, 10, fraction=0.123)),
        ("2026-01-31T10:00:00,678628+02:00 kernel", ABSOLUTE, _at(2026, 1, 31, 8, fraction=0.678628)),
        ("[2026-01-31 10:00:00 +0000] [66] [INFO] x", ABSOLUTE, _at(2026, 1, 31, 10)),
        ("[2026-01-31 10:00:00 -0730] [66] [INFO] x", ABSOLUTE, _at(2026, 1, 31, 17, 30)),
        ("2026-01-31 10:00:00 UTC x", ABSOLUTE, _at(2026, 1, 31, 10)),
        ("2026-01-31 10:00:00,123 - INFO - x", NAIVE, _at(2026, 1, 31, 10, fraction=0.123)),
        ("[2026-01-31 10:00:00 TP0] Load weight begin", NAIVE, _at(2026, 1, 31, 10)),
        ("[GIN] 2026/01/31 - 10:00:00 | 200", NAIVE, _at(2026, 1, 31, 10)),
        ("2026/01/31 10:00:00 [error] 7#7: *1 recv() failed", NAIVE, _at(2026, 1, 31, 10)),
        ('10.0.0.1 - - [31/Jan/2026:10:00:00 -0100] "GET /', ABSOLUTE, _at(2026, 1, 31, 11)),
        ("   Started:  Sat, 31 Jan 2026 10:00:00 -0700", ABSOLUTE, _at(2026, 1, 31, 17)),
        ("[Sat Jan 31 10:00:00 2026] oom-kill:", NAIVE, _at(2026, 1, 31, 10)),
        ("[Sat Jan 31 10:00:00.929727 2026] [wsgi:error]", NAIVE, _at(2026, 1, 31, 10, fraction=0.929727)),
        ("[二 9月  3 05:57:48 2024] oom-kill:", NAIVE, _at(2024, 9, 3, 5, 57, 48)),
        ("Jan 31 10:00:00 host kernel: [12345.678901] x", YEARLESS, _at(2000, 1, 31, 10)),
        ("Feb  9 10:00:00 host app[1]: x", YEARLESS, _at(2000, 2, 9, 10)),
        ("12月 17 10:04:41 user systemd-oomd[588]: x", YEARLESS, _at(2000, 12, 17, 10, 4, 41)),
        ("E0131 10:00:00.000001 1 server.cc:633]", YEARLESS, _at(2000, 1, 31, 10, fraction=0.000001)),
        ("[rank3]:[E131 10:00:00.5 ProcessGroupNCCL.cpp:1785]", YEARLESS, _at(2000, 1, 31, 10, fraction=0.5)),
        ("INFO 01-31 10:00:00 model_runner.py:1056] x", YEARLESS, _at(2000, 1, 31, 10)),
        ("(VllmWorkerProcess pid=1252) ERROR 01-31 10:00:00 x", YEARLESS, _at(2000, 1, 31, 10)),
        ("10:00:01,5 [ERROR] x", CLOCK, 36001.5),
        ("[12345.678901] Out of memory", BOOT, 12345.678901),
        ("<4>[   12.000001] x", BOOT, 12.000001),
        ("6,1234,5678901,-;Out of memory: x", BOOT, 5.678901),
        ('{"level":"info","ts":1769853600.25,"msg":"x"}', ABSOLUTE, _at(2026, 1, 31, 10, fraction=0.25)),
        ('tid="1" timestamp=1769853600 id_slot=0', ABSOLUTE, _at(2026, 1, 31, 10)),
        ('{"ts": 1769853600250, "msg": "x"}', ABSOLUTE, _at(2026, 1, 31, 10, fraction=0.25)),
        ("1769853600.25 loading", ABSOLUTE, _at(2026, 1, 31, 10, fraction=0.25)),
        ("  Warning  Unhealthy  41s (x3 over 61s)  kubelet  Liveness", AGE, 41.0),
        ("3m12s       Warning   BackOff     pod/x", AGE, 192.0),
        ("  Normal   Killing  2d4h  kubelet  Container x", AGE, 2 * 86400 + 4 * 3600.0),
    ],
)  # fmt: skip
def test_a_stamp_tells_what_its_format_tells(line: str, kind: str, value: float) -> None:
    """A stamp has the kind of its format, and the value that it stands for."""
    stamp = parse(line)
    assert stamp is not None
    assert stamp.kind == kind
    assert stamp.value == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "plain text",
        "Loading checkpoint shards: 25%| 1/4 [01:04<03:12, 64.03s/it]",
        "2026-13-31T10:00:00Z x",
        "2026-02-30 10:00:00 x",
        "  File \"/x/y.py\", line 12, in load",
        "version 1.2.3-4",
        "port=8000 pid=1769853600",
        "x" * 200 + " 2026-01-31 10:00:00",
    ],
)  # fmt: skip
def test_other_numbers_are_no_time(line: str) -> None:
    """Progress bars, versions, impossible dates and times far inside a message are no stamp."""
    assert parse(line) is None


def test_the_kernels_seconds_are_read_behind_syslogs_stamp() -> None:
    """A kernel line that rsyslog stored tells both clocks."""
    assert timestamps.kernel_seconds("Jan 31 10:00:00 host kernel: [12345.678901] x") == 12345.678901


def test_a_year_is_taken_from_the_logs_full_stamps() -> None:
    """A stamp without a year gets the one that brings it nearest to the full ones, across New Year too."""
    clock = _clock(Stamp(ABSOLUTE, _at(2026, 1, 1, 0, 10)))
    assert clock.seconds(Stamp(YEARLESS, _at(2000, 12, 31, 23, 50))) == _at(2025, 12, 31, 23, 50)


def test_without_full_stamps_a_year_is_the_last_possible() -> None:
    """Nobody analyses a log of the future: on February 1, a December is last year's."""
    assert _clock().seconds(Stamp(YEARLESS, _at(2000, 12, 31))) == _at(2025, 12, 31)


def test_a_time_of_day_gets_the_nearest_date() -> None:
    """A log that tells hours only lies beside the others' dates."""
    clock = _clock(Stamp(ABSOLUTE, _at(2026, 1, 31, 23, 59)))
    assert clock.seconds(Stamp(CLOCK, 60.0)) == _at(2026, 2, 1, 0, 1)


def test_a_stamp_without_a_zone_is_of_the_given_one() -> None:
    """A local time is converted, daylight saving included; one that names its zone is left alone."""
    clock = Clock(ZoneInfo("Europe/Berlin"), NOW)
    assert clock.seconds(Stamp(NAIVE, _at(2026, 7, 31, 10))) == _at(2026, 7, 31, 8)
    assert clock.seconds(Stamp(ABSOLUTE, _at(2026, 7, 31, 10))) == _at(2026, 7, 31, 10)


def test_kernel_seconds_stay_unknown_without_a_boot_time() -> None:
    """No wall time is guessed for dmesg's seconds."""
    assert _clock().seconds(Stamp(BOOT, 100.0)) is None


def test_a_boot_time_of_the_caller_dates_the_kernel() -> None:
    """--boot-time makes a wall time of dmesg's seconds."""
    assert Clock(UTC, NOW, boot=_at(2026, 1, 31)).seconds(Stamp(BOOT, 90.0)) == _at(2026, 1, 31, 0, 1, 30)


def test_lines_with_both_clocks_tie_them() -> None:
    """rsyslog's stamp beside the kernel's gives the boot; the median of several bears one late line."""
    clock = Clock(UTC, NOW)
    pairs = [(Stamp(YEARLESS, _at(2000, 1, 31, 10, 0, late)), 100.0) for late in (0, 0, 9)]
    clock.learn([_event(Stamp(ABSOLUTE, NOW))], pairs)
    assert clock.seconds(Stamp(BOOT, 160.0)) == _at(2026, 1, 31, 10, 1)


@pytest.mark.parametrize(
    "text",
    [
        "[    1.000000] rtc_cmos 00:04: setting system clock to 2026-01-31T10:00:00 UTC (1769853600)",
        '{"event":"begin","v":1,"id":"7d","time":1769853600.0,"monotonic":1.0,"kind":"service"}',
    ],
)
def test_the_boots_own_line_and_a_journal_tell_the_boot(text: str) -> None:
    """The kernel says what it set its clock to; a journal of the spool has both times in each line."""
    clock = Clock(UTC, NOW)
    clock.learn([_event(None, text)], [])
    assert clock.seconds(Stamp(BOOT, 61.0)) == _at(2026, 1, 31, 10, 1)


def test_an_age_is_no_time() -> None:
    """kubectl's ages count back from a moment that the log does not tell."""
    assert _clock(Stamp(ABSOLUTE, NOW)).seconds(Stamp(AGE, 41.0)) is None


def test_times_are_shown_with_an_offset_only_where_one_is_known() -> None:
    """ISO 8601: bare without a zone, Z for UTC, else the offset."""
    seconds = _at(2026, 1, 31, 10, fraction=0.25)
    assert timestamps.shown(seconds) == "2026-01-31T10:00:00.250"
    assert timestamps.shown(seconds, UTC) == "2026-01-31T10:00:00.250Z"
    assert timestamps.shown(seconds, timezone(timedelta(hours=2))) == "2026-01-31T12:00:00.250+02:00"


def _clock(*full: Stamp) -> Clock:
    clock = Clock(UTC, NOW)
    clock.learn([_event(stamp) for stamp in full], [])
    return clock


def _event(stamp: Stamp | None, text: str = "x") -> Event:
    return Event("a.log", 0, 1, text, "stage", "service", stamp=stamp)


def test_an_age_that_nothing_has_is_none() -> None:
    """Seven digits are no age: their sum would be older than the calendar."""
    assert parse("9999999m  Warning  BackOff  pod/x  Back-off") is None
    assert parse("999999m  Warning  BackOff  pod/x  Back-off") == Stamp(AGE, 999_999 * 60)
