"""What `run` was asked for, as it travels from the command line to the supervisor's process."""

from collections.abc import Sequence


class Options:
    """command: what to run. With `model`, the start of the service until it is ready is one load of that model.

    A plain class: dataclasses would cost the supervisor a third of its memory.
    """

    __slots__ = ("command", "model", "name", "ready_log", "ready_timeout", "ready_url")

    def __init__(
        self, command: Sequence[str], name: str | None = None, model: str | None = None, ready_url: str | None = None,
        ready_log: str | None = None, ready_timeout: float | None = None,
    ) -> None:  # fmt: skip
        self.command = list(command)
        self.name = name
        self.model = model
        self.ready_url = ready_url
        self.ready_log = ready_log
        self.ready_timeout = ready_timeout

    def to_arguments(self) -> list[str]:
        """As arguments of the supervisor's process; `ps` shows them."""
        pairs = {
            "name": self.name,
            "model": self.model,
            "ready-url": self.ready_url,
            "ready-log": self.ready_log,
            "ready-timeout": self.ready_timeout,
        }
        return [*(f"--{key}={value}" for key, value in pairs.items() if value is not None), "--", *self.command]

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> "Options":
        """The same back again. They were checked when they were made: argparse has no place in the supervisor."""
        end = arguments.index("--")
        pairs = dict(argument.removeprefix("--").split("=", 1) for argument in arguments[:end])
        timeout = pairs.get("ready-timeout")
        return cls(
            arguments[end + 1 :],
            pairs.get("name"),
            pairs.get("model"),
            pairs.get("ready-url"),
            pairs.get("ready-log"),
            float(timeout) if timeout is not None else None,
        )
