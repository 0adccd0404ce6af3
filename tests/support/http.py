"""Plain HTTP requests to what runs on this host."""

import http.client
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What came back. headers: by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def request(
    url: str, headers: dict[str, str] | None = None, *, method: str = "GET", body: bytes | None = None,
    timeout: float = 10,
) -> Answer:  # fmt: skip
    """Any status is an answer. Raises OSError where nobody answers, or somebody dies over the answer."""
    asked = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        try:
            with urllib.request.urlopen(asked, timeout=timeout) as answer:
                return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, {k.lower(): v for k, v in error.headers.items()}, error.read())
    except http.client.HTTPException as error:
        raise ConnectionResetError(f"half an answer from {url}: {error!r}") from error


def answers(url: str) -> bool:
    """True where the address answers 200 now."""
    try:
        return request(url, timeout=5).status == 200
    except OSError:
        return False


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
