"""The service probe: what a client of a service sees, told apart, on real sockets."""

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from model_load_exporter.attempt import LoadAttempt
from model_load_exporter.collectors.scrape import Scraper
from model_load_exporter.collectors.services import ServicesCollector
from model_load_exporter.config import Config, Service
from model_load_exporter.holding import Hold, Holding
from model_load_exporter.journal.format import decode
from model_load_exporter.ledger import Ledger
from model_load_exporter.services.probe import CAUSES, Probed, probe
from model_load_exporter.services.prober import Prober
from model_load_exporter.services.standing import ServiceStandings
from model_load_exporter.web.services import services_view
from support.daemon import running
from support.http import request
from support.recording import Recording, begin, lines
from support.wait import until

Talk = Callable[[socket.socket], None]


@contextlib.contextmanager
def serving(talk: Talk) -> Iterator[str]:
    """A server that talks so to each connection, until the end of the test."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/health"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def says(status: str, body: object = "") -> Talk:
    def talk(connection: socket.socket) -> None:
        connection.recv(4096)
        data = json.dumps(body).encode()
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)

    return talk


def resets(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closes(connection: socket.socket) -> None:
    connection.recv(4096)


def breaks_off(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")


def is_another_protocol(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    connection.recv(4096)


def is_garbage(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(bytes(range(256)))


def is_silent(connection: socket.socket) -> None:
    """Until the client has had enough."""
    while connection.recv(4096):
        pass


def ask(url: str, timeout: float = 5.0) -> Probed:
    async def once() -> Probed:
        async with aiohttp.ClientSession() as session:
            return await probe(session, url, timeout)

    return asyncio.run(once())


def test_a_healthy_service() -> None:
    """Up, with what it says of its model."""
    with serving(says("200 OK", {"status": "healthy", "model_loaded": True})) as url:
        found = ask(url)
    assert (found.cause, found.model_loaded, found.message) == (None, True, "")
    assert found.seconds > 0


@pytest.mark.parametrize(
    ("talk", "cause"),
    [
        (says("503 Service Unavailable", {"status": "loading", "model_loaded": False}), "http_status"),
        (says("404 Not Found"), "http_status"),
        (resets, "reset"),
        (closes, "reset"),
        (breaks_off, "reset"),
        (is_silent, "timeout"),
        (is_another_protocol, "http_status"),
        (is_garbage, "http_status"),
    ],
)
def test_each_way_to_fail_has_its_cause(talk: Talk, cause: str) -> None:
    """As a client sees it; the message names the address."""
    with serving(talk) as url:
        found = ask(url, 0.5 if cause == "timeout" else 5.0)
    assert found.cause == cause
    assert found.message.startswith(url)
    assert "\n" not in found.message


@pytest.mark.parametrize("talk", [says("500 Oops"), resets, is_another_protocol, is_garbage])
def test_what_is_secret_in_an_address_is_not_shown(talk: Talk) -> None:
    """The message goes to the log and to the status page, which anybody may read."""
    with serving(talk) as url:
        found = ask(url.replace("://", "://user:secret@") + "?token=secret#secret")
    assert found.cause is not None
    assert found.message.startswith(url)
    assert "secret" not in found.message


def test_nobody_listens() -> None:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert ask(f"http://127.0.0.1:{port}/").cause == "refused"


def test_names_and_certificates() -> None:
    """No such host; a server that speaks no TLS."""
    assert ask("http://no-such-host.invalid/").cause == "dns"
    with serving(says("400 Bad Request")) as url:
        assert ask(url.replace("http://", "https://")).cause == "tls"


@pytest.mark.parametrize("body", [[], "x", {"model_loaded": "yes"}, None, {}])
def test_an_answer_that_says_nothing_of_a_model(body: object) -> None:
    """Up all the same."""
    with serving(says("200 OK", body)) as url:
        found = ask(url)
    assert (found.cause, found.model_loaded) == (None, None)


def test_an_endless_answer_costs_little() -> None:
    """Only its beginning is read."""

    def floods(connection: socket.socket) -> None:
        connection.recv(4096)
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            while True:
                connection.sendall(bytes(1 << 16))

    with serving(floods) as url:
        assert ask(url).cause is None


def exposition(standings: ServiceStandings) -> str:
    return asyncio.run(Scraper([ServicesCollector(standings)]).scrape(openmetrics=False, gzipped=False)).decode()


def test_unresponsive_while_loading(tmp_path: Path) -> None:
    """Time without an answer counts while a load is open: the probes, and what lies between two that failed."""
    standings = ServiceStandings(Ledger.in_memory())
    standings.configure({"app"})
    for result, since_last, loading in (
        (Probed(1.0, "timeout"), 3.0, True),
        (Probed(1.0, "refused"), 3.0, True),
        (Probed(1.0, "timeout"), 3.0, False),
        (Probed(0.1, None), 3.0, True),
        (Probed(0.1, "http_status"), 3.0, True),
        (Probed(0.5, "reset"), 3.0, True),
    ):
        standings.take("app", result, since_last, loading=loading)
    assert standings.all()["app"].unresponsive == 1.0 + 4.0 + 0.5


def test_series_stand_at_zero_before_the_first_probe() -> None:
    """Counters of each cause; no result is claimed."""
    standings = ServiceStandings(Ledger.in_memory())
    standings.configure({"app"})
    text = exposition(standings)
    for cause in CAUSES:
        assert f'model_service_probe_failures_total{{cause="{cause}",target="app"}} 0.0' in text
    assert 'model_service_loading_unresponsive_seconds_total{target="app"} 0.0' in text
    assert "model_service_up{" not in text


def test_counters_stay_over_restarts_and_leave_with_the_config(recording: Recording) -> None:
    """By the ledger; a service that left the configuration has no series."""
    standings = ServiceStandings(recording.ledger)
    standings.configure({"app"})
    counts = standings.take("app", Probed(0.1, "refused"), 0.0, loading=False)
    assert counts is not None
    recording.recorder.submit(lambda: standings.keep("app", counts))
    recording.stop()
    recording.start()
    again = ServiceStandings(recording.ledger)
    again.configure({"app"})
    assert again.all()["app"].counts() == {"probes": 1, "failures": {"refused": 1}, "unresponsive": 0.0}
    again.configure(set())
    assert again.take("app", Probed(0.1), 0.0, loading=False) is None


def test_the_prober_asks_again_and_again(recording: Recording) -> None:
    """At its interval, on a new connection each time; a load of the target that is open makes silence count."""
    connections: list[int] = []

    def talk(connection: socket.socket) -> None:
        connections.append(1)
        (says("200 OK", {"model_loaded": False}) if len(connections) < 3 else closes)(connection)

    with serving(talk) as url:
        config = Config(services=(Service("app", url=url, interval=0.1),))
        standings = ServiceStandings(recording.ledger)
        standings.configure({"app"})

        async def run() -> None:
            prober = Prober(standings, recording.recorder, recording.loads)
            prober.apply_config(config)
            async with asyncio.timeout(20):
                while standings.all()["app"].failures.get("reset", 0) < 2:
                    await asyncio.sleep(0.01)
            prober.apply_config(Config())
            await prober.stop()

        event = decode(lines(begin("a-9", target="app")).strip())
        with recording.loads.lock:
            recording.loads.begin(LoadAttempt(event), None)  # type: ignore[arg-type]  # it is a Begin
        asyncio.run(run())
    assert len(connections) >= 4
    text = exposition(standings)
    assert 'model_service_up{target="app"} 0.0' in text
    assert standings.all()["app"].unresponsive > 0


def view(recording: Recording, standings: ServiceStandings) -> list[dict[str, Any]]:
    """What the status page shows of the services."""
    context = SimpleNamespace(loads=recording.loads, services=standings)
    return services_view(context)  # type: ignore[arg-type]  # it asks for these two


@pytest.mark.parametrize(
    ("told", "held", "required", "says"),
    [
        (True, 1, 1, ""),
        (True, 0, 1, "none of its processes holds one"),
        (True, 0, 0, "none of its processes holds one"),
        (True, 1, 2, "too few processes hold it: nllb by 1 of 2"),
        (False, 0, 1, ""),
        (False, 1, 1, "its processes hold them all: nllb by 1"),
        (False, 1, 2, ""),
        (None, 0, 1, ""),
        (None, 1, 1, ""),
    ],
)
def test_what_a_service_says_is_held_against_its_journal(
    recording: Recording, told: bool | None, held: int, required: int, says: str
) -> None:
    """A line where the two disagree, none where they agree or one of them says nothing."""
    standings = ServiceStandings(recording.ledger)
    standings.configure({"app"})
    standings.take("app", Probed(0.1, None, told), 0.0, loading=False)
    with recording.loads.lock:
        recording.loads.required = {("app", "nllb"): required} if required else {}
        for number in range(held):
            recording.loads.hold(Holding(Hold(f"h-{number}", 1.0, "nllb", number + 1, "", target="app")))
        recording.loads.hold(Holding(Hold("h-other", 1.0, "nllb", 99, "", target="another")))
    (service,) = view(recording, standings)
    assert says in service["disagreement"]
    assert bool(service["disagreement"]) is bool(says)
    assert [model["held"] for model in service["models"]] == ([held] if held or required else [])


def test_a_load_that_is_open_is_no_disagreement(recording: Recording) -> None:
    """One of the two is only ahead of the other. Services in trouble come first."""
    standings = ServiceStandings(recording.ledger)
    standings.configure({"app", "chat", "new"})
    standings.take("app", Probed(0.1, None, model_loaded=True), 0.0, loading=True)
    standings.take("chat", Probed(0.1, "reset", None, "cut off"), 0.0, loading=False)
    event = decode(lines(begin("a-9", target="app")).strip())
    with recording.loads.lock:
        recording.loads.begin(LoadAttempt(event), None)  # type: ignore[arg-type]  # it is a Begin
    rows = {row["target"]: row for row in view(recording, standings)}
    assert next(iter(rows)) == "chat"
    assert (rows["chat"]["cause"], rows["chat"]["message"], rows["chat"]["failures"]) == (
        "reset",
        "cut off",
        {"reset": 1},
    )
    assert (rows["app"]["loading"], rows["app"]["disagreement"]) == (True, "")
    assert (rows["new"]["up"], rows["new"]["seconds"]) == (None, None)


def test_the_daemon_asks_what_its_configuration_says_now(tmp_path: Path) -> None:
    """From the start on, after a reload too; the status page shows it; counters outlive a restart."""
    with serving(says("200 OK", {"model_loaded": True})) as url:
        config = f"services:\n  - {{target: app, url: '{url}', interval: 100ms}}\n"
        with running(tmp_path, config) as daemon:
            daemon.wait_for(1, "model_service_up", target="app")
            assert daemon.value("model_service_model_loaded", target="app") == 1
            page = daemon.get("/").text
            assert "answered in" in page
            assert "They disagree." in page

            daemon.config_file.write_text(config + "  - {target: gone, url: 'http://127.0.0.1:1/', interval: 100ms}\n")
            assert request(f"{daemon.url}/-/reload", method="POST").status == 200
            daemon.wait_for(0, "model_service_up", target="gone")
            assert daemon.value("model_service_up", target="app") == 1
            assert (daemon.value("model_service_probe_failures_total", target="gone", cause="refused") or 0) > 0

            daemon.config_file.write_text(config)
            assert request(f"{daemon.url}/-/reload", method="POST").status == 200
            until(lambda: daemon.value("model_service_up", target="gone") is None, 10, "its series are gone")

            before = daemon.value("model_service_probes_total", target="app") or 0
            assert daemon.end() == 0
            daemon.start()
            assert (daemon.value("model_service_probes_total", target="app") or 0) >= before > 0
