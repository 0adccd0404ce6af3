"""Tally: what is counted of one model, and that the ledger gives back what it took."""

import json

import pytest

from model_load_exporter.tally import BUCKETS, RECENT_SECONDS, Tally


def test_a_begin_after_a_failure_is_a_retry() -> None:
    """Retries are repeats of a failed load; after a success or a cancelled one there is nothing to repeat."""
    tally = Tally()
    tally.count_begin(1.0)
    tally.count_failure("killed", "weights", 2.0)
    tally.count_begin(3.0)
    tally.count_failure("killed", "weights", 4.0)
    tally.count_begin(5.0)
    tally.count_success(1.0, 6.0)
    tally.count_begin(7.0)
    tally.count_cancelled(8.0)
    tally.count_begin(9.0)
    assert (tally.attempts, tally.retries, tally.cancelled) == (5, 2, 1)
    assert tally.failures == {"killed": 2}


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, 0), (0.1, 0), (0.11, 1), (60.0, 9), (3600.0, 15), (9999.0, 16)])
def test_a_success_falls_into_the_bucket_that_ends_at_or_above_it(seconds: float, bucket: int) -> None:
    """Upper bounds are inclusive, as Prometheus has them; the last bucket has none."""
    tally = Tally()
    tally.count_success(seconds, 10.0)
    assert [index for index, count in enumerate(tally.success_buckets) if count] == [bucket]
    assert (tally.success_seconds, tally.success_time) == (seconds, 10.0)


def test_the_last_failure_of_each_reason_has_its_stage() -> None:
    """A failure that is told late does not take the place of a later one; it still counts."""
    tally = Tally()
    tally.count_failure("killed", "weights", 20.0)
    tally.count_failure("killed", "tokenizer", 10.0)
    tally.count_failure("segfault", "device", 5.0)
    assert tally.failure == {"killed": (20.0, "weights"), "segfault": (5.0, "device")}
    assert tally.failures == {"killed": 2, "segfault": 1}


def test_a_success_time_never_goes_back() -> None:
    """A load that ended before and is told later counts, but the last success stays the last."""
    tally = Tally()
    tally.count_success(1.0, 100.0)
    tally.count_success(1.0, 50.0)
    assert tally.success_time == 100.0


def test_the_longest_recent_load_shows_for_ten_minutes() -> None:
    """The gauge shows the longest of the last ten minutes, then the next longest, then 0."""
    tally = Tally()
    tally.note_ended(90.0, 1000.0, None, None)
    tally.note_ended(5.0, 1200.0, None, None)
    assert tally.longest_recent(1201.0) == 90.0
    assert tally.recent_expiry(1201.0) == 1000.0 + RECENT_SECONDS
    assert tally.longest_recent(1000.0 + RECENT_SECONDS) == 5.0
    assert tally.longest_recent(1200.0 + RECENT_SECONDS) == 0.0
    assert tally.recent_expiry(1200.0 + RECENT_SECONDS) is None


def test_a_crash_loop_costs_bounded_memory() -> None:
    """However many loads end in ten minutes, few are kept; of loads that take ever longer, the last."""
    tally = Tally()
    for number in range(5000):
        tally.note_ended(100.0 - number / 100, 1000.0 + number / 100, None, None)
    assert len(tally.recent) <= 64
    rising = Tally()
    for number in range(5000):
        rising.note_ended(number / 100, 1000.0 + number / 100, None, None)
    assert rising.longest_recent(1050.0) == 49.99


def test_the_ledger_gives_back_what_it_took() -> None:
    """Through JSON and back, every number is the same."""
    tally = Tally()
    tally.count_begin(1.0)
    tally.count_failure("killed", "weights", 2.0)
    tally.count_begin(3.0)
    tally.count_success(4.0, 7.0)
    tally.count_stage("weights", 3.5)
    tally.count_death("segfault", 9.0)
    tally.note_ended(4.0, 7.0, 100, 90)
    kept = Tally.from_json(json.loads(json.dumps(tally.to_json())))
    assert kept == tally


def test_a_ledger_of_another_version_is_read_as_far_as_it_goes() -> None:
    """Unknown keys are dropped, missing ones start anew, other buckets are counted anew and nothing else is lost."""
    kept = Tally.from_json({"attempts": 3, "future": {"x": 1}, "success_buckets": [1, 2], "success_seconds": 8.0})
    assert (kept.attempts, kept.success_seconds) == (3, 8.0)
    assert kept.success_buckets == [0] * (len(BUCKETS) + 1)
    assert Tally.from_json({}) == Tally()
