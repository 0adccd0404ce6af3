"""The ledger: what survives a restart, and what happens to one that is damaged, newer, or not to be written."""

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_load_exporter import ledger as ledger_module
from model_load_exporter.ledger import KEEP_SECONDS, Ledger, LedgerError, Row, read_only
from model_load_exporter.tally import Tally

KEY = ("app", "nllb")


def row(attempt_id: str = "a-1", began: float | None = None, outcome: str | None = "loaded", **keys: object) -> Row:
    made = Row(attempt_id, attempt_id, "service", "app", "nllb", time.time() if began is None else began)
    made.outcome = outcome
    for name, value in keys.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(str(tmp_path))
    yield opened
    opened.close()


def again(ledger: Ledger) -> Ledger:
    """The same ledger after a restart of the daemon."""
    ledger.close()
    return Ledger.open(str(Path(ledger.path).parent))


def fill(folder: Path, rows: int = 200) -> None:
    made = Ledger.open(str(folder))
    for number in range(rows):
        made.put_row(row(f"a-{number}", message="x" * 500))
    tally = Tally(attempts=rows)
    made.put_tally(KEY, tally)
    made.close()


def test_everything_survives_a_restart(ledger: Ledger) -> None:
    """Rows with all their values, tallies, facts and counted deaths."""
    full = row(
        ended=9.5, reason="killed", stage="weights", seconds=4.5, message="m", peak_rss=2**40, peak_anonymous=7,
        detail={"path": "/m", "stages": [{"name": "weights"}]},
    )  # fmt: skip
    tally = Tally(attempts=3, failures={"killed": 1})
    ledger.put_row(full)
    ledger.put_tally(KEY, tally)
    ledger.put_fact("cursor", {"sequence": 5})
    ledger.put_death("h-1", 5.0)
    after = again(ledger)
    assert after.row("a-1") == full
    assert after.tallies() == {KEY: tally}
    assert after.fact("cursor") == {"sequence": 5}
    assert after.fact("unknown") is None
    assert after.death_known("h-1")
    assert not after.death_known("h-2")
    after.close()


def test_what_is_put_is_seen_before_it_is_written(ledger: Ledger) -> None:
    """Between two flushes too, an attempt is known, and a death is counted once."""
    ledger.put_row(row())
    ledger.put_fact("f", 1)
    ledger.put_death("h-1", 5.0)
    assert ledger.row("a-1") is not None
    assert ledger.fact("f") == 1
    assert ledger.death_known("h-1")
    before = ledger.dirty
    ledger.flush()
    assert (before, ledger.dirty) == (True, False)
    assert ledger.row("a-1") is not None


def test_what_waits_for_the_next_flush_is_newer_than_the_disk(ledger: Ledger) -> None:
    """An attempt that was open on disk and has ended since is not offered as unfinished."""
    ledger.put_row(row(outcome=None))
    ledger.flush()
    assert [found.outcome for found in ledger.unfinished()] == [None]
    ledger.put_row(row(outcome="loaded"))
    assert [found.outcome for found in ledger.unfinished()] == ["loaded"]


def test_rows_and_tallies_are_written_together_or_not_at_all(ledger: Ledger) -> None:
    """One transaction: a tally that cannot be written takes the row that it counts back with it."""
    ledger.put_row(row())
    ledger.put_tally(("app", "bad"), None)  # type: ignore[arg-type]  # stands for whatever goes wrong in between
    with pytest.raises(AttributeError):
        ledger.flush()
    other = read_only(str(Path(ledger.path).parent))
    assert other.row("a-1") is None
    other.close()
    ledger.put_tally(("app", "bad"), Tally(attempts=1))
    after = again(ledger)
    assert after.row("a-1") is not None
    assert after.tallies()["app", "bad"].attempts == 1
    after.close()


def test_history_is_newest_first_and_filtered(ledger: Ledger) -> None:
    """By model and by kind, at most as many as asked."""
    for number in range(5):
        ledger.put_row(row(f"a-{number}", began=100.0 + number, model="nllb" if number % 2 else "aya"))
    ledger.put_row(row("c-1", began=200.0, kind="canary"))
    ledger.flush()
    assert [found.id for found in ledger.history(limit=3)] == ["c-1", "a-4", "a-3"]
    assert [found.id for found in ledger.history("aya")] == ["a-4", "a-2", "a-0"]
    assert [found.id for found in ledger.history(kind="canary")] == ["c-1"]
    assert ledger.history("nobody") == []


def test_unfinished_are_the_open_and_all_of_their_load(ledger: Ledger) -> None:
    """An open attempt of long ago with the ended ones of its load, and loads young enough to be joined."""
    old = time.time() - 90_000
    ledger.put_row(row("root", began=old))
    ledger.put_row(row("rank", began=old, outcome=None, load_id="root"))
    ledger.put_row(row("done", began=old))
    ledger.put_row(row("young"))
    ledger.flush()
    assert {found.id for found in ledger.unfinished()} == {"root", "rank", "young"}


def test_pruning_forgets_the_old_and_keeps_the_open(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older than 30 days, and beyond the number kept: the oldest go; what is open stays."""
    old = time.time() - KEEP_SECONDS - 10
    ledger.put_row(row("old", began=old))
    ledger.put_row(row("old-open", began=old, outcome=None))
    for number in range(10):
        ledger.put_row(row(f"a-{number}", began=time.time() - 100 + number))
    ledger.put_death("h-old", old)
    ledger.put_death("h-new", time.time())
    ledger.flush()
    monkeypatch.setattr(ledger_module, "KEEP_ATTEMPTS", 4)
    ledger.prune()
    assert {found.id for found in ledger.history()} == {"old-open", "a-6", "a-7", "a-8", "a-9"}
    assert not ledger.death_known("h-old")
    assert ledger.death_known("h-new")


@pytest.mark.parametrize("damage", ["text", "page", "cut", "zeros"])
def test_a_damaged_ledger_is_set_aside_whole(tmp_path: Path, damage: str) -> None:
    """Counting begins anew in a new file; the damaged one keeps every byte under a name that says what it is."""
    fill(tmp_path)
    path = tmp_path / "ledger.sqlite"
    content = bytearray(path.read_bytes())
    if damage == "text":
        content[:] = b"this is no database, and nobody knows who wrote it here\n" * 100
    elif damage == "page":
        for page in range(2, len(content) // 4096):
            content[page * 4096 : page * 4096 + 64] = os.urandom(64)
    elif damage == "cut":
        del content[len(content) // 2 :]
    else:
        content[: 4096 * 3] = bytes(4096 * 3)
    path.write_bytes(content)
    opened = Ledger.open(str(tmp_path))
    [aside] = [found for found in tmp_path.iterdir() if ".damaged-" in found.name and found.suffix not in ("-wal",)]
    assert opened.set_aside == str(aside)
    assert aside.read_bytes() == bytes(content)
    assert opened.tallies() == {}
    opened.put_row(row())
    opened.flush()
    opened.close()
    sound = Ledger.open(str(tmp_path))
    assert sound.set_aside is None
    assert sound.row("a-1") is not None
    sound.close()


def test_a_newer_ledger_is_refused_and_not_touched(tmp_path: Path) -> None:
    """An older exporter on a newer ledger would lose what it does not know: one line that says what to do."""
    fill(tmp_path, rows=1)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = (tmp_path / "ledger.sqlite").read_bytes()
    with pytest.raises(LedgerError, match=r"newer version \(schema 99, this one knows 1\).*--state.dir") as caught:
        Ledger.open(str(tmp_path))
    assert "\n" not in str(caught.value)
    assert (tmp_path / "ledger.sqlite").read_bytes() == before
    assert not list(tmp_path.glob("*damaged*"))


def test_a_state_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """What, where, what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match=r"cannot make the state folder .*/file/state: .*--state\.dir") as caught:
        Ledger.open(str(tmp_path / "file" / "state"))
    assert "\n" not in str(caught.value)


@pytest.mark.root
@pytest.mark.parametrize("there", [False, True])
def test_a_state_folder_that_cannot_be_written_is_one_line(there: bool) -> None:
    """As another user, without a ledger and with one of root's: refused, and nothing is set aside."""
    # Not below pytest's own folder, which no other user may enter.
    with tempfile.TemporaryDirectory() as name:
        _refuse(Path(name), there=there)


def _refuse(folder: Path, *, there: bool) -> None:
    if there:
        fill(folder, rows=1)
    folder.chmod(0o755)
    code = (
        "import os, sys\n"
        "from model_load_exporter.ledger import Ledger, LedgerError\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try:\n    Ledger.open(sys.argv[1])\n"
        "except LedgerError as error:\n    print(error); sys.exit(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith(f"cannot write {folder}/ledger.sqlite: ")
    assert done.stdout.rstrip().endswith("--state.dir")
    assert done.stdout.count("\n") == 1
    assert not list(folder.glob("*damaged*"))


def test_a_ledger_is_read_beside_its_daemon(ledger: Ledger, tmp_path: Path) -> None:
    """`history` sees what was written, and changes nothing; without a ledger it says so."""
    ledger.put_row(row())
    ledger.flush()
    beside = read_only(str(tmp_path))
    assert beside.row("a-1") is not None
    beside.put_row(row("a-2"))
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        beside.flush()
    beside.close()
    with pytest.raises(LedgerError, match=r"no ledger in .*--state\.dir"):
        read_only(str(tmp_path / "nowhere"))
