"""LoadAttempt: the state machine of one load. The same events give the same attempt, whatever their order."""

import itertools
import random

import pytest

from model_load_exporter.attempt import (
    MAX_STAGES,
    Begin,
    Death,
    End,
    Event,
    LoadAttempt,
    StageBegin,
    StageEnd,
    stage_label,
)

BEGIN = Begin("a-1", 1000.0, "nllb", "service", 7, "boot", monotonic=50.0)


def attempt(*events: Event, begin: Begin = BEGIN) -> LoadAttempt:
    made = LoadAttempt(begin)
    for event in events:
        made.apply(event)
    return made


def picture(made: LoadAttempt) -> tuple[object, ...]:
    """All that an attempt tells."""
    names = (
        "stages", "outcome", "reason", "message", "confidence", "evidence", "ended", "seconds", "peak_rss",
        "peak_anonymous", "stage", "open",
    )  # fmt: skip
    return tuple(getattr(made, name) for name in names)


def test_a_load_goes_through_its_stages_and_ends() -> None:
    """Stages have durations and memory; the load has its own duration and the highest memory seen."""
    made = attempt(
        StageBegin(1001.0, "tokenizer"),
        StageEnd(1002.5, "tokenizer", rss=10, anonymous=5),
        StageBegin(1002.5, "weights"),
        StageEnd(1008.0, "weights", rss=90, anonymous=80),
        End(1009.0, "loaded", peak_rss=70),
    )
    assert [(stage.name, stage.seconds, stage.rss) for stage in made.stages] == [
        ("tokenizer", 1.5, 10),
        ("weights", 5.5, 90),
    ]
    assert (made.outcome, made.reason, made.confidence) == ("loaded", None, "told")
    assert (made.seconds, made.ended) == (9.0, 1009.0)
    assert (made.peak_rss, made.peak_anonymous) == (90, 80)
    assert not made.open


def test_a_failure_has_a_reason_of_the_closed_set() -> None:
    """A reason that nobody knows is `unknown`; a success has none, whatever the writer says."""
    assert attempt(End(1001.0, "failed", "file_missing", "no such file")).reason == "file_missing"
    assert attempt(End(1001.0, "failed", "gremlins")).reason == "unknown"
    assert attempt(End(1001.0, "failed")).reason == "unknown"
    assert attempt(End(1001.0, "loaded", "file_missing")).reason is None
    assert attempt(End(1001.0, "cancelled", "file_missing")).reason is None


@pytest.mark.parametrize(
    ("events", "stage"),
    [
        ([], "other"),
        ([StageBegin(1.0, "weights")], "weights"),
        ([StageBegin(1.0, "weights"), StageBegin(2.0, "device")], "device"),
        ([StageBegin(1.0, "weights"), StageBegin(2.0, "device"), StageEnd(3.0, "device")], "weights"),
        ([StageBegin(1.0, "weights"), StageEnd(2.0, "weights")], "other"),
        ([StageBegin(1.0, "weights"), StageEnd(2.0, "weights", failed=True)], "weights"),
        # An exception leaves the inner stage first: that is where it was.
        (
            [
                StageBegin(1.0, "weights"), StageBegin(2.0, "device"),
                StageEnd(3.0, "device", failed=True), StageEnd(3.0, "weights", failed=True),
            ],
            "device",
        ),
        # The inner stage was fine, the outer one failed after it.
        (
            [
                StageBegin(1.0, "weights"), StageBegin(2.0, "device"),
                StageEnd(3.0, "device"), StageEnd(4.0, "weights", failed=True),
            ],
            "weights",
        ),
        # A failure that the service got over is not where the next one was.
        (
            [
                StageBegin(1.0, "device"), StageEnd(2.0, "device", failed=True),
                StageBegin(3.0, "weights"), StageEnd(4.0, "weights", failed=True),
            ],
            "weights",
        ),
        (
            [
                StageBegin(1.0, "device"), StageEnd(2.0, "device", failed=True),
                StageBegin(3.0, "weights"), StageEnd(4.0, "weights"),
            ],
            "other",
        ),
    ],
)  # fmt: skip
def test_the_stage_is_where_the_load_is_or_broke(events: list[Event], stage: str) -> None:
    """The innermost open stage; after a failure the stage that the exception came from."""
    assert attempt(*events).stage == stage
    assert attempt(*events, End(9.0, "failed")).stage == stage


def test_a_death_happens_in_the_stage_that_is_open() -> None:
    """The witness's verdict becomes the outcome, with its evidence; the stage stays the one that never ended."""
    made = attempt(StageBegin(1001.0, "weights"))
    made.die(Death(1004.0, "cgroup_oom_killed", "Killed process 7", "high", ("kernel log",)))
    assert (made.outcome, made.reason, made.stage) == ("failed", "cgroup_oom_killed", "weights")
    assert (made.confidence, made.evidence, made.seconds) == ("high", ("kernel log",), 4.0)


def test_nothing_changes_after_the_end() -> None:
    """Whatever comes after the one end is a replay or nonsense: a second end, a stage, a death."""
    made = attempt(StageBegin(1001.0, "weights"), End(1002.0, "loaded"))
    before = picture(made)
    for event in (End(1003.0, "failed", "killed"), StageBegin(1003.0, "x"), StageEnd(1003.0, "weights", rss=1), BEGIN):
        made.apply(event)
    made.die(Death(1005.0, "killed"))
    assert picture(made) == before

    dead = attempt()
    dead.die(Death(1001.0, "segfault"))
    before = picture(dead)
    dead.apply(End(1002.0, "loaded"))
    dead.die(Death(1003.0, "killed"))
    assert picture(dead) == before


def test_events_out_of_place_change_nothing() -> None:
    """A stage's end without its begin, and a second begin, leave no stage behind."""
    assert attempt(StageEnd(1001.0, "weights"), BEGIN).stages == []
    twice = attempt(StageBegin(1001.0, "weights"), StageEnd(1002.0, "weights"), StageEnd(1009.0, "weights"))
    assert [stage.seconds for stage in twice.stages] == [1.0]


def test_a_stage_may_come_again() -> None:
    """The same stage twice is two stages; of two that are open the inner one ends first."""
    made = attempt(
        StageBegin(1.0, "weights"), StageBegin(2.0, "weights"), StageEnd(3.0, "weights"), StageEnd(7.0, "weights")
    )
    assert [stage.seconds for stage in made.stages] == [6.0, 1.0]


def test_the_monotonic_clock_outlives_a_jump_back() -> None:
    """With both clocks told, a wall clock that is set back in mid-load changes no duration."""
    made = attempt(
        StageBegin(1001.0, "weights", monotonic=51.0),
        StageEnd(401.0, "weights", monotonic=54.0),
        End(405.0, "loaded", monotonic=58.0),
    )
    assert (made.stages[0].seconds, made.seconds) == (3.0, 8.0)
    assert made.ended == 1000.0, "never before its begin"


def test_without_a_monotonic_clock_no_duration_is_negative() -> None:
    """A writer with the wall clock alone: a jump back gives 0, not less."""
    made = attempt(
        StageBegin(1001.0, "weights"), StageEnd(401.0, "weights"), End(405.0, "loaded"),
        begin=Begin("a-1", 1000.0, "nllb", "service", 7, "boot"),
    )  # fmt: skip
    assert (made.stages[0].seconds, made.seconds, made.ended) == (0.0, 0.0, 1000.0)
    made = attempt()
    made.die(Death(10.0, "killed"))
    assert (made.seconds, made.ended) == (0.0, 1000.0)


def test_a_clock_told_by_one_side_alone_is_not_used() -> None:
    """A monotonic reading has nothing to be compared with unless both events carry it."""
    assert attempt(End(1004.0, "loaded")).seconds == 4.0


def test_a_looping_writer_costs_bounded_memory() -> None:
    """Stages beyond the limit are dropped; the end still counts."""
    made = attempt(*[StageBegin(1001.0, "weights")] * (MAX_STAGES * 3), End(1002.0, "loaded"))
    assert len(made.stages) == MAX_STAGES
    assert made.outcome == "loaded"


def test_memory_seen_from_outside_counts() -> None:
    """The highest reading stays, from whichever side; an unknown one takes nothing away."""
    made = attempt()
    made.observe_memory(100, 90)
    made.observe_memory(None, None)
    made.apply(End(1001.0, "loaded", peak_rss=80, peak_anonymous=95))
    assert (made.peak_rss, made.peak_anonymous) == (100, 95)


def test_stage_labels_are_a_closed_set() -> None:
    """A writer's own stage names stay in the history; the label has `other`."""
    assert stage_label("weights") == "weights"
    assert stage_label("quantise") == "other"


def test_any_order_of_events_is_survived_and_repeatable() -> None:
    """Every permutation of a few events, and random walks: no crash, no negative number, the same result twice."""
    few: list[Event] = [
        StageBegin(5.0, "weights"), StageEnd(3.0, "weights", rss=1), StageBegin(1.0, "device"),
        StageEnd(2.0, "tokenizer", failed=True), End(4.0, "failed", "killed"),
    ]  # fmt: skip
    for order in itertools.permutations(few):
        made = attempt(*order)
        assert made.outcome == "failed"
        assert picture(made) == picture(attempt(*order))
    rng = random.Random(1)
    for _ in range(300):
        walk = [rng.choice(few[:4]) for _ in range(rng.randrange(40))]
        made = attempt(*walk)
        assert made.open
        assert all(stage.seconds is None or stage.seconds >= 0 for stage in made.stages)
