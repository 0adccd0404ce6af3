"""What `run` says to a person: one line on standard error, or nothing where there is none."""

import sys


def say(line: str) -> None:
    """One line for a person, on standard error."""
    try:
        sys.stderr.write(f"model-load-exporter: {line}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
