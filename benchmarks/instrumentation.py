"""What the instrumentation costs a service: its import, and a tracked load of five stages.

    python benchmarks/instrumentation.py

Run by the interpreter that has the package installed. Exits 1 where a goal is missed. The import is measured as whole
processes, bare and with it, turn by turn; the load with a spool of its own whose lock is held as a daemon holds it.
The fastest of many is taken: whatever else runs on the host only adds.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMPORT_GOAL_MS = 15.0
LOAD_GOAL_MS = 0.2

_STARTS = 25
_LOADS, _ROUNDS = 20, 60
_STAGES = ("config", "tokenizer", "weights", "device", "warmup")


def _start(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - began) * 1e3


def import_ms() -> tuple[float, float]:
    """(bare python, what `import model_load_exporter; instrument()` adds)."""
    code = "import model_load_exporter; model_load_exporter.instrument()"
    _start(code)  # writes the .pyc files
    pairs = [(_start("pass"), _start(code)) for _ in range(_STARTS)]
    bare = min(bare for bare, _ in pairs)
    return bare, min(ours for _, ours in pairs) - bare


def load_ms(spool: Path, path: str | None) -> tuple[float, float]:
    """(the first load of this process, a later one)."""
    from model_load_exporter import track_load

    def load() -> None:
        with track_load("benchmark", path=path) as tracked:
            for name in _STAGES:
                with tracked.stage(name):
                    pass

    def measured(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            load()
        spent = (time.perf_counter() - began) / times * 1e3
        for file in spool.glob("a-*.jsonl"):  # as the daemon does
            file.unlink()
        return spent

    first = measured(1)
    return first, min(measured(_LOADS) for _ in range(_ROUNDS))


def create_ms(spool: Path) -> float:
    """What the file system takes to make one file: a part of every load that is not ours to shorten."""

    def one(number: int) -> float:
        began = time.perf_counter()
        os.close(os.open(spool / f".{number}.tmp", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        return (time.perf_counter() - began) * 1e3

    return min(one(number) for number in range(_LOADS * 5))


def main() -> int:
    """Measures, prints, judges."""
    from model_load_exporter.journal.reader import create_spool, lock_spool

    bare, added = import_ms()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MODEL_LOAD_EXPORTER_SPOOL"] = folder
        create_spool(folder)
        lock = lock_spool(folder)
        first, named = load_ms(Path(folder), None)
        _, at_path = load_ms(Path(folder), folder)
        create = create_ms(Path(folder))
        os.close(lock)
    rows = [
        ("import and instrument(), over bare python", added, IMPORT_GOAL_MS),
        ("tracked load, 5 stages", named, LOAD_GOAL_MS),
        ("tracked load, 5 stages, with a path", at_path, LOAD_GOAL_MS),
    ]
    print(f"bare python {bare:.1f} ms; the first load of the process {first:.2f} ms")
    print(f"of each load, making the file takes {create:.3f} ms on this file system")
    for what, measured, goal in rows:
        print(f"{what:45} {measured:8.3f} ms   goal {goal:g} ms   {'ok' if measured <= goal else 'MISSED'}")
    return int(any(measured > goal for _, measured, goal in rows))


if __name__ == "__main__":
    sys.exit(main())
