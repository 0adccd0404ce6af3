"""Which attempts are one load: the ranks of a torchrun start, the worker processes of a load that began them.

A load counts once. It fails with the first failure of any of its attempts; it succeeds when all that are known have
ended and none failed. Pure: no clock, no files.
"""

from dataclasses import dataclass, field

from model_load_exporter.attempt import Begin

JOIN_SECONDS = 3600.0
"""A late rank joins the load of its group this long after its begin."""


@dataclass(slots=True)
class Group:
    """One load and the attempts that it consists of. `root` is the id of the first, and names the load."""

    root: str
    key: tuple[str, str]
    began: float
    members: dict[str, str | None] = field(default_factory=dict)
    ranks: set[str] = field(default_factory=set)
    failed: bool = False
    settled: bool = False

    def join(self, begin: Begin) -> None:
        """One more attempt belongs to the load."""
        self.members.setdefault(begin.id, None)
        self.ranks.add(_rank(begin))
        self.began = min(self.began, begin.time)

    @property
    def open(self) -> bool:
        """True while an attempt of it is open."""
        return any(outcome is None for outcome in self.members.values())

    def end(self, attempt_id: str, outcome: str) -> str | None:
        """An attempt of it ended. What is to be counted now: loaded, failed, cancelled, recovered, or None.

        `recovered`: the load counts as failed, yet its first process went on and has the model loaded.
        """
        self.members[attempt_id] = outcome
        if outcome == "failed":
            first, self.failed, self.settled = not self.failed, True, True
            return "failed" if first else None
        if self.open:
            return None
        if self.failed:
            return "recovered" if self.members.get(self.root) == "loaded" and outcome == "loaded" else None
        if self.settled:
            return None
        self.settled = True
        return "cancelled" if "cancelled" in self.members.values() else "loaded"


class Groups:
    """Finds the load that an attempt belongs to."""

    def __init__(self) -> None:
        self._by_attempt: dict[str, Group] = {}
        self._by_group: dict[tuple[str, tuple[str, str]], Group] = {}

    def place(self, begin: Begin, key: tuple[str, str]) -> tuple[Group, bool]:
        """(the load of this attempt, whether the attempt begins it). key: its {target, model}."""
        known = self._by_attempt.get(begin.id)
        if known is not None:
            return known, False
        group = self._find(begin, key)
        new = group is None
        if group is None:
            group = Group(begin.id, key, begin.time)
        group.join(begin)
        self._by_attempt[begin.id] = group
        if begin.group is not None:
            self._by_group[begin.group, key] = group
        return group, new

    def restore(self, begin: Begin, key: tuple[str, str], load_id: str, outcome: str | None) -> None:
        """Takes an attempt of a load from the ledger, as it stood when the daemon stopped."""
        group = self._by_attempt.get(load_id) or Group(load_id, key, begin.time)
        group.join(begin)
        group.members[begin.id] = outcome
        group.failed = group.failed or outcome == "failed"
        group.settled = group.failed or not group.open
        self._by_attempt[begin.id] = group
        if begin.group is not None:
            self._by_group[begin.group, key] = group

    def of(self, attempt_id: str) -> Group | None:
        """The load of an attempt that was placed."""
        return self._by_attempt.get(attempt_id)

    def forget(self, now: float) -> None:
        """Drops the loads that nobody can join any more. now: unix seconds."""
        for attempt_id, group in list(self._by_attempt.items()):
            if not group.open and now - group.began > JOIN_SECONDS:
                del self._by_attempt[attempt_id]
        for name, group in list(self._by_group.items()):
            if not group.open and now - group.began > JOIN_SECONDS:
                del self._by_group[name]

    def _find(self, begin: Begin, key: tuple[str, str]) -> Group | None:
        parent = self._by_attempt.get(begin.parent or "")
        # The variable that names the parent stays in a child's environment for life: what the child loads after the
        # parent's load is over is a load of its own.
        if parent is not None and parent.key[1] == key[1] and parent.members.get(begin.parent or "") is None:
            return parent
        if begin.group is None:
            return None
        group = self._by_group.get((begin.group, key))
        # A rank that comes again is the next load of the group.
        if group is None or _rank(begin) in group.ranks or begin.time - group.began > JOIN_SECONDS:
            return None
        return group


def _rank(begin: Begin) -> str:
    return begin.rank if begin.rank is not None else f"pid {begin.pid}"
