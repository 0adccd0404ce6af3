"""A listener of the spool's reader that writes down what it is told."""

from model_load_exporter.attempt import LoadAttempt
from model_load_exporter.holding import Holding
from model_load_exporter.journal.tail import Tail


class Listener:
    """Writes down every call."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.causes: list[str] = []

    def begun(self, attempt: LoadAttempt, _: Tail) -> None:
        self.calls.append(f"begun {attempt.id}")

    def progressed(self, attempt: LoadAttempt) -> None:
        self.calls.append(f"progressed {attempt.id} {attempt.stage}")

    def ended(self, attempt: LoadAttempt) -> None:
        self.calls.append(f"ended {attempt.id} {attempt.outcome}")

    def abandoned(self, attempt: LoadAttempt) -> None:
        self.calls.append(f"abandoned {attempt.id}")

    def held(self, holding: Holding, _: Tail) -> None:
        self.calls.append(f"held {holding.first.id}")

    def holding_changed(self, holding: Holding) -> None:
        self.calls.append(f"changed {holding.first.id} {' '.join(holding.held)}")

    def holding_over(self, holding: Holding) -> None:
        self.calls.append(f"over {holding.first.id} {holding.exited}")

    def problem(self, cause: str, _: str) -> None:
        self.causes.append(cause)

    def told(self) -> list[str]:
        """The calls since the last time it was asked."""
        calls, self.calls = self.calls, []
        return calls
