"""OOM kills of this host by scope, counted from the kernel log and kept over restarts: none twice, none lost."""

from typing import Any

from model_load_exporter.ledger import Ledger
from model_load_exporter.witness.kernel_log import Cursor, KernelLog

_FACT = "oom_kills"
SCOPES = ("host", "cgroup")


class OomCount:
    """The counts so far. `read` adds what the log has beyond the cursor that the ledger keeps with them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        fact: Any = ledger.fact(_FACT)
        self._fact: dict[str, Any] = fact if isinstance(fact, dict) else {}
        self.kills = {scope: int(self._fact.get(scope, 0)) for scope in SCOPES}

    @property
    def cursor(self) -> Cursor | None:
        """Up to where the kernel log is counted."""
        if "sequence" not in self._fact:
            return None
        return Cursor(str(self._fact["boot_id"]), int(self._fact["sequence"]))

    def read(self, log: KernelLog | None) -> None:
        """Counts what is new; the ledger has it with its next flush."""
        if log is None:
            return
        counts = log.read()
        if not any(counts.values()):
            return
        for scope, count in counts.items():
            self.kills[scope] += count
        cursor = log.cursor
        self._fact = {**self.kills, "boot_id": cursor.boot_id, "sequence": cursor.sequence}
        self._ledger.put_fact(_FACT, self._fact)
