"""Spool, witness, ledger and recorder put together as the daemon does, inside the test's own process."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from model_load_exporter.attempt import LoadAttempt
from model_load_exporter.config import Config
from model_load_exporter.holding import Holding
from model_load_exporter.journal.line import READER_LOCK
from model_load_exporter.journal.process import boot_id, pid_namespace
from model_load_exporter.journal.reader import lock_spool
from model_load_exporter.journal.tail import Tail
from model_load_exporter.ledger import Ledger, Row, read_only
from model_load_exporter.loads import Key, Loads
from model_load_exporter.oom_count import OomCount
from model_load_exporter.recorder import Recorder
from model_load_exporter.tally import Tally
from model_load_exporter.witness.witness import Witness
from support.wait import until


class Recording:
    """A recorder at work. `start` and `stop` may follow each other, as restarts of a daemon do."""

    loads: Loads
    ledger: Ledger
    recorder: Recorder

    def __init__(self, spool: Path, state: Path, config: Config | None = None) -> None:
        self.spool = spool
        self.state = state
        self.config = config or Config()
        self._lock = -1

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when all that lay in the spool is on record."""
        beat = self.spool / READER_LOCK
        last_alive = beat.stat().st_mtime if beat.exists() else 0.0
        self._lock = lock_spool(str(self.spool))
        self.ledger = Ledger.open(str(self.state))
        self.loads = Loads(self.config, self.ledger)
        witness = Witness("/proc", "/sys", (), OomCount(self.ledger).cursor)
        self.recorder = Recorder(str(self.spool), self.loads, self.ledger, witness, "/proc", last_alive)
        self.recorder.beat_on(self._lock)
        self.recorder.start()
        until(self.recorder.caught_up.is_set, 10, "the recorder has read the spool")

    def stop(self) -> None:
        """Ends the recorder in good order; may be called again."""
        if self._lock >= 0:
            self.recorder.stop()
            os.close(self._lock)
            self._lock = -1

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
        """Waits until the recorder has come so far."""

        def holds() -> bool:
            with self.loads.lock:
                return condition()

        def told() -> str:
            tallies = {key: tally.to_json() for key, tally in self.loads.tallies.items()}
            return f"{what}; {tallies}, problems {dict(self.recorder.problems)}"

        until(holds, seconds, told)

    def until_recorded(self, seconds: float = 10) -> None:
        """Waits until no journal file is left: each is on record and deleted."""
        until(lambda: not self.files(), seconds, lambda: f"the spool is empty; it has {self.files()}")

    def until_recorded_but_holders(self, seconds: float = 10) -> None:
        """The same, where a living process still has its holder file (`h-...`) in the spool."""

        def attempts() -> list[str]:
            return [name for name in self.files() if not name.startswith("h-")]

        until(lambda: not attempts(), seconds, lambda: f"no attempt is left in the spool; it has {attempts()}")

    def files(self) -> list[str]:
        """Names of the journal files in the spool, sorted."""
        return sorted(path.name for path in self.spool.glob("*.jsonl"))

    def problems(self) -> dict[str, int]:
        """Lines and files that were not taken, by cause."""
        return dict(self.recorder.problems)

    def tally(self, model: str, target: str = "") -> Tally:
        """What is counted of one {target, model}; an empty one where nothing is."""
        return self.loads.tallies.get((target, model), Tally())

    def holders(self, model: str, target: str = "") -> int:
        """Processes that hold the model now."""
        key: Key = (target, model)
        return sum(held.key == key for rows in self.loads.held.values() for held in rows)

    def rows(self, model: str | None = None) -> list[Row]:
        """The attempts on disk, newest first."""
        ledger = read_only(str(self.state))
        try:
            return ledger.history(model, limit=10_000)
        finally:
            ledger.close()


def tails(spool: Path) -> list[Tail]:
    """Every journal file of a spool, read to its end and closed, by the time of its first line."""
    found = []
    for path in spool.glob("*.jsonl"):
        tail = Tail(str(spool), path.name)
        _, problems = tail.read()
        assert problems == []
        tail.close()
        found.append(tail)
    return sorted(found, key=_first_time)


def _first_time(tail: Tail) -> float:
    first = tail.attempt.begin if tail.attempt is not None else tail.holding.first if tail.holding is not None else None
    return first.time if first is not None else 0.0


def attempts(spool: Path) -> list[LoadAttempt]:
    """The attempts that stand in a spool, by their begin."""
    return [tail.attempt for tail in tails(spool) if tail.attempt is not None]


def holdings(spool: Path) -> list[Holding]:
    """What the holder files of a spool tell, by their first line."""
    return [tail.holding for tail in tails(spool) if tail.holding is not None]


def begin(file_id: str, **keys: Any) -> dict[str, Any]:
    """A `begin` as a process of this host and boot writes it, with other or more keys where they are given."""
    event = {
        "event": "begin", "v": 1, "id": file_id, "time": time.time(), "model": "nllb", "kind": "service",
        "pid": os.getpid(), "boot_id": boot_id(), "pid_namespace": pid_namespace(),
    }  # fmt: skip
    return event | keys


def hold(file_id: str, **keys: Any) -> dict[str, Any]:
    """A `hold`, likewise."""
    return begin(file_id) | {"event": "hold"} | keys


def event(kind: str, **keys: Any) -> dict[str, Any]:
    """Another event of now."""
    return {"event": kind, "time": time.time(), **keys}


def lines(*events: dict[str, Any]) -> bytes:
    """The bytes of these events."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in events)


def drop(spool: Path, file_id: str, content: bytes) -> Path:
    """Puts a whole journal file into the spool at once; nobody has it locked."""
    hidden = spool / f".{file_id}.tmp"
    with hidden.open("wb", buffering=0) as file:
        file.write(content)
        # Closed after the rename, as a writer's is: inotify then tells of it by its name.
        return hidden.rename(spool / f"{file_id}.jsonl")
