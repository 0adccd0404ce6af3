"""Loads: what counts, once; over replays, restarts, ranks and workers, and the processes that hold a model."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from model_load_exporter.attempt import Death, End, StageBegin, StageEnd
from support.loads import World, holding


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "state")
    yield made
    made.ledger.close()


def test_a_load_counts_once_from_begin_to_end(world: World) -> None:
    """Attempts, success, its stages and its duration; nothing is left open."""
    attempt = world.begin("a-1", target="app")
    assert world.tally(target="app").attempts == 1
    attempt.apply(StageBegin(world.clock.wall, "weights"))
    attempt.apply(StageEnd(world.clock.wall + 4, "weights"))
    attempt.apply(StageBegin(world.clock.wall + 4, "my own stage"))
    attempt.apply(StageEnd(world.clock.wall + 5, "my own stage"))
    world.loads.progress(attempt)
    world.end(attempt, seconds=9)
    tally = world.tally(target="app")
    assert (tally.attempts, sum(tally.success_buckets), tally.last_seconds) == (1, 1, 9.0)
    assert tally.stages == {"weights": (4.0, 1), "other": (1.0, 1)}
    assert world.loads.open == {}


def test_a_replay_counts_nothing(world: World) -> None:
    """The same attempt from the journal again, in this life of the daemon and in the next."""
    world.load("a-1")
    for _ in range(2):
        world.load("a-1")
        assert (world.tally().attempts, sum(world.tally().success_buckets)) == (1, 1)
        world.restart()


def test_an_open_load_goes_on_after_a_restart(world: World) -> None:
    """Its begin is not counted again, its end is."""
    world.begin("a-1")
    world.restart()
    assert world.loads.open == {}
    attempt = world.begin("a-1")
    assert set(world.loads.open) == {"a-1"}
    world.end(attempt, "failed", "file_missing")
    assert (world.tally().attempts, world.tally().failures) == (1, {"file_missing": 1})


def test_retries_are_counted_over_a_restart(world: World) -> None:
    """A failed load, the daemon's restart, the same load again."""
    world.end(world.begin("a-1"), "failed", "killed")
    world.restart()
    world.load("a-2")
    world.load("a-3")
    assert (world.tally().attempts, world.tally().retries) == (3, 1)


def test_a_writer_whose_clock_is_ahead_fails_now(world: World) -> None:
    """An event of the future would outlive every success that follows it, and page until then."""
    ahead = world.clock.wall + 86400
    attempt = world.begin("a-1", time=ahead)
    attempt.apply(End(ahead + 1, "failed", "file_empty"))
    world.loads.end(attempt)
    assert world.tally().failure == {"file_empty": (world.clock.wall, "other")}
    assert world.tally().last_started == world.clock.wall


def test_a_death_is_a_failure_with_the_witness_reason(world: World) -> None:
    """The verdict and the stage that was open."""
    attempt = world.begin("a-1")
    attempt.apply(StageBegin(world.clock.wall, "weights"))
    world.clock.pass_(3)
    world.loads.die(attempt, Death(world.clock.wall, "host_oom_killed", "m", "high", ("kernel log",)))
    assert world.tally().failure == {"host_oom_killed": (world.clock.wall, "weights")}
    row = world.ledger.row("a-1")
    assert row is not None
    assert (row.outcome, row.reason, row.stage, row.seconds) == ("failed", "host_oom_killed", "weights", 3.0)
    assert (row.detail["confidence"], row.detail["evidence"]) == ("high", ["kernel log"])


def test_elapsed_time_does_not_jump_with_the_wall_clock(world: World) -> None:
    """A load that was 10 s old when it was first seen is 15 s old 5 s later, whatever the wall clock did."""
    world.begin("a-1", time=world.clock.wall - 10)
    load = world.loads.open["a-1"]
    world.clock.monotonic += 5
    world.clock.wall -= 3600
    assert load.elapsed(world.clock.monotonic) == 15.0


def test_a_begin_in_the_future_has_no_negative_age(world: World) -> None:
    """A clock that was set back between the begin and the daemon's first look."""
    world.begin("a-1", time=world.clock.wall + 500)
    assert world.loads.open["a-1"].elapsed(world.clock.monotonic) == 0.0


def test_ranks_of_one_start_count_once(world: World) -> None:
    """Four ranks: one attempt, one success that took as long as from the first begin to the last end."""
    first, *rest = [world.begin(f"a-{rank}", group="run.0", rank=str(rank)) for rank in range(4)]
    world.end(first, seconds=5)
    for attempt in rest:
        world.end(attempt, seconds=1)
    tally = world.tally()
    assert (tally.attempts, sum(tally.success_buckets), tally.success_seconds) == (1, 1, 8.0)
    rows = [world.ledger.row(f"a-{rank}") for rank in range(4)]
    assert [row.load_id for row in rows if row] == ["a-0"] * 4


def test_ranks_fail_once_with_the_first_deaths_reason(world: World) -> None:
    """One rank out of memory takes the others along: one failure."""
    attempts = [world.begin(f"a-{rank}", group="run.0", rank=str(rank)) for rank in range(4)]
    world.loads.die(attempts[2], Death(world.clock.wall, "cgroup_oom_killed"))
    for rank in (0, 1, 3):
        world.loads.die(attempts[rank], Death(world.clock.wall + 1, "killed"))
    assert (world.tally().attempts, world.tally().failures) == (1, {"cgroup_oom_killed": 1})
    world.load("b-0", group="run.1", rank="0")
    assert (world.tally().attempts, world.tally().retries) == (2, 1), "the elastic restart is a retry"


def test_ranks_go_on_as_one_load_after_a_restart(world: World) -> None:
    """Half of the ranks had ended when the daemon stopped."""
    attempts = [world.begin(f"a-{rank}", group="run.0", rank=str(rank)) for rank in range(4)]
    world.end(attempts[0])
    world.end(attempts[1])
    world.restart()
    for rank in (2, 3):
        world.load(f"a-{rank}", group="run.0", rank=str(rank))
    assert (world.tally().attempts, sum(world.tally().success_buckets)) == (1, 1)


def test_a_rank_whose_journal_is_lost_does_not_hold_the_others_back(world: World) -> None:
    """Nobody knows how it ended; the load is what the others make of it."""
    lost, other = [world.begin(f"a-{rank}", group="run.0", rank=str(rank)) for rank in range(2)]
    world.loads.lose(lost)
    world.end(other)
    assert sum(world.tally().success_buckets) == 1
    row = world.ledger.row("a-0")
    assert row is not None
    assert row.outcome == "lost"
    world.load("a-0")
    assert world.tally().attempts == 1, "a replay of it counts nothing"


def test_a_lost_journal_counts_as_no_outcome(world: World) -> None:
    """Neither success nor failure; the next load is no retry."""
    world.loads.lose(world.begin("a-1"))
    world.load("a-2")
    tally = world.tally()
    assert (tally.attempts, tally.failures, tally.retries, sum(tally.success_buckets)) == (2, {}, 0, 1)


def test_workers_of_a_load_count_with_it(world: World) -> None:
    """Children that load the same model while the parent's load is open; a child that dies fails it."""
    root = world.begin("root")
    child = world.begin("child", parent="root", target="elsewhere")
    world.loads.die(child, Death(world.clock.wall, "segfault"))
    world.end(root)
    tally = world.tally()
    assert (tally.attempts, tally.failures, sum(tally.success_buckets)) == (1, {"segfault": 1}, 0)
    assert tally.success_time == world.clock.wall, "the parent went on and has the model loaded"


def test_a_process_holds_until_it_lets_go_or_ends(world: World) -> None:
    """Two processes, two models; a second load of one in the same process is still one."""
    first = holding("h-1")
    world.loads.hold(first)
    world.loads.hold(holding("h-2"))
    first.apply(replace(first.first, time=2_000_000.0))
    first.apply(replace(first.first, model="aya"))
    world.loads.hold(first)
    assert sorted(held.key[1] for rows in world.loads.held.values() for held in rows) == ["aya", "nllb", "nllb"]
    world.loads.release(first)
    assert [held.key[1] for rows in world.loads.held.values() for held in rows] == ["nllb"]


def test_the_death_of_a_holder_counts_once_for_each_model(world: World) -> None:
    """Apart from load failures; known to the ledger, so that a replay counts nothing."""
    both = holding("h-1")
    both.apply(replace(both.first, model="aya"))
    world.loads.hold(both)
    death = Death(world.clock.wall, "host_oom_killed")
    world.loads.holder_died(both, death, known=world.ledger.death_known("h-1"))
    assert world.loads.held == {}
    world.restart()
    world.loads.hold(both)
    world.loads.holder_died(both, death, known=world.ledger.death_known("h-1"))
    for model in ("nllb", "aya"):
        assert (world.tally(model).deaths, world.tally(model).failures) == ({"host_oom_killed": 1}, {})


def test_a_rotated_holder_file_takes_the_place_of_the_old(world: World) -> None:
    """At no time are both counted; the death of the process is the new file's alone."""
    world.loads.hold(holding("h-1"))
    new = holding("h-2", replaces="h-1")
    world.loads.hold(new)
    assert list(world.loads.held) == ["h-2"]
    world.loads.holder_died(holding("h-1"), Death(world.clock.wall, "killed"), known=False)
    assert world.tally().deaths == {}
    world.loads.holder_died(new, Death(world.clock.wall, "killed"), known=False)
    assert world.tally().deaths == {"killed": 1}


def test_the_old_file_read_after_the_new_one_holds_nothing(world: World) -> None:
    """The process died in the middle of a rotation, and a daemon that starts then meets the new file first."""
    world.loads.hold(holding("h-2", replaces="h-1"))
    world.loads.hold(holding("h-1"))
    assert list(world.loads.held) == ["h-2"]


def test_the_stages_of_the_last_load_are_kept(world: World) -> None:
    """For the status page, over a restart too; one that did not end has no seconds."""
    attempt = world.begin("a-1")
    attempt.apply(StageBegin(world.clock.wall, "tokenizer"))
    attempt.apply(StageEnd(world.clock.wall + 2, "tokenizer", rss=1000))
    attempt.apply(StageBegin(world.clock.wall + 2, "weights"))
    world.end(attempt, "failed", "file_corrupted", seconds=3)
    world.restart()
    assert world.tally().last_stages == [("tokenizer", 2.0, 1000), ("weights", None, None)]
