"""Scrape time after 512 workers died while they held a model, against none: the daemon and ModelLoadCollector.

python benchmarks/dead_workers.py [--workers 512] [--scrapes 300]

Two of each are run side by side; the workers of one die. prometheus_client's multiprocess mode is measured beside them:
it reads a file of every worker that ever lived. Exits 1 where the goal is missed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from side_by_side import exporter, free_port, median, serving, verdict

GOAL = 1.05

# A pre-fork server whose workers load a model and are killed.
_DYING = """
import os, signal, sys
from model_load_exporter import track_load
class Model: pass
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        with track_load("nllb", target="app") as load:
            model = load.holds(Model())
        os.kill(os.getpid(), signal.SIGKILL)
    os.wait()
"""

# Answers the seconds that one scrape took, for each line on standard input.
_ASKED = """
import sys, time
from prometheus_client import CollectorRegistry, generate_latest
registry = CollectorRegistry()
{register}
for _ in sys.stdin:
    began = time.perf_counter()
    generate_latest(registry)
    print(time.perf_counter() - began, flush=True)
"""

_IN_PROCESS = _ASKED.format(
    register="from model_load_exporter import ModelLoadCollector\nregistry.register(ModelLoadCollector('app'))"
)
_MULTIPROCESS = _ASKED.format(
    register="from prometheus_client.multiprocess import MultiProcessCollector\nMultiProcessCollector(registry)"
)

# The same kind of workers as prometheus_client's multiprocess mode sees them.
_DYING_MULTIPROCESS = """
import os, signal, sys
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        from prometheus_client import Counter, Histogram
        Counter("loads", "Loads.", ["model"]).labels("nllb").inc()
        Histogram("load_seconds", "Duration.", ["model"]).labels("nllb").observe(1)
        os.kill(os.getpid(), signal.SIGKILL)
    os.wait()
"""


def main() -> int:
    """Runs all, prints all."""
    parser = argparse.ArgumentParser(description="Scrape time after many workers died.")
    parser.add_argument("--workers", type=int, default=512, help="workers that die (default: %(default)s)")
    parser.add_argument("--scrapes", type=int, default=300, help="scrapes of each (default: %(default)s)")
    options = parser.parse_args()
    met = True
    for name, ask, goal in (
        ("daemon (its deaths are counted before its first scrape)", _daemon, GOAL),
        ("ModelLoadCollector", _in_process, GOAL),
        ("prometheus_client multiprocess mode", _multiprocess, None),
    ):
        with ExitStack() as stack:
            base = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            (base / "none").mkdir()
            (base / "dead").mkdir()
            none = ask(stack, base / "none", 1)
            dead = ask(stack, base / "dead", options.workers)
            first = dead()
            none()
            for _ in range(5):
                none(), dead()
            pairs = []
            for number in range(options.scrapes if ask is not _daemon else options.scrapes // 5):
                # In turn, each first as often as second: who is asked second finds the processor warm.
                if number % 2:
                    pairs.append((none(), dead()))
                else:
                    pairs.append((dead(), none())[::-1])
        without, after = median([pair[0] for pair in pairs]), median([pair[1] for pair in pairs])
        print(
            f"{name}: one dead worker {without * 1e3:.3f} ms, {options.workers} {after * 1e3:.3f} ms"
            f" (the first scrape after their deaths {first * 1e3:.1f} ms)"
        )
        if goal is not None:
            met &= verdict(f"scrape after {options.workers} dead workers", after / without, goal)
        else:
            print(f"  for comparison {after / without:59.3f}x")
    return 0 if met else 1


def _daemon(stack: ExitStack, folder: Path, workers: int) -> Callable[[], float]:
    port = free_port()
    server = stack.enter_context(serving("daemon", exporter(folder, port), port))
    server.wait()
    _die(_DYING, workers, {"MODEL_LOAD_EXPORTER_SPOOL": f"{folder}/spool"})
    while list((folder / "spool").glob("*.jsonl")):
        time.sleep(0.05)

    def ask() -> float:
        # Sooner than 0.25 s after the last scrape the daemon answers with the same bytes: that would measure nothing.
        time.sleep(0.3)
        began = time.perf_counter()
        server.get()
        return time.perf_counter() - began

    return ask


def _in_process(stack: ExitStack, folder: Path, workers: int) -> Callable[[], float]:
    environment = {"MODEL_LOAD_EXPORTER_SPOOL": f"{folder}/spool"}
    ask = _asking(stack, _IN_PROCESS, environment)
    ask()
    _die(_DYING, workers, environment)
    return ask


def _multiprocess(stack: ExitStack, folder: Path, workers: int) -> Callable[[], float]:
    environment = {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    _die(_DYING_MULTIPROCESS, workers, environment)
    return _asking(stack, _MULTIPROCESS, environment)


def _die(code: str, workers: int, environment: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", code, str(workers)], env=environment, check=True)


def _asking(stack: ExitStack, code: str, environment: dict[str, str]) -> Callable[[], float]:
    process = stack.enter_context(
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    )
    source, sink = process.stdout, process.stdin
    if source is None or sink is None:
        sys.exit("no pipes")
    stack.callback(sink.close)

    def ask() -> float:
        sink.write(b"\n")
        sink.flush()
        return float(source.readline())

    return ask


if __name__ == "__main__":
    sys.exit(main())
