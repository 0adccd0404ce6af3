"""ModelLoadCollector in real services: several workers, dead siblings, forks, beside a daemon, and without yaml."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from support.daemon import Series, running
from support.service import Service, load_once, serving

# A worker of a service with its own /metrics: it does what it is told, line by line, and says when it is done.
_WORKER = """
import os, signal, sys
from prometheus_client import CollectorRegistry, generate_latest
from model_load_exporter import ModelLoadCollector, track_load
registry = CollectorRegistry()
registry.register(ModelLoadCollector())
class Model: pass
kept = []
print("up")
for line in sys.stdin:
    do, *arguments = line.split()
    if do == "scrape":
        text = generate_latest(registry).decode()
        print(text.count("\\n"))
        sys.stdout.write(text)
    elif do == "load":
        with track_load("nllb") as load, load.stage("weights"):
            kept.append(load.holds(Model()))
        print("done")
    elif do == "fail":
        try:
            with track_load("nllb"):
                raise FileNotFoundError("on purpose")
        except FileNotFoundError:
            pass
        print("done")
    elif do == "open":
        load = track_load("nllb")
        load.__enter__().stage("weights").__enter__()
        print("done")
"""


class Worker(Service):
    """One worker; `scrape` asks its own /metrics."""

    def scrape(self) -> Series:
        self.tell("scrape")
        return Series.parse("".join(self.read() + "\n" for _ in range(int(self.read()))))

    def does(self, what: str) -> None:
        self.tell(what)
        self.says("done")


@contextmanager
def working(spool: Path, count: int, target: str = "app", python: str = sys.executable) -> Iterator[list[Worker]]:
    with ExitStack() as stack:
        workers = []
        for _ in range(count):
            worker = Worker(
                _WORKER, spool, python=python,
                environment={"MODEL_LOAD_EXPORTER_TARGET": target, "XDG_STATE_HOME": str(spool.parent)},
            )  # fmt: skip
            stack.callback(_end, worker)
            workers.append(worker)
        for worker in workers:
            worker.says("up")
        yield workers


def _end(worker: Worker) -> None:
    if worker.process.poll() is None:
        worker.process.kill()
    worker.process.wait(10)
    for stream in (worker.process.stdin, worker.process.stdout):
        assert stream is not None
        stream.close()


def model_series(series: Series) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All but what time alone changes."""
    moving = ("model_load_duration_seconds", "model_load_progress_timestamp_seconds")
    return {key: value for key, value in series.samples.items() if key[0] not in moving}


def journals(spool: Path) -> list[str]:
    return sorted(path.name for path in spool.glob("a-*.jsonl"))


def test_every_worker_says_the_same(tmp_path: Path) -> None:
    """Whichever worker is asked, and whoever was asked before: the same counters, and none goes back."""
    spool = tmp_path / "spool"
    with working(spool, 4) as workers:
        for number, worker in enumerate(workers):
            worker.does("load")
            worker.does("fail")
            series = workers[(number * 3 + 1) % 4].scrape()
            assert series.value("model_load_attempts_total", target="app", model="nllb") == 2 * (number + 1)
        scrapes = [model_series(worker.scrape()) for worker in workers]
        assert scrapes[1:] == scrapes[:-1]
        series = workers[0].scrape()
        assert series.value("model_load_failures_total", reason="file_missing") == 4
        assert series.value("model_load_success_duration_seconds_count", model="nllb") == 4
        assert series.value("model_loaded", model="nllb") == 4
        assert journals(spool) == []


def test_a_worker_killed_mid_load(tmp_path: Path) -> None:
    """Its load failed, once, for all that are left; who was killed is not in their way."""
    spool = tmp_path / "spool"
    with working(spool, 3) as workers:
        workers[0].does("load")
        workers[0].does("open")
        for worker in workers:
            series = worker.scrape()
            assert series.value("model_load_in_progress", model="nllb") == 1
            assert series.value("model_loaded", model="nllb") == 1
        workers[0].kill(signal.SIGKILL)
        workers[0].reap()
        first = workers[1].scrape()
        # It was seen alive by an earlier scrape, so its exit status is to be had: killed, and no guess.
        assert first.value("model_load_failures_total", reason="killed") == 1
        assert first.value("model_process_deaths_total", reason="killed") == 1
        assert first.value("model_load_failure_timestamp_seconds", reason="killed", stage="weights") is not None
        assert first.value("model_loaded", model="nllb") == 0
        assert model_series(workers[2].scrape()) == model_series(first)
        assert list(spool.glob("*.jsonl")) == []


def test_a_restarted_service_goes_on_counting(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    with working(spool, 1) as [worker]:
        worker.does("fail")
        before = worker.scrape().lasting_counters()
    with working(spool, 1) as [worker]:
        assert worker.scrape().lasting_counters() == before
        worker.does("fail")
        assert worker.scrape().value("model_load_retries_total", model="nllb") == 1


def test_a_frozen_worker_is_waited_for_a_moment_only(tmp_path: Path) -> None:
    """A worker stopped in the middle of its turn has both locks: the others answer all the same, from the files."""
    spool = tmp_path / "spool"
    with working(spool, 2) as [one, other]:
        one.does("fail")
        one.scrape()
        code = (
            "import fcntl, os, sys\n"
            "for name in sys.argv[1:]:\n"
            "    fcntl.flock(os.open(name, os.O_RDONLY), fcntl.LOCK_EX)\n"
            "print('locked'); input()\n"
        )
        locks = [str(spool / "ledger" / "turn.lock"), str(spool / "reader.lock")]
        with serving(code, spool, arguments=locks) as frozen:
            frozen.says("locked")
            other.does("fail")
            began = time.monotonic()
            series = other.scrape()
            assert time.monotonic() - began < 2
            assert series.value("model_load_failures_total", reason="file_missing") == 2
            assert len(journals(spool)) == 1
            frozen.tell("go")
            frozen.reap()
        assert one.scrape().value("model_load_failures_total", reason="file_missing") == 2
        assert journals(spool) == []


def test_only_its_own_target(tmp_path: Path) -> None:
    """The loads of another service are tidied and counted for it, and not shown here."""
    spool = tmp_path / "spool"
    with working(spool, 1, "a") as [a], working(spool, 1, "b") as [b]:
        a.does("load")
        b.does("fail")
        for worker, target, failures in ((a, "a", 0), (b, "b", 1)):
            series = worker.scrape()
            assert {dict(labels)["target"] for _, labels in series.samples} == {target}
            assert series.sum("model_load_failures_total") == failures


def test_beside_a_daemon_it_only_reads(tmp_path: Path) -> None:
    """The same counters as the daemon's, nothing deleted, and no daemon is kept from starting."""
    spool = tmp_path / "spool"
    with working(spool, 2) as [one, other]:
        one.does("load")
        one.scrape()
        with running(tmp_path) as daemon:
            one.does("fail")
            daemon.wait_for(1, "model_load_failures_total", target="app", reason="file_missing")
            for worker in (one, other):
                series = worker.scrape()
                assert series.value("model_load_failures_total", reason="file_missing") == 1
                assert series.value("model_load_attempts_total", model="nllb") == 1
                assert series.value("model_loaded", model="nllb") == 1
            # What only a daemon may delete stays while it cannot: it is stopped, and the worker is asked again.
            os.kill(daemon.pid, signal.SIGSTOP)
            try:
                other.does("fail")
                series = one.scrape()
                assert series.value("model_load_failures_total", reason="file_missing") == 2
                assert len(journals(spool)) == 1
            finally:
                os.kill(daemon.pid, signal.SIGCONT)
            daemon.wait_for(2, "model_load_failures_total", target="app", reason="file_missing")


def test_where_the_daemons_ledger_is_not_readable(tmp_path: Path) -> None:
    """What the spool tells is shown; counters that could only be wrong are left out."""
    spool = tmp_path / "a" / "spool"
    spool.mkdir(parents=True)
    with running(tmp_path, flags=[f"--spool.dir={spool}"]) as daemon, working(spool, 1) as [worker]:
        worker.does("load")
        daemon.wait_for(1, "model_loaded", target="app", model="nllb")
        series = worker.scrape()
        assert series.value("model_loaded", model="nllb") == 1
        assert not [name for name in series.names() if name.endswith(("_total", "_count", "_bucket"))]


def test_forked_workers(tmp_path: Path) -> None:
    """A pre-fork server registers once, in the parent that was scraped already: each child begins anew."""
    spool = tmp_path / "spool"
    code = """
import os, sys
from prometheus_client import CollectorRegistry, generate_latest
from model_load_exporter import ModelLoadCollector, track_load
registry = CollectorRegistry()
registry.register(ModelLoadCollector(target="app"))
def attempts():
    rows = [r for r in generate_latest(registry).decode().splitlines() if r.startswith("model_load_attempts_total")]
    return float(rows[0].split()[-1]) if rows else 0.0
with track_load("nllb", target="app"): pass
assert attempts() == 1
for number in range(8):
    if os.fork() == 0:
        with track_load("nllb", target="app"): pass
        os._exit(0 if attempts() == 2 + number else 1)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0, number
    assert attempts() == 2 + number
print(attempts())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={"MODEL_LOAD_EXPORTER_SPOOL": str(spool)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("9.0\n", "")


def test_an_unusable_spool_costs_only_these_series(tmp_path: Path) -> None:
    """A file stands where the spool should be: no series, no error, and the service loads as ever."""
    (tmp_path / "file").write_text("")
    with working(tmp_path / "file", 1) as [worker]:
        worker.does("load")
        assert worker.scrape().samples == {}


def test_registering_it_twice_is_refused(tmp_path: Path) -> None:
    from prometheus_client import CollectorRegistry

    from model_load_exporter import ModelLoadCollector

    registry = CollectorRegistry()
    registry.register(ModelLoadCollector(spool=tmp_path / "spool"))
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(ModelLoadCollector(spool=tmp_path / "spool"))


def test_needs_prometheus_client_alone(tmp_path: Path) -> None:
    """Of all that the daemon needs, the service has only this one; and none where the collector is not asked for."""
    code = """
import sys
class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in refused:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refused())
refused = {"aiohttp", "jinja2", "markdown_it", "yaml", "pynvml", "psutil", "prometheus_client"}
import model_load_exporter
try:
    model_load_exporter.ModelLoadCollector
except ImportError as error:
    print(error)
refused.discard("prometheus_client")
from prometheus_client import CollectorRegistry, generate_latest
registry = CollectorRegistry()
registry.register(model_load_exporter.ModelLoadCollector())
with model_load_exporter.track_load("nllb"): pass
print(b'model_load_attempts_total{model="nllb",target=""} 1.0' in generate_latest(registry))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={"MODEL_LOAD_EXPORTER_SPOOL": str(tmp_path / "spool")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == "ModelLoadCollector needs prometheus_client: pip install prometheus-client"
    assert second == "True"


def test_dead_workers_leave_nothing(tmp_path: Path) -> None:
    """Fifty workers that loaded and ended: one file for none of them, and the scrape is as long as before."""
    spool = tmp_path / "spool"
    with working(spool, 1) as [worker]:
        worker.does("load")
        before = worker.scrape()
        for _ in range(5):
            load_once(spool, *[("nllb", "app", "loaded")] * 10)
        after = worker.scrape()
        assert after.value("model_load_attempts_total", model="nllb") == 51
        assert len(after.samples) == len(before.samples)
        assert len(list(spool.glob("*.jsonl"))) == 1
