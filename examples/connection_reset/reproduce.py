"""Reproduces "connection reset while the model loads" from each of its roots, then with its fix: figures of both.

    .venv/bin/python examples/connection_reset/reproduce.py [--case NAME] [--repeat N] [--json]

Needs what `make run` sets up, and root for the cases with a container's limits. Loopback only; about 1 GB of
memory; two minutes. Exits 0 when each root was told apart by the exporter's series alone and no fix left a request
without an answer, 1 when not, 2 on usage.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import limits
from clients import UNANSWERED, Clients, Seen, by_second, from_first_answer, percentile
from stack import BIN, COMMAND, ROOT, Exporter, KernelLog, Liveness, free_port, service
from verdict import BLOCKED, NONE, OOM, ROOTS, WORKER_TIMEOUT, Told

MODEL = ROOT / ".run/connection_reset/nllb-200"
PHASE_SECONDS = 90.0
ANSWERS = 8
"""Translations after which a fixed service has shown that it serves."""

UVICORN = ("uvicorn", "service:app", "--host=127.0.0.1", "--port={port}")
# uvicorn's own 5 s, scaled as the tokenizer is: this one keeps the GIL for half a second of CPU time.
WORKERS = ("--workers=3", "--timeout-worker-healthcheck=2")
GUNICORN = ("gunicorn", "wsgi:app", "--bind=127.0.0.1:{port}", "--no-control-socket")


@dataclass(frozen=True)
class Phase:
    """The service in one setting. memory: bytes; cpu: share of a core; None is no limit. liveness: is it probed."""

    words: str
    command: tuple[str, ...]
    start: str
    load: str
    memory: int | None = None
    cpu: float | None = None
    liveness: bool = False


@dataclass(frozen=True)
class Case:
    """One root: the setting that has it, and the one that does not."""

    root: str
    before: Phase
    after: Phase


MB = 1_000_000
CASES = {
    "oom": Case(
        OOM,
        Phase("pickle checkpoint beside a built model, 800 MB limit", UVICORN, "thread", "naive", memory=800 * MB),
        Phase("safetensors in bfloat16, the same 800 MB limit", UVICORN, "ready", "low", memory=800 * MB),
    ),
    "health": Case(
        BLOCKED,
        Phase("the first request loads on the event loop, liveness probe", UVICORN, "request", "naive", liveness=True),
        Phase("health_app, serve_health, load in a thread; same probe", UVICORN, "ready", "naive", liveness=True),
    ),
    "uvicorn": Case(
        WORKER_TIMEOUT,
        Phase("3 workers on 0.3 cores, ping timeout 2 s", (*UVICORN, *WORKERS), "thread", "low", cpu=0.3),
        Phase("1 process on 0.3 cores, scaled by replicas; health_app, serve_health", UVICORN, "ready", "low", cpu=0.3),
    ),
    "gunicorn": Case(
        WORKER_TIMEOUT,
        Phase("a worker loads in its first request, -t 2", (*GUNICORN, "-t", "2"), "request", "naive"),
        Phase("loaded by the parent (--preload), -t 2", (*GUNICORN, "-t", "2", "--preload"), "ready", "naive"),
    ),
}


@dataclass(frozen=True)
class Outcome:
    """What one phase gave. health, work: since the address first answered."""

    words: str
    root: str
    told: Told
    health: list[Seen]
    work: list[Seen]
    began: float
    timeline: list[str]

    def counts(self, rows: list[Seen]) -> dict[str, int]:
        """Requests by outcome."""
        return {
            name: count
            for name in ("ok", "busy", "error", *UNANSWERED)
            if (count := sum(1 for one in rows if one.outcome == name))
        }

    def unanswered(self) -> int:
        """Requests that got no answer: refused, reset or timeout."""
        return sum(1 for one in (*self.health, *self.work) if one.outcome in UNANSWERED)

    def to_json(self) -> dict[str, Any]:
        """All figures."""
        return {
            "setting": self.words, "root": self.root, "metrics": dataclasses.asdict(self.told),
            "health": self.counts(self.health), "clients": self.counts(self.work), "unanswered": self.unanswered(),
            "health_p99_seconds": _finite(percentile(self.health, 0.99)),
            "by_second": {second: dict(counts) for second, counts in self.seconds().items()},
            "timeline": self.timeline,
        }  # fmt: skip

    def seconds(self) -> dict[int, Any]:
        """Outcomes of all requests by second since the start."""
        return by_second([*self.health, *self.work], self.began)


def play(phase: Phase, folder: Path) -> Outcome:
    """Runs a phase to its end: a failure that the exporter tells, or a service that serves. Leaves nothing running."""
    port = free_port()
    health = free_port() if phase.start == "ready" else port
    kernel = KernelLog()
    exporter = Exporter(folder, health)
    log = folder / "service.log"
    environment = {
        "MODEL": str(MODEL), "LOAD": phase.load, "START": phase.start, "HEALTH_PORT": str(health),
        "MODEL_LOAD_EXPORTER_SPOOL": str(exporter.spool), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
    }  # fmt: skip
    clients = Clients(port, health, folder / "client.log")
    command = [part.format(port=port) for part in phase.command]
    try:
        with _limited(phase, folder.name) as wrapper, service(command, wrapper, environment, log) as process:
            began = time.time()
            clients.start()
            liveness = Liveness(process, health, "/health/live" if phase.start == "ready" else "/health")
            if phase.liveness:
                liveness.start()
            told = _watch(exporter, clients, liveness, log)
            clients.stop(drop=bool(told.failures))
            if phase.liveness:
                liveness.stop()
            # What the service says of the end that this script brings it is no part of the story.
            size = log.stat().st_size
        os.truncate(log, size)
        lines = kernel.lines(folder.name)
    finally:
        exporter.end()
        kernel.close()
    (folder / "kernel.log").write_text("".join(f"{line}\n" for line in lines))
    return Outcome(
        phase.words, told.root(), told, from_first_answer(clients.health), from_first_answer(clients.work), began,
        _timeline(folder),
    )  # fmt: skip


@contextlib.contextmanager
def _limited(phase: Phase, name: str) -> Iterator[tuple[str, ...]]:
    if phase.memory is not None:
        with limits.cgroup(name, "memory", limits.memory(phase.memory)) as wrapper:
            yield wrapper
    elif phase.cpu is not None:
        with limits.cgroup(name, "cpu", limits.cpu(phase.cpu)) as wrapper:
            yield wrapper
    else:
        yield ()


def _watch(exporter: Exporter, clients: Clients, liveness: Liveness, log: Path) -> Told:
    deadline = time.monotonic() + PHASE_SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.2)
        told = exporter.told()
        if told.failures:
            # So that the clients who were hit have been told, too.
            time.sleep(1.0)
            return exporter.told()
        if told.loaded and sum(1 for one in clients.work if one.outcome == "ok") >= ANSWERS:
            return told
        if liveness.ended and " loaded (" in log.read_text():
            raise SystemExit("the load was over before the liveness probe had the service ended: this machine is too "
                             "fast for these times; shorten Liveness.SECONDS in stack.py")  # fmt: skip
    raise SystemExit(f"nothing came of it within {PHASE_SECONDS:g} s; the service's log:\n{log.read_text()[-3000:]}")


def _timeline(folder: Path) -> list[str]:
    """What `analyze` makes of the three logs."""
    logs = [str(path) for path in sorted(folder.glob("*.log")) if path.name != "exporter.log" and path.stat().st_size]
    done = subprocess.run(
        [COMMAND, "analyze", *logs, "--boot-time", "host"], capture_output=True, text=True, check=False, timeout=60
    )
    lines = done.stdout.splitlines()
    if "timeline" not in lines:
        return lines[:2]
    start = lines.index("timeline")
    stop = next((at for at in range(start, len(lines)) if not lines[at]), len(lines))
    return [lines[0], *lines[start:stop]]


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None


def show(title: str, outcome: Outcome) -> None:
    """One phase for a person."""
    print(f"  {title}: {outcome.words}")
    print(
        f"    health    {_counts(outcome.counts(outcome.health))}, p99 {percentile(outcome.health, 0.99) * 1000:.0f} ms"
    )
    print(f"    clients   {_counts(outcome.counts(outcome.work))}")
    told = [f"{second} s: {_counts(counts)}" for second, counts in outcome.seconds().items()]
    print(f"    by second {' | '.join(told)}")
    for line in outcome.told.lines():
        print(f"    exporter  {line}")
    print(f"    root      {outcome.root}: {ROOTS.get(outcome.root, 'the series fit none')}")
    for line in outcome.timeline:
        print(f"    analyze   {line}")


def _counts(counts: Any) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def main() -> int:
    """Exit status: see the module."""
    parser = argparse.ArgumentParser(description="Reproduce the connection reset while a model loads, and its fixes.")
    parser.add_argument("--case", action="append", choices=CASES, help="only this one; repeatable")
    parser.add_argument("--phase", choices=("before", "after"), help="only this half of each case")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="each case so often (1)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the logs of each phase in DIR/CASE-PHASE")
    options = parser.parse_args()
    for needed in (COMMAND, BIN / "uvicorn", BIN / "gunicorn"):
        if not needed.exists():
            print(
                f"reproduce: {needed} is missing: run `make run` once, and `make .venv-models/.servers`",
                file=sys.stderr,
            )
            return 2
    if not MODEL.is_dir():
        print(f"building the model in {MODEL}, once", file=sys.stderr)
        maker = Path(__file__).with_name("model.py")
        subprocess.run([BIN / "python", maker, MODEL], check=True, stdout=sys.stderr)
    results: list[dict[str, Any]] = []
    good = True
    for number in range(options.repeat):
        for name in options.case or CASES:
            case = CASES[name]
            for title, phase, root in (("before", case.before, case.root), ("after", case.after, NONE)):
                if options.phase in (None, title):
                    good &= _one(
                        name, title, phase, root, results, text=not options.json, number=number, keep=options.keep
                    )
    if options.json:
        print(json.dumps({"schema": 1, "ok": good, "runs": results}, indent=2))
    else:
        print("each root was told by the exporter's series alone, and no fix left a request unanswered" if good else
              "NOT as expected: see the lines marked WRONG")  # fmt: skip
    return 0 if good else 1


def _one(
    name: str, title: str, phase: Phase, root: str, results: list[dict[str, Any]], *, text: bool, number: int,
    keep: Path | None,
) -> bool:  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="connection-reset-") as folder:
        try:
            outcome = play(phase, Path(folder))
        except limits.NoCgroupError as error:
            print(f"{name} {title}: not run: {error}", file=sys.stderr)
            results.append({"case": name, "phase": title, "repeat": number, "skipped": str(error)})
            return True
        if keep is not None:
            shutil.copytree(
                folder, keep / f"{name}-{title}", dirs_exist_ok=True, ignore=shutil.ignore_patterns("spool", "state")
            )
    right = outcome.root == root and (root != NONE or not outcome.unanswered())
    results.append({"case": name, "phase": title, "repeat": number, "ok": right, **outcome.to_json()})
    if text:
        print(f"{name} (run {number + 1})" if title == "before" else "", end="\n" if title == "before" else "")
        show(title, outcome)
        if not right:
            print(f"    WRONG     expected {root}; {outcome.unanswered()} requests got no answer")
        sys.stdout.flush()
    return right


if __name__ == "__main__":
    sys.exit(main())
