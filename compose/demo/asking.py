"""One request to what runs on this host, which may die while it answers."""

from __future__ import annotations

import contextlib
import http.client
import urllib.error
import urllib.request
from dataclasses import dataclass

_SECONDS = 2


@dataclass(frozen=True)
class Answer:
    """A whole answer, of whatever status."""

    status: int
    body: bytes


def ask(url: str) -> Answer:
    """What it answers now. Raises OSError where nobody does or the answer is cut short, TimeoutError where it waits."""
    try:
        try:
            with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - our own http:// addresses
                return Answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            with contextlib.closing(error):
                return Answer(error.code, error.read())
    except http.client.HTTPException as error:
        raise ConnectionResetError(f"{url} died while it answered: {error!r}") from error


def status(url: str) -> int | None:
    """The HTTP status that it answers now; None where nobody answers."""
    try:
        return ask(url).status
    except OSError:
        return None
