"""Many loads while daemon and services are killed at random: none that finished is lost, none counts twice.

Each service keeps its own account in a side file, a line as each load begins and one when it is over. The daemon's
ledger and counters are held against these at the end.
"""

import contextlib
import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from model_load_exporter.ledger import Row, read_only
from support.daemon import Daemon, dispose
from support.service import Service
from support.wait import until

MODELS = ("aya", "minilm", "nllb")
SERVICES = 3
ERRORS = {"FileNotFoundError": "file_missing", "MemoryError": "host_memory_error"}

LOADING = """
import os, random, select, sys, time
from model_load_exporter import track_load

seed, side, *models = sys.argv[1:]
chance = random.Random(int(seed))
account = os.open(side, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

def note(what):
    os.write(account, f"{what} {load.id} {model} {error.__name__ if error else '-'}\\n".encode())

while not select.select([0], [], [], 0)[0]:
    model = chance.choice(models)
    error = chance.choices([None, FileNotFoundError, MemoryError, KeyboardInterrupt], [16, 2, 1, 1])[0]
    try:
        with track_load(model, target="app") as load:
            assert load.witnessed
            note("begun")
            with load.stage("tokenizer"):
                time.sleep(chance.uniform(0, 0.002))
            with load.stage("weights"):
                time.sleep(chance.uniform(0, 0.04))
                if error:
                    raise error("on purpose")
        outcome = "loaded"
    except Exception:
        outcome = "failed"
    except KeyboardInterrupt:
        outcome = "cancelled"
    note(outcome)
"""


@dataclass
class Account:
    """What one service process says of its loads. killed: it did not end by itself."""

    path: Path
    killed: bool = False
    begun: dict[str, str] = field(default_factory=dict)
    over: dict[str, tuple[str, str]] = field(default_factory=dict)
    loaded: set[str] = field(default_factory=set)

    def read(self) -> None:
        """begun: id -> model. over: id -> (outcome, error). loaded: models. A last line cut short is not there."""
        for line in self.path.read_bytes().split(b"\n")[:-1] if self.path.exists() else ():
            what, attempt, model, error = line.decode().split(" ")
            if what == "begun":
                self.begun[attempt] = model
            else:
                assert attempt not in self.over
                self.over[attempt] = what, error
            if what == "loaded":
                self.loaded.add(model)


class Chaos:
    """A daemon and some services, ended and begun again by a seeded plan whose clock is the number of loads begun."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.daemon = Daemon(folder)
        self.chance = random.Random(seed)
        self.accounts: list[Account] = []
        self.kills: Counter[str] = Counter()
        self._services: list[tuple[Service, Account]] = []

    def run(self, loads: int) -> None:
        """Goes on until so many loads have begun; then all is over and on record."""
        self.daemon.start()
        for _ in range(SERVICES):
            self._begin_service()
        up, next_daemon, next_service = True, 0, 0
        while (begun := self._begun()) < loads:
            if begun >= next_service:
                next_service = begun + self.chance.randint(1, 40)
                self._end_service(self.chance.randrange(SERVICES), signal.SIGKILL)
                self._begin_service()
            if begun >= next_daemon:
                next_daemon = begun + self.chance.randint(1, 60)
                if up:
                    self._end_daemon()
                else:
                    self.daemon.launch()
                    if self.chance.random() < 0.7:
                        self.daemon.wait_ready()
                        next_daemon = self._begun() + self.chance.randint(1, 60)
                    # Else the next signal may meet it while it starts.
                up = not up
            # Every begin is a step of the plan: so is a stand-still of all services a failure, not a hang.
            until(lambda last=begun: self._begun() > last, 30, "a load begins")  # type: ignore[misc]  # bound at once
        while self._services:
            self._end_service(0, self.chance.choice([None, signal.SIGKILL]))
        if up:
            self._end_daemon()
        self.daemon.start()
        until(lambda: self.left() == [], 30, lambda: f"the spool is empty; there are {self.left()}")
        for account in self.accounts:
            account.read()

    def left(self) -> list[str]:
        """Journal files in the spool. One that was killed before it got its name is no journal; it goes later."""
        return sorted(path.name for path in self.daemon.spool.glob("*.jsonl"))

    def dispose(self) -> None:
        """Ends what a failed test left."""
        for service, _ in self._services:
            dispose(service.process)
        dispose(self.daemon.process)

    def _begun(self) -> int:
        return sum(a.path.read_bytes().count(b"begun") for a in self.accounts if a.path.exists())

    def _begin_service(self) -> None:
        account = Account(self.daemon.folder / f"service-{len(self.accounts)}")
        arguments = [str(self.chance.getrandbits(32)), str(account.path), *MODELS]
        service = Service(LOADING, self.daemon.spool, arguments=arguments, log=self.daemon.folder / "services.log")
        self.accounts.append(account)
        self._services.append((service, account))

    def _end_service(self, index: int, number: signal.Signals | None) -> None:
        service, account = self._services.pop(index)
        if number is None:
            service.tell("")
            assert service.reap() == 0, (self.daemon.folder / "services.log").read_text()
        else:
            service.kill(number)
            assert service.reap() == -number, (self.daemon.folder / "services.log").read_text()
            account.killed = True
            self.kills["service"] += 1
        dispose(service.process)

    def _end_daemon(self) -> None:
        number = self.chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
        self.daemon.end(number)
        self.kills[f"daemon by {number.name}"] += 1


@contextlib.contextmanager
def chaos(folder: Path, seed: int) -> Iterator[Chaos]:
    plan = Chaos(folder, seed)
    try:
        yield plan
    finally:
        plan.dispose()


def ledger_rows(daemon: Daemon) -> dict[str, Row]:
    ledger = read_only(str(daemon.state))
    try:
        return {row.id: row for row in ledger.history(limit=1_000_000)}
    finally:
        ledger.close()


@pytest.mark.parametrize(
    "loads", [600, pytest.param(10_000, marks=[pytest.mark.full, pytest.mark.timeout(1200)])]
)  # fmt: skip
def test_every_load_counts_once(tmp_path: Path, loads: int) -> None:
    """Each load that finished is in the ledger as it finished; counters, ledger and the services' accounts agree."""
    with chaos(tmp_path, seed=loads) as plan:
        plan.run(loads)
        rows = ledger_rows(plan.daemon)
        series = plan.daemon.series()

    over = {attempt: told for account in plan.accounts for attempt, told in account.over.items()}
    begun = {attempt: model for account in plan.accounts for attempt, model in account.begun.items()}
    assert len(begun) >= loads
    assert plan.kills["service"] >= loads / 60, plan.kills

    # Every load that its service saw through is in the ledger, as the service saw it.
    assert {a: (rows[a].outcome, rows[a].reason) if a in rows else None for a in over} == {
        a: (outcome, ERRORS.get(error)) for a, (outcome, error) in over.items()
    }
    # Every other one that began was ended by a kill: as a death, or after its end was written and before it was noted.
    cut_short = begun.keys() - over.keys()
    assert cut_short
    deaths = {a for a in cut_short if rows[a].outcome == "failed" and rows[a].reason in ("killed", "process_died")}
    told = {a for a in cut_short - deaths if rows[a].detail["confidence"] == "told"}
    assert cut_short == deaths | told
    assert any(rows[a].reason == "killed" for a in deaths)
    # What no service noted began in the moment before a kill; one at most for each.
    assert len(rows.keys() - begun.keys()) <= plan.kills["service"]
    assert all(row.outcome in ("loaded", "failed", "cancelled") for row in rows.values())

    # The counters are the ledger's rows, counted.
    for model in MODELS:
        labels = {"target": "app", "model": model}
        own = [row for row in rows.values() if row.model == model]
        assert series.value("model_load_attempts_total", **labels) == len(own)
        outcomes = Counter(row.outcome for row in own)
        assert series.value("model_load_success_duration_seconds_count", **labels) == outcomes["loaded"]
        assert series.value("model_load_cancelled_total", **labels) == outcomes["cancelled"]
        reasons = Counter(row.reason for row in own if row.outcome == "failed")
        counted = series.all("model_load_failures_total", **labels)
        assert {dict(key)["reason"]: value for key, value in counted.items() if value} == dict(reasons)
        assert series.value("model_load_in_progress", **labels) == 0
        assert series.value("model_loaded", **labels) == 0

        # A process that was killed while it held the model is one death; at its last load the two may differ by one.
        certain = sum(account.killed and model in account.loaded for account in plan.accounts)
        unsure = sum(rows[a].outcome == "loaded" for a in rows.keys() - over.keys() if rows[a].model == model)
        assert certain <= series.sum("model_process_deaths_total", **labels) <= certain + unsure
