"""Where a model's files stand: verdicts of both depths, changes, rot, and what the ledger keeps of them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from model_load_exporter.config import Model, Verify
from model_load_exporter.ledger import Ledger
from model_load_exporter.verification.finding import File, Finding
from model_load_exporter.verification.standing import MOST_EVENT_FILES, MOST_EVENTS, FileStanding
from model_load_exporter.verification.standings import FileStandings

A, B, C = "a" * 64, "b" * 64, "c" * 64
NLLB = Model("nllb", "/models/nllb", verify=Verify())


def file(path: str = "w", sha256: str | None = A, size: int | None = 10, when: float = 1.0, reason: str = "") -> File:
    return File(path, not reason, reason or None, "why" if reason else "", size, when, sha256, when)


def finding(*files: File, level: str = "checksum", stamp: str = "s1", settled: bool = True) -> Finding:
    return Finding(level, stamp, 10, 1.0, 1.0, settled, len(files), files)


def headers(*files: File, stamp: str = "s1") -> Finding:
    return finding(*(replace(one, sha256=None) for one in files), level="header", stamp=stamp)


def test_first_sight_is_no_change() -> None:
    """Files that were never seen have no history."""
    standing = FileStanding()
    assert standing.take(finding(file()), 5.0, reads=True) is None
    assert (standing.valid, standing.verified, standing.checksummed, standing.changes) == (True, 5.0, 5.0, 0)


def test_other_contents_are_a_change() -> None:
    """Old and new checksum and size are told, of files that came and went too."""
    standing = FileStanding()
    standing.take(finding(file("w", A), file("old", B)), 1.0, reads=True)
    change = standing.take(finding(file("w", C, size=11, when=2.0), file("new", B, when=2.0)), 2.0, reads=True)
    assert change is not None
    assert [(one.path, one.old, one.new) for one in change.files] == [("new", None, B), ("old", B, None), ("w", A, C)]
    assert (change.files[2].old_size, change.files[2].new_size) == (10, 11)
    assert (standing.changed, standing.changes, standing.valid) == (2.0, 1, True)


def test_the_same_contents_under_another_time_are_no_change() -> None:
    """A copy of the same bytes has other times, and nothing has changed."""
    standing = FileStanding()
    standing.take(finding(file(when=1.0)), 1.0, reads=True)
    assert standing.take(finding(file(when=2.0), stamp="s2"), 2.0, reads=True) is None
    assert standing.stamp == "s2"


def test_a_look_at_headers_does_not_clear_what_the_contents_said() -> None:
    """Damage inside stays until the contents are read again; damage outside is told at once."""
    standing = FileStanding()
    standing.take(finding(file(reason="file_corrupted")), 1.0, reads=True)
    standing.take(headers(file()), 2.0, reads=True)
    assert not standing.valid
    standing.take(headers(file("gone", size=None, reason="shard_missing"), stamp="s2"), 3.0, reads=True)
    assert {problem.reason for problem in standing.problems} == {"file_corrupted", "shard_missing"}
    standing.take(finding(file(when=3.0), stamp="s2"), 4.0, reads=True)
    assert standing.valid
    assert standing.reasons == ["file_corrupted", "shard_missing"]


def test_the_same_problem_inside_and_outside_is_one() -> None:
    """A file that is truncated is so by its header and by its contents."""
    standing = FileStanding()
    bad = file(sha256=None, reason="file_corrupted")
    standing.take(finding(bad), 1.0, reads=True)
    standing.take(headers(bad), 2.0, reads=True)
    assert len(standing.problems) == 1


def test_a_file_that_cannot_be_read_keeps_its_checksum() -> None:
    """Rights that are taken away and given back are no change of contents."""
    standing = FileStanding()
    standing.take(finding(file()), 1.0, reads=True)
    assert standing.take(finding(file(sha256=None, reason="permission_denied")), 2.0, reads=True) is None
    assert standing.take(finding(file(sha256=B, when=3.0)), 3.0, reads=True) is not None


def test_rot() -> None:
    """Other contents under the same size and times are damage, day after day, until the file is written anew."""
    standing = FileStanding()
    standing.take(finding(file("w", A), file("other", C)), 1.0, reads=True)
    for day in (2.0, 3.0):
        # Another file may be written meanwhile.
        standing.take(finding(file("w", B), file("other", C, when=day), stamp=str(day)), day, reads=True)
        (problem,) = standing.problems
        assert (problem.path, problem.reason) == ("w", "file_corrupted")
        assert A in problem.detail
    assert standing.changes == 1
    standing.take(finding(file("w", sha256=None, reason="permission_denied"), file("other", C)), 4.0, reads=True)
    assert {one.reason for one in standing.problems} == {"file_corrupted", "permission_denied"}
    standing.take(finding(file("w", B, when=5.0), file("other", C)), 5.0, reads=True)
    assert standing.valid


def test_memory_that_recovers_is_no_rot() -> None:
    """The good contents read again are good."""
    standing = FileStanding()
    for sha256 in (A, B, A):
        standing.take(finding(file(sha256=sha256)), 1.0, reads=True)
    assert standing.valid


def test_a_file_that_was_written_while_it_was_read_is_no_rot() -> None:
    """Times are compared only where nothing moved meanwhile."""
    standing = FileStanding()
    standing.take(finding(file(sha256=A)), 1.0, reads=True)
    standing.take(finding(file(sha256=B), settled=False), 2.0, reads=True)
    assert standing.valid


def test_headers_alone_compare_size_and_time() -> None:
    """Where contents are never read, another size or time is all that can be seen."""
    standing = FileStanding()
    assert standing.take(headers(file()), 1.0, reads=False) is None
    assert standing.take(headers(file()), 2.0, reads=False) is None
    change = standing.take(headers(file(when=9.0), stamp="s2"), 3.0, reads=False)
    assert change is not None
    assert (change.files[0].old, change.files[0].new, standing.checksummed) == (None, None, None)


def test_what_is_kept_is_bounded() -> None:
    """A hundred changes of a hundred files each leave the last few of each."""
    standing = FileStanding()
    for day in range(100):
        files = [file(str(n), f"{day:064d}", when=float(day)) for n in range(100)]
        standing.take(finding(*files, stamp=str(day)), float(day), reads=True)
    assert len(standing.events) == MOST_EVENTS
    assert {(len(event.files), event.count) for event in standing.events} == {(MOST_EVENT_FILES, 100)}
    assert standing.changes == 99


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path))


def told(standings: FileStandings, *findings: Finding) -> None:
    for number, one in enumerate(findings):
        standings.record("nllb", one, float(number + 1), reads=True)


def test_a_restart_changes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """The standing comes back from the disk as it was, rot and history included."""
    standings = FileStandings(ledger)
    standings.configure({"nllb": NLLB})
    told(standings, finding(file("w", A), file("x", A)), finding(file("w", B), file("x", B, when=2.0), stamp="s2"))
    standings.fail("nllb", "hung", "it hangs")
    before = standings.get("nllb")
    assert before is not None
    assert before.rotten
    ledger.close()
    after = FileStandings(Ledger.open(str(tmp_path)))
    after.configure({"nllb": NLLB})
    assert after.get("nllb") == before


def test_a_model_that_left_costs_the_ledger_little(ledger: Ledger) -> None:
    """Of a model that left, its counters stay, not its files: folders come and go for years."""
    standings = FileStandings(ledger)
    standings.configure({"nllb": NLLB})
    many = [file(str(n)) for n in range(1000)]
    told(standings, finding(*many), finding(*(replace(one, sha256=B, touched=2.0) for one in many), stamp="s2"))
    standings.configure({})
    assert standings.get("nllb") is None
    assert len(json.dumps(ledger.fact("files:nllb"))) < 1000
    standings.configure({"nllb": NLLB})
    back = standings.get("nllb")
    assert back is not None
    assert (back.changes, back.verified, back.valid) == (1, None, True)
    assert back.take(finding(file()), 9.0, reads=True) is None


def test_another_path_is_another_model(ledger: Ledger) -> None:
    """Files of another folder are seen for the first time: no change, no old verdict; counters go on."""
    standings = FileStandings(ledger)
    standings.configure({"nllb": NLLB})
    told(standings, finding(file(reason="file_corrupted")), finding(file(sha256=B, when=2.0)))
    standings.configure({"nllb": replace(NLLB, path="/models/v2")})
    there = standings.get("nllb")
    assert there is not None
    assert (there.valid, there.verified, there.changes, there.files) == (True, None, 1, {})


def test_a_verdict_for_a_model_that_has_left_is_dropped(ledger: Ledger) -> None:
    """It left while its files were read."""
    standings = FileStandings(ledger)
    standings.configure({})
    with pytest.raises(KeyError):
        standings.record("nllb", finding(file()), 1.0, reads=True)
    standings.fail("nllb", "died", "")
    assert not ledger.dirty


@pytest.mark.parametrize("fact", [[], {}, {"files": [1]}, {"events": [{"time": 1}]}, {"outside": [{"x": 1}]}, 7])
def test_a_fact_of_another_version(ledger: Ledger, fact: object) -> None:
    """What cannot be understood is as if it were not there."""
    ledger.put_fact("files:nllb", fact)
    standings = FileStandings(ledger)
    standings.configure({"nllb": NLLB})
    there = standings.get("nllb")
    assert there is not None
    assert there.verified is None


def test_version_moves_with_each_change_and_rests_else(ledger: Ledger) -> None:
    """A scrape renders anew what changed, and only that."""
    standings = FileStandings(ledger)
    standings.configure({"nllb": NLLB})
    seen = [standings.version()]
    for step in (
        lambda: standings.began("nllb"),
        lambda: standings.ended("nllb"),
        lambda: standings.mark_stuck("nllb", stuck=True),
        lambda: standings.record("nllb", finding(file()), 1.0, reads=True),
        lambda: standings.fail("nllb", "died", "x"),
    ):
        step()
        seen.append(standings.version())
    assert len(set(seen)) == len(seen)
    standings.mark_stuck("nllb", stuck=True)
    standings.get("nllb")
    assert standings.version() == seen[-1]
