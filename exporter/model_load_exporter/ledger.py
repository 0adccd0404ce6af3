"""The ledger: attempts and counters that survive restarts of the service and of the daemon. SQLite, one file.

An attempt's row and the tally that counts it are written in one transaction, and the journal file goes only after it:
whatever is killed when, each load is counted once. A disk that refuses keeps the changes in memory and the journals
on disk until it takes them.
"""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model_load_exporter.tally import Tally

SCHEMA_VERSION = 1
KEEP_SECONDS = 30 * 86400.0
KEEP_ATTEMPTS = 50_000

_SCHEMA = """
CREATE TABLE attempts (
    id TEXT PRIMARY KEY, load_id TEXT NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL, model TEXT NOT NULL,
    began REAL NOT NULL, ended REAL, outcome TEXT, reason TEXT, stage TEXT, seconds REAL, message TEXT,
    peak_rss INTEGER, peak_anonymous INTEGER, detail TEXT NOT NULL
);
CREATE INDEX attempts_by_model ON attempts (model, began);
CREATE INDEX attempts_by_time ON attempts (began);
CREATE INDEX attempts_by_load ON attempts (load_id);
CREATE TABLE tallies (target TEXT, model TEXT, data TEXT NOT NULL, PRIMARY KEY (target, model));
CREATE TABLE facts (name TEXT PRIMARY KEY, data TEXT NOT NULL);
CREATE TABLE deaths (id TEXT PRIMARY KEY, time REAL NOT NULL);
"""

_COLUMNS = (
    "id", "load_id", "kind", "target", "model", "began", "ended", "outcome", "reason", "stage", "seconds", "message",
    "peak_rss", "peak_anonymous", "detail",
)  # fmt: skip


class LedgerError(Exception):
    """The ledger cannot be opened; the message says what to do."""


@dataclass(slots=True)
class Row:
    """One attempt as the ledger keeps it. Times in unix seconds, memory in bytes; `outcome` None while it is open.

    load_id: the id of the load that it counts in. detail: stages, evidence, path and what else the history shows.
    """

    id: str
    load_id: str
    kind: str
    target: str
    model: str
    began: float
    ended: float | None = None
    outcome: str | None = None
    reason: str | None = None
    stage: str | None = None
    seconds: float | None = None
    message: str = ""
    peak_rss: int | None = None
    peak_anonymous: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)


class Ledger:
    """The open ledger. Changes are collected by `put_*` and written together by `flush`. One thread writes."""

    def __init__(self, connection: sqlite3.Connection, path: str, set_aside: str | None = None) -> None:
        self._db = connection
        self.path = path
        self.set_aside = set_aside
        self._rows: dict[str, Row] = {}
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._facts: dict[str, Any] = {}
        self._deaths: dict[str, float] = {}

    @classmethod
    def open(cls, folder: str) -> "Ledger":
        """Opens or makes ledger.sqlite in the state folder. A damaged one is set aside under another name, whole.

        Raises LedgerError: no rights, no space, a ledger of a newer version.
        """
        path = Path(folder) / "ledger.sqlite"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(
                f"cannot make the state folder {folder}: {error.strerror}; "
                "name one that this user may write: --state.dir"
            ) from None
        try:
            return cls(_connect(path), str(path))
        except sqlite3.DatabaseError as error:
            if not _damaged(error):
                raise LedgerError(
                    f"cannot write {path}: {error}; give this user the right, or name another folder: --state.dir"
                ) from None
        aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
        return cls(_connect(path), str(path), set_aside=str(aside))

    @classmethod
    def in_memory(cls) -> "Ledger":
        """One that is gone with its process: for who reads and counts nothing for good."""
        return cls(_connect(Path(":memory:")), ":memory:")

    def row(self, attempt_id: str) -> Row | None:
        """One attempt, or None."""
        if attempt_id in self._rows:
            return self._rows[attempt_id]
        return next(self._select("WHERE id = ?", (attempt_id,)), None)

    def unfinished(self) -> list[Row]:
        """Every attempt of a load that was open when the daemon stopped, and of loads young enough to be joined."""
        since = time.time() - 3600
        where = "WHERE load_id IN (SELECT load_id FROM attempts WHERE outcome IS NULL OR began > ?) ORDER BY began"
        # What waits for the next flush is newer than what is on disk.
        return [self._rows.get(row.id, row) for row in self._select(where, (since,))]

    def history(self, model: str | None = None, kind: str | None = None, limit: int = 100) -> list[Row]:
        """The latest attempts, newest first."""
        where, values = [], []
        for column, value in (("model", model), ("kind", kind)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        clause = f"WHERE {' AND '.join(where)} " if where else ""
        return list(self._select(f"{clause}ORDER BY began DESC LIMIT ?", (*values, limit)))

    def tallies(self) -> dict[tuple[str, str], Tally]:
        """Every tally, by (target, model)."""
        rows = self._db.execute("SELECT target, model, data FROM tallies")
        return {(target, model): Tally.from_json(json.loads(data)) for target, model, data in rows}

    def fact(self, name: str) -> Any:
        """A small thing kept over restarts (a cursor, the canary's last results); None if unknown."""
        if name in self._facts:
            return self._facts[name]
        row = self._db.execute("SELECT data FROM facts WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def death_known(self, holder_id: str) -> bool:
        """True when the death of that holder is counted already."""
        return (
            holder_id in self._deaths
            or self._db.execute("SELECT 1 FROM deaths WHERE id = ?", (holder_id,)).fetchone() is not None
        )

    def put_row(self, row: Row) -> None:
        """Writes an attempt with the next flush."""
        self._rows[row.id] = row

    def put_tally(self, key: tuple[str, str], tally: Tally) -> None:
        """Writes a tally, as it will be then, with the next flush."""
        self._tallies[key] = tally

    def put_fact(self, name: str, data: Any) -> None:
        """Writes a fact with the next flush."""
        self._facts[name] = data

    def put_death(self, holder_id: str, when: float) -> None:
        """Remembers with the next flush that a holder's death is counted."""
        self._deaths[holder_id] = when

    @property
    def dirty(self) -> bool:
        """True while something is not on disk."""
        return bool(self._rows or self._tallies or self._facts or self._deaths)

    def flush(self) -> None:
        """Writes all that was put, in one transaction. Raises sqlite3.Error and keeps it for the next try."""
        if not self.dirty:
            return
        with self._db:
            marks = ",".join("?" * len(_COLUMNS))
            self._db.executemany(
                f"INSERT OR REPLACE INTO attempts ({','.join(_COLUMNS)}) VALUES ({marks})",  # noqa: S608 - our own names
                [_values(row) for row in self._rows.values()],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO tallies VALUES (?, ?, ?)",
                [(*key, json.dumps(tally.to_json())) for key, tally in self._tallies.items()],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)",
                [(name, json.dumps(data)) for name, data in self._facts.items()],
            )
            self._db.executemany("INSERT OR REPLACE INTO deaths VALUES (?, ?)", list(self._deaths.items()))
        for collected in (self._rows, self._tallies, self._facts, self._deaths):
            collected.clear()

    def prune(self) -> None:
        """Forgets ended attempts older than 30 days, and the oldest beyond 50,000. Raises sqlite3.Error."""
        oldest = time.time() - KEEP_SECONDS
        with self._db:
            self._db.execute("DELETE FROM attempts WHERE outcome IS NOT NULL AND began < ?", (oldest,))
            self._db.execute(
                "DELETE FROM attempts WHERE outcome IS NOT NULL AND id NOT IN "
                "(SELECT id FROM attempts ORDER BY began DESC LIMIT ?)",
                (KEEP_ATTEMPTS,),
            )
            self._db.execute("DELETE FROM deaths WHERE time < ?", (oldest,))

    def close(self) -> None:
        """Writes what is left, if the disk takes it, and closes."""
        with contextlib.suppress(sqlite3.Error):
            self.flush()
        self._db.close()

    def _select(self, clause: str, values: tuple[Any, ...]) -> Iterator[Row]:
        query = f"SELECT {','.join(_COLUMNS)} FROM attempts {clause}"  # noqa: S608 - our own names and clauses
        for found in self._db.execute(query, values):
            row = Row(*found)
            row.detail = json.loads(found[-1])
            yield row


def read_only(folder: str) -> Ledger:
    """The ledger for reading beside a running daemon. Raises LedgerError when there is none."""
    path = Path(folder) / "ledger.sqlite"
    if not path.exists():
        raise LedgerError(f"no ledger in {folder}: name the daemon's state folder: --state.dir")
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
        db.execute("SELECT 1 FROM attempts LIMIT 1")
    except sqlite3.DatabaseError as error:
        raise LedgerError(f"cannot read {path}: {error}") from None
    return Ledger(db, str(path))


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=5, check_same_thread=False)
    try:
        # WAL and NORMAL: a commit that returned survives the death of the daemon; a host crash may cost the last ones,
        # whose journals then tell of them again only if they were not deleted: docs/ARCHITECTURE.md weighs it.
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("BEGIN IMMEDIATE")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise LedgerError(
                f"{path} was written by a newer version (schema {version}, this one knows {SCHEMA_VERSION}): "
                "run that version, or name another folder: --state.dir"
            )
        if version == 0:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.commit()
        if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("database disk image is malformed")
    except BaseException:
        db.close()
        raise
    return db


def _damaged(error: sqlite3.DatabaseError) -> bool:
    """True where the file itself is bad; False where the disk, the rights or a lock are."""
    return any(text in str(error) for text in ("malformed", "not a database", "file is encrypted", "no such table"))


def _values(row: Row) -> tuple[Any, ...]:
    return tuple(json.dumps(row.detail) if name == "detail" else getattr(row, name) for name in _COLUMNS)
