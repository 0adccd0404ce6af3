"""Loads: every load that is open, every model that is held, and the tallies of all that were; what /metrics tells.

The recorder's thread tells it what happened, collectors read it from another: each holds `lock` meanwhile. Changes go
to the ledger as they are made; `Ledger.flush` makes them last.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from model_load_exporter.attempt import Begin, Death, LoadAttempt, Wait, stage_label
from model_load_exporter.config import Config, Model, Thresholds
from model_load_exporter.grouping import Groups
from model_load_exporter.holding import Hold, Holding
from model_load_exporter.identity import ModelIndex
from model_load_exporter.ledger import KEEP_SECONDS, Ledger, Row
from model_load_exporter.tally import Tally

OTHER = "other"
"""The label of every model, and of every target, beyond the limit."""

_SHOWN_STAGES = 32
"""Stages kept of the last attempt of each {target, model}; the history has all."""

_PAIRS = 5
"""{target, model} pairs shown at most, as a multiple of `limits.models`."""

Key = tuple[str, str]
"""{target, model}: what every series of model_load_* stands for."""


@dataclass(slots=True)
class OpenLoad:
    """An attempt that is open, and what is seen of it from outside. Monotonic times are this process's own."""

    attempt: LoadAttempt
    key: Key
    load_id: str
    seen_monotonic: float
    age_when_seen: float
    progress_time: float

    def elapsed(self, monotonic: float) -> float:
        """Seconds since its begin; a jump of the wall clock after it was first seen does not show."""
        return self.age_when_seen + monotonic - self.seen_monotonic


@dataclass(frozen=True, slots=True)
class Held:
    """One process that holds one model."""

    key: Key
    hold: Hold


class Loads:
    """The state behind the model_load_* and holder metrics."""

    def __init__(
        self, config: Config, ledger: Ledger, clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic, *, joinable: bool = True, index: ModelIndex | None = None,
    ) -> None:  # fmt: skip
        """joinable: False where nothing will begin, so that the loads that it could join are not read. index: made of
        the config already; without it this looks where the paths' links lead.
        """
        self.lock = threading.Lock()
        self.tallies: dict[Key, Tally] = {}
        self.open: dict[str, OpenLoad] = {}
        self.held: dict[str, list[Held]] = {}
        self._replaced: set[str] = set()
        self.version = 0
        self.config_version = 0
        self._ledger = ledger
        self._clock, self._monotonic = clock, monotonic
        self._groups = Groups()
        self._configured: set[Key] = set()
        self._inferred: set[Key] = set()
        self._restore(joinable=joinable)
        self.apply_config(config, index or ModelIndex(config))

    # -- what is known ------------------------------------------------------------------------------------------

    def apply_config(self, config: Config, index: ModelIndex) -> None:
        """Takes a configuration, the first or a new one. A model that it dropped leaves when nothing holds it.

        index: made of it by the caller: it looks where the paths' links lead, and a dead mount must not hold the lock.
        """
        before = self._configured
        self.config = config
        self._index = index
        self._models: dict[str, Model] = {model.name: model for model in config.models}
        self._configured = set()
        served = {(service.target, model) for service in config.services for model in service.models}
        for model in config.models:
            keys = {key for key in served if key[1] == model.name} or {("", model.name)}
            self._configured |= keys
        self.required = {
            (service.target, model): count for service in config.services for model, count in service.models.items()
        }
        for key in before - self._configured:
            if key in self.tallies:
                self._put(key, retired=True)
        for key in self._configured:
            tally = self.tallies.setdefault(key, Tally())
            if tally.retired:
                self._put(key, retired=False)
        self.config_version += 1
        self.version += 1

    def known(self) -> list[Key]:
        """Every {target, model} that has series now: configured, in use, or seen within 30 days and not dropped."""
        oldest = self._clock() - KEEP_SECONDS
        busy = {load.key for load in self.open.values()} | {held.key for rows in self.held.values() for held in rows}
        return sorted(
            key
            for key, tally in self.tallies.items()
            if key in self._configured or key in busy or (not tally.retired and tally.seen > oldest)
        )

    def thresholds(self, key: Key) -> Thresholds:
        """The limits in force for a model: its own, or the defaults."""
        model = self._models.get(key[1])
        return model.thresholds if model is not None else Thresholds()

    def resolve(self, target: str, model: str, path: str | None, repo: str | None) -> Key:
        """The {target, model} under which something counts; beyond the limit of models it is `other`."""
        name = self._index.resolve(model, path, repo) or model
        known = set(self.known())
        if (target, name) in known:
            return target, name
        limit = self.config.limits.models
        names = {key[1] for key in known} | set(self._models)
        if name not in names and len(names) >= limit:
            name = OTHER
        # Targets come from the services' environment: they are held to the same number, and pairs to a multiple of it.
        if target and len({key[0] for key in known} - {target}) > limit:
            target = OTHER
        if len(known) >= _PAIRS * limit:
            return OTHER, OTHER
        return target, name

    # -- loads --------------------------------------------------------------------------------------------------

    def begin(self, attempt: LoadAttempt, row: Row | None) -> OpenLoad | None:
        """An attempt was seen for the first time. None when the ledger has its end already: a replay.

        row: what the ledger has of it; asked for by the caller, so that no disk is waited for under the lock.
        """
        begin = attempt.begin
        if row is not None and row.outcome is not None:
            return None
        if row is not None:
            key, load_id = (row.target, row.model), row.load_id
            self._groups.place(begin, key)
        else:
            key = self.resolve(begin.target, begin.model, begin.path, begin.repo)
            group, new = self._groups.place(begin, key)
            key, load_id = group.key, group.root
            if new:
                self._tally(key).count_begin(min(begin.time, self._clock()))
                self._changed(key)
            self._ledger.put_row(_row(attempt, key, load_id))
        now, monotonic = self._clock(), self._monotonic()
        load = OpenLoad(attempt, key, load_id, monotonic, max(0.0, now - begin.time), now)
        self.open[begin.id] = load
        self._tally(key).version += 1
        self.version += 1
        return load

    def progress(self, attempt: LoadAttempt) -> None:
        """A stage began or ended."""
        load = self.open.get(attempt.id)
        if load is not None:
            load.progress_time = self._clock()
            self._tally(load.key).version += 1
            self.version += 1

    def waits(self, attempt: LoadAttempt, wait: Wait) -> None:
        """A load that does not move was seen to wait for something: the history has it while it is open, too."""
        load = self.open.get(attempt.id)
        if load is not None and attempt.wait(wait):
            self._ledger.put_row(_row(attempt, load.key, load.load_id))

    def end(self, attempt: LoadAttempt) -> None:
        """An attempt told its end, or the verdict on its death was applied to it."""
        load = self.open.pop(attempt.id, None)
        if load is None or attempt.outcome is None:
            return
        # A writer's clock may be ahead, or lie: an event of the future would outlive every success that follows it.
        ended, seconds = min(attempt.ended or self._clock(), self._clock()), attempt.seconds or 0.0
        tally = self._tally(load.key)
        group, _ = self._groups.place(attempt.begin, load.key)
        counted = group.end(attempt.id, attempt.outcome)
        if counted == "loaded":
            tally.count_success(max(seconds, ended - group.began if len(group.members) > 1 else 0.0), ended)
        elif counted == "failed":
            tally.count_failure(attempt.reason or "unknown", stage_label(attempt.stage), ended)
        elif counted == "cancelled":
            tally.count_cancelled(ended)
        elif counted == "recovered":
            tally.mark_success(ended)
        for stage in attempt.stages:
            if stage.seconds is not None and not stage.failed:
                tally.count_stage(stage_label(stage.name), stage.seconds)
        tally.last_stages = [(s.name, s.seconds, s.rss) for s in attempt.stages[:_SHOWN_STAGES]]
        tally.note_ended(seconds, ended, attempt.peak_rss, attempt.peak_anonymous)
        self._ledger.put_row(_row(attempt, load.key, load.load_id))
        self._changed(load.key)

    def die(self, attempt: LoadAttempt, death: Death) -> None:
        """The process of an attempt ended without telling; the witness says why."""
        attempt.die(death)
        self.end(attempt)

    def lose(self, attempt: LoadAttempt) -> None:
        """The journal of a living process was lost: the load is not known to have ended in any way."""
        load = self.open.pop(attempt.id, None)
        if load is not None:
            # It is over for its group too, or the success of the other ranks would never count.
            self._groups.place(attempt.begin, load.key)[0].members[attempt.id] = "lost"
            self._ledger.put_row(_row(attempt, load.key, load.load_id, outcome="lost"))
            self._tally(load.key).version += 1
            self.version += 1

    # -- what is held -------------------------------------------------------------------------------------------

    def hold(self, holding: Holding) -> None:
        """What a process holds, as it is now; takes the place of what it held before."""
        if holding.first.id in self._replaced:
            # Read after the file that takes its place: its process died before it could say so here.
            return
        if holding.first.replaces is not None:
            self._replaced.add(holding.first.replaces)
        now = self.held.get(holding.first.id)
        if now is not None and [held.hold for held in now] == list(holding.held.values()):
            return
        before = self.held.pop(holding.first.replaces or "", []) + (now or [])
        rows = []
        for hold in holding.held.values():
            key = self.resolve(hold.target, hold.model, hold.path, hold.repo)
            tally = self._tally(key)
            tally.seen = max(tally.seen, min(hold.time, self._clock()))
            rows.append(Held(key, hold))
        self.held[holding.first.id] = rows
        self._holders_changed(before + rows)

    def infer(self, holding: Holding) -> None:
        """What a process counted of its inferences. The ledger has it with the next `keep_inferences`."""
        if not holding.inferences:
            return
        keys = {held.hold.model: held.key for held in self.held.get(holding.first.id, ())}
        for name, told in holding.inferences.items():
            key = keys.get(name) or self.resolve(holding.first.target, name, None, None)
            time = min(told.time, self._clock())
            file = f"{holding.first.id}/{name}"
            if self._tally(key).count_inferences(file, time, told.count, told.failures, told.seconds, told.buckets):
                self._inferred.add(key)
                self.version += 1

    def keep_inferences(self) -> None:
        """Hands what was counted of inferences to the ledger: now and then, as they come by the second."""
        for key in self._inferred:
            self._ledger.put_tally(key, self.tallies[key])
        self._inferred.clear()

    def release(self, holding: Holding) -> None:
        """A process ended in good order, or goes on in another file."""
        self._replaced.discard(holding.first.id)
        self.keep_inferences()
        self._holders_changed(self.held.pop(holding.first.id, []))

    def holder_died(self, holding: Holding, death: Death, *, known: bool) -> None:
        """A process ended while it held models and did not say so: counted once for each of them.

        known: the ledger has this death already.
        """
        rows = self.held.pop(holding.first.id, [])
        self._replaced.discard(holding.first.id)
        self.keep_inferences()
        if not known:
            for key in {held.key for held in rows}:
                self._tally(key).count_death(death.reason, death.time)
                self._changed(key)
            self._ledger.put_death(holding.first.id, death.time)
        self._holders_changed(rows)

    # -- below --------------------------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Forgets what nobody can ask for any more, and hands the counts of inferences to the ledger."""
        self._groups.forget(self._clock())
        self.keep_inferences()

    def _restore(self, *, joinable: bool) -> None:
        self.tallies = self._ledger.tallies()
        for row in self._ledger.unfinished() if joinable else ():
            if row.kind != "service":
                continue
            begin = Begin(
                row.id, row.began, row.model, row.kind, int(row.detail.get("pid", 0)), "",
                group=row.detail.get("group"), rank=row.detail.get("rank"), parent=row.detail.get("parent"),
            )  # fmt: skip
            self._groups.restore(begin, (row.target, row.model), row.load_id, row.outcome)

    def _tally(self, key: Key) -> Tally:
        return self.tallies.setdefault(key, Tally())

    def _put(self, key: Key, *, retired: bool) -> None:
        self.tallies[key].retired = retired
        self._changed(key)

    def _changed(self, key: Key) -> None:
        self._ledger.put_tally(key, self.tallies[key])
        self.tallies[key].version += 1
        self.version += 1

    def _holders_changed(self, rows: list[Held]) -> None:
        for key in {held.key for held in rows}:
            self._tally(key).version += 1
        self.version += 1


def _row(attempt: LoadAttempt, key: Key, load_id: str, outcome: str | None = None) -> Row:
    begin = attempt.begin
    stages = [
        {
            "name": s.name,
            "began": s.began,
            "seconds": s.seconds,
            "rss": s.rss,
            "anonymous": s.anonymous,
            "failed": s.failed,
        }
        for s in attempt.stages
    ]
    detail = {
        "name": begin.model, "path": begin.path, "repo": begin.repo, "pid": begin.pid, "group": begin.group,
        "rank": begin.rank, "parent": begin.parent, "runtime": begin.runtime, "stages": stages,
        "confidence": attempt.confidence, "evidence": list(attempt.evidence), "waits": list(map(asdict, attempt.waits)),
        "notes": attempt.notes,
    }  # fmt: skip
    return Row(
        id=begin.id, load_id=load_id, kind=begin.kind, target=key[0], model=key[1], began=begin.time,
        ended=attempt.ended, outcome=outcome or attempt.outcome, reason=attempt.reason,
        stage=stage_label(attempt.stage) if attempt.outcome == "failed" else None, seconds=attempt.seconds,
        message=attempt.message, peak_rss=attempt.peak_rss, peak_anonymous=attempt.peak_anonymous,
        detail={name: value for name, value in detail.items() if value not in (None, "", [], {})},
    )  # fmt: skip
