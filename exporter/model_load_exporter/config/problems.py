"""What is wrong with a config file: every mistake, each with its line and key."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `line` counts from 1, and is 0 where the whole file is meant; `key` is empty where none is.

    str() is `FILE:LINE: KEY: what is wrong; what to do`, without the parts that do not apply.
    """

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.message) if part)


class ConfigError(Exception):
    """The file cannot be used. str() has one line for each of `problems`, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)
