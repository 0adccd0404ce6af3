"""Starting and ending the daemon: what it cannot do it says in one line, and whatever happens nothing is lost."""

import os
import re
import signal
import socket
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import Daemon, dispose, refused, running
from support.http import answers, free_port
from support.service import load_once
from support.wait import until

ADDRESS = "--web.listen-address=127.0.0.1:0"


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Path]:
    """A folder whose ledger has one load, and whose spool has another that no daemon has read yet."""
    with running(tmp_path) as daemon:
        load_once(daemon.spool, ("nllb", "", "failed"))
        daemon.wait_for(1, "model_load_attempts_total", model="nllb")
        daemon.end()
        load_once(daemon.spool, ("nllb", "", "loaded"))
    yield tmp_path
    # Whatever the refused start did, a good one finds both.
    with running(tmp_path) as daemon:
        series = daemon.series()
        assert series.value("model_load_attempts_total", model="nllb") == 2
        assert series.value("model_load_failures_total", model="nllb", reason="file_missing") == 1
        assert series.value("model_load_success_duration_seconds_count", model="nllb") == 1


def one_line(folder: Path, *flags: str, config: str | None = None) -> str:
    """The one line that a refused start says, with exit status 1 and soon."""
    status, lines, seconds = refused(folder, *flags, config=config)
    assert status == 1, lines
    assert len(lines) == 1, lines
    assert lines[0].startswith("model-load-exporter: ")
    assert seconds < 5
    return lines[0]


def test_port_in_use(waiting: Path) -> None:
    """Another program on the port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        line = one_line(waiting, f"--web.listen-address={address}")
    assert f"cannot listen on {address}: Address already in use" in line
    assert "--web.listen-address" in line


def test_second_address_in_use(waiting: Path) -> None:
    """One address that can be had does not make up for one that cannot."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert "already in use" in one_line(
            waiting, ADDRESS, f"--web.listen-address=127.0.0.1:{other.getsockname()[1]}"
        )


@pytest.mark.parametrize("address", ["9877", "127.0.0.1:http", "127.0.0.1:99999", "192.0.2.1:0", ":"])
def test_address_that_is_none(waiting: Path, address: str) -> None:
    """An address that cannot be one, or is not this host's."""
    line = one_line(waiting, f"--web.listen-address={address}")
    assert address in line
    assert "--web.listen-address" in line


def test_state_below_a_file(waiting: Path) -> None:
    """A state folder that cannot be made."""
    (waiting / "file").touch()
    line = one_line(waiting, ADDRESS, f"--state.dir={waiting}/file/state")
    assert f"cannot make the state folder {waiting}/file/state: Not a directory" in line
    assert "--state.dir" in line


def test_unwritable_state(waiting: Path) -> None:
    """A state folder that nobody may write to, not even root."""
    line = one_line(waiting, ADDRESS, "--state.dir=/proc")
    assert "/proc/ledger.sqlite" in line
    assert "--state.dir" in line


def test_unwritable_spool(waiting: Path) -> None:
    """A spool that cannot be made."""
    line = one_line(waiting, ADDRESS, "--spool.dir=/proc/spool")
    assert "cannot make the spool /proc/spool" in line
    assert "--spool.dir" in line


def test_second_daemon(waiting: Path) -> None:
    """A second daemon on the same spool leaves the first one alone."""
    with running(waiting) as first:
        line = one_line(waiting, ADDRESS, f"--state.dir={waiting}/other")
        assert f"another exporter reads the spool {first.spool}" in line
        assert "--spool.dir" in line
        load_once(first.spool, ("aya", "", "loaded"))
        first.wait_for(1, "model_load_attempts_total", model="aya")


def test_newer_ledger(waiting: Path) -> None:
    """A ledger of a newer version is not touched."""
    with sqlite3.connect(waiting / "state" / "ledger.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = (waiting / "state" / "ledger.sqlite").read_bytes()
    assert "newer version (schema 99" in one_line(waiting, ADDRESS)
    assert (waiting / "state" / "ledger.sqlite").read_bytes() == before
    with sqlite3.connect(waiting / "state" / "ledger.sqlite") as db:
        db.execute("PRAGMA user_version = 1")
    db.close()


def test_missing_config(waiting: Path) -> None:
    """A config file that is not there."""
    line = one_line(waiting, ADDRESS, f"--config.file={waiting}/none.yml")
    assert f"{waiting}/none.yml" in line


def test_bad_config(waiting: Path) -> None:
    """Each mistake of the config file is a line with its place."""
    status, lines, _ = refused(waiting, ADDRESS, config="models:\n  - {name: a, paht: /a}\n  - {loader: torhc}\n")
    assert status == 1
    assert all(line.startswith(f"model-load-exporter: {waiting}/config.yml:") for line in lines), lines
    assert {line.split(":")[2] for line in lines} == {"2", "3"}
    assert any("paht" in line for line in lines)


@pytest.mark.parametrize(
    "flags", [["--no-such-flag"], ["--evidence.disable=crystal_ball"], ["--no-collector.weather"], ["--log.format=xml"]]
)
def test_usage(waiting: Path, flags: list[str]) -> None:
    """What is no flag, or no value of one, is a usage error, told by name."""
    status, lines, _ = refused(waiting, ADDRESS, *flags)
    assert status == 2
    assert flags[0].partition("=")[2] in lines[-1] or flags[0] in lines[-1]


@pytest.mark.parametrize("damage", ["garbage", "a damaged page", "empty of tables"])
def test_corrupt_ledger(tmp_path: Path, damage: str) -> None:
    """A damaged ledger is set aside whole, with a line that says so; counting goes on in a new one."""
    ledger = tmp_path / "state" / "ledger.sqlite"
    with running(tmp_path) as daemon:
        load_once(daemon.spool, *[("nllb", "", "loaded")] * 50)
        daemon.wait_for(50, "model_load_attempts_total", model="nllb")
        daemon.end()
        bad = bytearray(ledger.read_bytes())
        if damage == "garbage":
            bad[:] = os.urandom(4096)
        elif damage == "a damaged page":
            bad[4096:] = bytes(len(bad) - 4096)
        else:
            bad[:] = b"SQLite format 3\0" + bytes(80)
        ledger.write_bytes(bad)
        before = daemon.log()
        daemon.start()
        (line,) = [line for line in daemon.log()[len(before) :].splitlines() if "level=error" in line]
        (aside,) = ledger.parent.glob("ledger.sqlite.damaged-*")
        assert str(aside) in line
        assert aside.read_bytes() == bad
        load_once(daemon.spool, ("nllb", "", "loaded"))
        daemon.wait_for(1, "model_load_attempts_total", model="nllb")
        daemon.end()
        # The new one lasts.
        daemon.start()
        assert daemon.value("model_load_attempts_total", model="nllb") == 1
        assert list(ledger.parent.glob("ledger.sqlite.damaged-*")) == [aside]


def test_a_spool_for_everybody(tmp_path: Path) -> None:
    """The spool that it makes is open to writers of every user, who cannot remove each other's files."""
    with running(tmp_path) as daemon:
        mode = daemon.spool.stat().st_mode
        assert stat.S_IMODE(mode) == 0o1777
        assert (daemon.spool / "spool.json").stat().st_mode & 0o444 == 0o444


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clean_stop(tmp_path: Path, number: signal.Signals) -> None:
    """A stop takes no more than seconds and exits 0, though clients hold connections open and loads are under way."""
    with running(tmp_path) as daemon:
        with (
            socket.create_connection(("127.0.0.1", daemon.port)) as kept,
            socket.create_connection(("127.0.0.1", daemon.port)) as half,
        ):
            kept.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            assert kept.recv(4096).startswith(b"HTTP/1.1 200")
            half.sendall(b"GET /metrics HTTP/1.1\r\n")
            assert daemon.end(number, seconds=5) == 0
        assert "Traceback" not in daemon.log()
        assert not answers(f"{daemon.url}/-/healthy")


CANARY = """
models:
  - {{name: nllb, path: {folder}, loader: "python:{folder}/hangs.py:load", canary: {{interval: 1h, timeout: 60s}}}}
"""
HANGS = """
import os, subprocess, time
def load(path):
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    with open(path + "/pids.tmp", "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.rename(path + "/pids.tmp", path + "/pids")
    time.sleep(600)
"""


def test_stop_ends_the_canary(tmp_path: Path) -> None:
    """A stop ends the canary's load that is under way, and all that it has started."""
    (tmp_path / "hangs.py").write_text(HANGS)
    with running(tmp_path, CANARY.format(folder=tmp_path)) as daemon:
        until((tmp_path / "pids").exists, 20, lambda: f"the load is under way: {daemon.log()}")
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        assert daemon.end(seconds=10) == 0
        until(lambda: not any(_runs(pid) for pid in pids), 5, "no process is left")
        assert "Traceback" not in daemon.log()


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_addresses_in_the_log(tmp_path: Path) -> None:
    """The log tells each address that was opened, and it answers; a port of 0 is told as what it became."""
    hosts = ["127.0.0.1", "[::1]"] if _has_ipv6() else ["127.0.0.1"]
    everywhere = free_port()
    flags = [f"--web.listen-address=:{everywhere}", *(f"--web.listen-address={host}:0" for host in hosts)]
    with running(tmp_path, flags=flags) as daemon:
        urls = re.findall(r"listening on (\S+):", daemon.log())
        assert urls[:2] == [daemon.url, f"http://localhost:{everywhere}"]
        assert [url.rpartition(":")[0] for url in urls[2:]] == [f"http://{host}" for host in hosts]
        assert len(set(urls)) == len(urls)
        assert all(answers(f"{url}/-/healthy") for url in urls), urls


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_port_free_again(tmp_path: Path) -> None:
    """A daemon can be started on the port of the one that just ended."""
    with running(tmp_path) as daemon:
        for _ in range(2):
            assert daemon.end() == 0
            daemon.start()


class TestNotify:
    """systemd's readiness protocol, on a real datagram socket."""

    @pytest.fixture(params=["path", "abstract"])
    def manager(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(20)
            if request.param == "path":
                address = f"{tmp_path}/notify"
                sock.bind(address)
            else:
                address = f"@mle-test-{os.getpid()}-{tmp_path.name}"
                sock.bind("\0" + address[1:])
            yield sock, address

    def test_states(self, tmp_path: Path, manager: tuple[socket.socket, str]) -> None:
        """READY=1 once the spool is read, RELOADING=1 and READY=1 around a reload, STOPPING=1 before the end."""
        sock, address = manager
        daemon = Daemon(tmp_path, "models: []\n", environment={"NOTIFY_SOCKET": address})
        try:
            daemon.launch()
            assert sock.recv(4096) == b"READY=1"
            assert daemon.get("/-/ready").status == 200
            assert daemon.process is not None
            daemon.process.send_signal(signal.SIGHUP)
            state, clock = sock.recv(4096).split(b"\n")
            assert state == b"RELOADING=1"
            assert clock.removeprefix(b"MONOTONIC_USEC=").isdigit()
            assert sock.recv(4096) == b"READY=1"
            daemon.process.send_signal(signal.SIGTERM)
            assert sock.recv(4096) == b"STOPPING=1"
            assert daemon.process.wait(10) == 0
        finally:
            dispose(daemon.process)

    def test_nobody_listens(self, tmp_path: Path) -> None:
        """A socket that is gone keeps nothing from working."""
        with running(tmp_path, environment={"NOTIFY_SOCKET": f"{tmp_path}/gone"}) as daemon:
            assert daemon.end() == 0
