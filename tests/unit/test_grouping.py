"""Groups: which attempts are one load, and what it counts as."""

from dataclasses import replace

from model_load_exporter.attempt import Begin
from model_load_exporter.grouping import JOIN_SECONDS, Group, Groups

KEY = ("app", "nllb")


def begin(attempt_id: str, time: float = 1000.0, pid: int = 7, **keys: str) -> Begin:
    return Begin(attempt_id, time, "nllb", "service", pid, "boot", **keys)  # type: ignore[arg-type]  # text keys alone


def ranks(groups: Groups, run: str, count: int, time: float = 1000.0) -> list[Group]:
    return [
        groups.place(begin(f"{run}-{rank}-{time:.0f}", time, group=run, rank=str(rank)), KEY)[0]
        for rank in range(count)
    ]


def test_an_attempt_alone_is_a_load() -> None:
    """No group, no parent: it begins its load and its end is the load's."""
    groups = Groups()
    group, new = groups.place(begin("a"), KEY)
    assert (group.root, new) == ("a", True)
    assert group.end("a", "loaded") == "loaded"


def test_an_attempt_is_placed_once() -> None:
    """The same attempt again, after its end too, is the same load and begins none."""
    groups = Groups()
    group, _ = groups.place(begin("a"), KEY)
    assert groups.place(begin("a"), KEY) == (group, False)
    group.end("a", "failed")
    assert groups.place(begin("a"), KEY) == (group, False)
    assert group.end("a", "failed") is None


def test_ranks_of_one_start_are_one_load() -> None:
    """Four ranks begin one load; it has loaded when the last of them has."""
    groups = Groups()
    placed = ranks(groups, "run", 4)
    assert all(group is placed[0] for group in placed)
    group = placed[0]
    ends = [group.end(f"run-{rank}-1000", "loaded") for rank in range(4)]
    assert ends == [None, None, None, "loaded"]


def test_the_first_failure_counts_and_the_rest_does_not() -> None:
    """One rank dies of the OOM killer, the others of the broken connection: one failure, the first."""
    group = ranks(Groups(), "run", 4)[0]
    assert group.end("run-2-1000", "failed") == "failed"
    assert [group.end(f"run-{rank}-1000", "failed") for rank in (0, 1, 3)] == [None, None, None]


def test_one_cancelled_rank_makes_a_cancelled_load() -> None:
    """Cancelled is no success; a failure outweighs it."""
    group = ranks(Groups(), "run", 2)[0]
    assert group.end("run-0-1000", "cancelled") is None
    assert group.end("run-1-1000", "loaded") == "cancelled"
    other = ranks(Groups(), "run", 2)[0]
    other.end("run-0-1000", "cancelled")
    assert other.end("run-1-1000", "failed") == "failed"


def test_a_rank_that_comes_again_is_the_next_load() -> None:
    """An elastic restart under the same name, while the old ranks are still open: a load of its own."""
    groups = Groups()
    first = ranks(groups, "run", 2)[0]
    second = ranks(groups, "run", 2, time=1100.0)
    assert second[0] is not first
    assert second[1] is second[0]
    assert first.end("run-0-1000", "failed") == "failed"
    assert second[0].end("run-0-1100", "loaded") is None
    assert second[0].end("run-1-1100", "loaded") == "loaded"


def test_ranks_without_a_rank_are_told_apart_by_pid() -> None:
    """Another pid is another member; the same pid again is the next load."""
    groups = Groups()
    first, _ = groups.place(begin("a", pid=1, group="run"), KEY)
    assert groups.place(begin("b", pid=2, group="run"), KEY) == (first, False)
    again, new = groups.place(begin("c", pid=1, group="run"), KEY)
    assert new
    assert again is not first


def test_a_group_is_of_one_model() -> None:
    """The same start loads two models: two loads."""
    groups = Groups()
    first, _ = groups.place(begin("a", group="run", rank="0"), KEY)
    second, new = groups.place(begin("b", group="run", rank="1"), ("app", "aya"))
    assert new
    assert second is not first


def test_worker_processes_belong_to_the_load_that_began_them() -> None:
    """A child whose parent's load of the same model is open is part of it, its children too."""
    groups = Groups()
    root, _ = groups.place(begin("root"), KEY)
    child, new = groups.place(begin("child", parent="root"), KEY)
    grandchild, _ = groups.place(begin("grandchild", parent="child"), KEY)
    assert not new
    assert child is grandchild is root
    assert root.end("grandchild", "loaded") is None
    assert root.end("child", "loaded") is None
    assert root.end("root", "loaded") == "loaded"


def test_a_worker_that_dies_fails_the_load_and_the_parent_may_recover_it() -> None:
    """It counts as failed at once; that the parent went on and has the model is told apart."""
    group, _ = (groups := Groups()).place(begin("root"), KEY)
    groups.place(begin("child", parent="root"), KEY)
    assert group.end("child", "failed") == "failed"
    assert group.end("root", "loaded") == "recovered"


def test_what_a_child_loads_after_its_parents_load_is_its_own() -> None:
    """The variable that names the parent outlives the parent's load."""
    groups = Groups()
    root, _ = groups.place(begin("root"), KEY)
    root.end("root", "loaded")
    later, new = groups.place(begin("later", parent="root"), KEY)
    assert new
    assert later is not root
    other, new = groups.place(begin("stranger", parent="never-seen"), KEY)
    assert new
    assert other is not later


def test_a_child_that_loads_another_model_is_a_load_of_its_own() -> None:
    """Only the same model makes one load of parent and child."""
    groups = Groups()
    groups.place(begin("root"), KEY)
    assert groups.place(begin("child", parent="root"), ("app", "aya"))[1]


def test_a_rank_may_be_late_but_not_by_an_hour() -> None:
    """Beyond the time to join, the same group name is another load."""
    groups = Groups()
    first, _ = groups.place(begin("a", group="run", rank="0"), KEY)
    late, _ = groups.place(begin("b", 1000.0 + JOIN_SECONDS, group="run", rank="1"), KEY)
    assert late is first
    assert groups.place(begin("c", 1001.0 + JOIN_SECONDS, group="run", rank="2"), KEY)[1]


def test_a_restart_of_the_daemon_keeps_loads_together() -> None:
    """From the ledger: one rank had ended, one was open; what comes after goes on from there."""
    groups = Groups()
    first = begin("a", group="run", rank="0")
    second = begin("b", group="run", rank="1")
    groups.restore(first, KEY, "a", "loaded")
    groups.restore(second, KEY, "a", None)
    group, new = groups.place(second, KEY)
    assert not new
    assert group.root == "a"
    assert groups.place(begin("c", group="run", rank="2"), KEY) == (group, False)
    assert group.end("b", "loaded") is None
    assert group.end("c", "loaded") == "loaded"


def test_a_restart_after_a_failure_counts_no_second_one() -> None:
    """The load failed before the daemon stopped; its other ranks die after."""
    groups = Groups()
    groups.restore(begin("a", group="run", rank="0"), KEY, "a", "failed")
    groups.restore(begin("b", group="run", rank="1"), KEY, "a", None)
    group = groups.of("b")
    assert group is not None
    assert group.end("b", "failed") is None


def test_finished_loads_are_forgotten_and_open_ones_are_not() -> None:
    """Memory is bounded by what is open and by the last hour."""
    groups = Groups()
    done, _ = groups.place(begin("a", group="run", rank="0"), KEY)
    done.end("a", "loaded")
    groups.place(begin("b"), KEY)
    groups.forget(1000.0 + JOIN_SECONDS / 2)
    assert groups.of("a") is done
    groups.forget(1001.0 + JOIN_SECONDS)
    assert groups.of("a") is None
    assert groups.of("b") is not None
    assert groups.place(replace(begin("c", 1002.0 + JOIN_SECONDS), group="run", rank="0"), KEY)[1]
