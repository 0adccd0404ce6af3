"""`make demo` asks a service that may be killed in the middle of its answer."""

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "compose" / "demo"


@contextmanager
def saying(answer: bytes) -> Iterator[str]:
    """The URL of a server that sends this to its one client, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(65536)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        thread.join(10)


@pytest.fixture(autouse=True)
def demo_on_the_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(DEMO)
    yield
    sys.modules.pop("asking", None)


@pytest.mark.parametrize("status", ["200 OK", "503 Service Unavailable"])
def test_a_whole_answer_of_any_status_is_one(status: str) -> None:
    import asking

    with saying(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\n{{}}".encode()) as url:
        assert asking.ask(url) == asking.Answer(int(status[:3]), b"{}")


@pytest.mark.parametrize(
    "half",
    [
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 250\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 250\r\n\r\n{",
        b"HTT",
        b"",
    ],
)
def test_a_service_that_dies_over_its_answer_is_an_os_error(half: bytes) -> None:
    import asking

    with saying(half) as url, pytest.raises(ConnectionResetError):
        asking.ask(url)
    with saying(half) as url:
        assert asking.status(url) is None


def test_nobody_there_is_an_os_error() -> None:
    import asking

    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}/"
    with pytest.raises(OSError, match="refused"):
        asking.ask(url)
