"""Reading 1 GiB of a model server's log: our scan with each engine, beside ripgrep, in MB per CPU second.

python benchmarks/analyze.py [--size 1024] [--rounds 3] [--keep FILE]     (--size 64 for every day)

ripgrep counts lines (-c -i -F) that hold one of the needles of the table, or one of the literals that our engines look
for; the faster of the two is what we are held against. It is the fair equivalent as far as it goes: it neither confirms
the needle by the row's expression, nor names the row, nor numbers the line, nor gives the lines that follow; ours does
all of it. (Given the table's expressions it would be slower still, and cannot ask for needle and expression together.)
Each run is a process of its own, start and imports included; the files are read once before, so that the disk does not
count. Then logs where 1 %, 10 % and 100 % of the lines fit. Exits 1 where the goal, 1x of ripgrep, is missed.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from side_by_side import median, verdict

from model_load_exporter.analysis import engines
from model_load_exporter.analysis.literals import literals
from model_load_exporter.analysis.reading import TABLE
from model_load_exporter.classify.patterns import PATTERNS

_MIB = 1 << 20
_POOL = 120_000
"""Lines that the log is drawn from."""
_PART = 20_000
_FAILURES_EVERY = 64 * _MIB

_SCAN = """
import sys
from model_load_exporter.analysis.reading import TABLE
from model_load_exporter.analysis.scan import scan
rows = TABLE[: int(sys.argv[3])]
found = sum(1 for line in scan([sys.argv[1]], rows, engine=sys.argv[2]))
print(found)
"""

_FAILURES = (
    "Traceback (most recent call last):\n"
    '  File "/app/serve.py", line 41, in load\n'
    "    model = AutoModelForCausalLM.from_pretrained(path)\n"
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.\n",
    "[ 8121.401234] Memory cgroup out of memory: Killed process 3121 (python3) total-vm:9423412kB\n",
    "safetensors_rust.SafetensorError: Error while deserializing header: InvalidHeaderLength\n",
    "[2026-03-01 10:00:31 +0000] [1] [CRITICAL] WORKER TIMEOUT (pid:17)\n",
)


def main() -> int:
    """Makes the logs, runs all, prints all."""
    parser = argparse.ArgumentParser(description="MB of log per CPU second, beside ripgrep.")
    parser.add_argument("--size", type=int, default=1024, help="MiB of the quiet log (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (default: %(default)s)")
    parser.add_argument("--keep", type=Path, help="write the quiet log there, and leave it")
    options = parser.parse_args()
    if shutil.which("rg") is None:
        print("ripgrep is missing: apt-get install ripgrep", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        quiet = options.keep or Path(folder, "service.log")
        _write(quiet, options.size * _MIB, share=0)
        # The wordings alone, then with the signs and stages around them: some of those stand in every log.
        met = [_beside_ripgrep(quiet, Path(folder), options.rounds, rows) for rows in (len(PATTERNS), len(TABLE))]
        print("\nlogs of 32 MiB in which many lines fit, MB per CPU second (start included)")
        for percent in (0, 1, 10, 100):
            noisy = Path(folder, "noisy.log")
            _write(noisy, 32 * _MIB, share=percent / 100)
            rates = {name: _rate(noisy, _ours(noisy, name, len(TABLE)))[0] for name in _installed()}
            print(f"  {percent:>3} %   " + "   ".join(f"{name} {rate:7.0f}" for name, rate in rates.items()))
    return 0 if all(met) else 1


def _beside_ripgrep(log: Path, folder: Path, rounds: int, rows: int) -> bool:
    needles = _patterns(folder / "needles", [row.needle.encode() for row in TABLE[:rows]])
    searched = _patterns(folder / "literals", [text for row in TABLE[:rows] for text in literals(row)])
    commands = {
        "rg, needles": ["rg", "-c", "-i", "-F", "-f", str(needles), str(log)],
        "rg, our literals": ["rg", "-c", "-i", "-F", "-f", str(searched), str(log)],
        **{name: _ours(log, name, rows) for name in _installed()},
    }
    log.read_bytes() if log.stat().st_size < 64 * _MIB else subprocess.run(
        ["cat", log], stdout=subprocess.DEVNULL, check=True
    )
    rates: dict[str, list[float]] = {name: [] for name in commands}
    answers: dict[str, str] = {}
    for _ in range(rounds):
        for name, command in commands.items():
            rate, answers[name] = _rate(log, command)
            rates[name].append(rate)
    print(f"{log.stat().st_size / _MIB:.0f} MiB, {rows} rows, {rounds} runs each")
    for name, values in rates.items():
        kind = "lines" if name.startswith("rg") else "lines that fit a row, with the row's name"
        print(f"  {name:<18} {median(values):7.0f} MB per CPU second   {answers[name]} {kind}")
    if len({answers[name] for name in _installed()}) != 1:
        print("  the engines do not agree")
        return False
    fastest = max(median(rates["rg, needles"]), median(rates["rg, our literals"]))
    print("ripgrep's cost to ours, the faster ripgrep:")
    for name in _installed():
        print(f"  {name:<18} {median(rates[name]) / fastest:5.2f}x")
    return verdict("the fast path, our cost to ripgrep's", fastest / median(rates[_installed()[0]]), 1)


def _ours(log: Path, engine: str, rows: int) -> list[str]:
    return [sys.executable, "-c", _SCAN, str(log), engine, str(rows)]


def _installed() -> list[str]:
    there = []
    for name in engines.NAMES:
        try:
            engines.engine([b"x"], name)
        except engines.EngineError as error:
            print(f"  not compared: {error}", file=sys.stderr)
        else:
            there.append(name)
    return there


def _patterns(path: Path, texts: Sequence[bytes]) -> Path:
    path.write_bytes(b"".join(text + b"\n" for text in sorted(set(texts)) if text))
    return path


def _rate(log: Path, command: Sequence[str]) -> tuple[float, str]:
    """(MB per CPU second, the first line it printed)."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        answer = child.stdout.read().strip()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode > 1:
        raise SystemExit(f"{command[0]} ended with {child.returncode}")
    return log.stat().st_size / 1e6 / (usage.ru_utime + usage.ru_stime), answer or "0"


def _write(path: Path, size: int, share: float) -> None:
    """The same log each time. share: of lines that fit; 0 for a few failures in between."""
    chance = random.Random(7)
    pool = list(_quiet_lines(chance))
    failures = [text.splitlines()[-1] + "\n" for text in _FAILURES]
    with path.open("w", encoding="utf-8") as file:
        written = since = 0
        while written < size:
            lines = chance.choices(pool, k=_PART)
            if share:
                for at in range(_PART):
                    if chance.random() < share:
                        lines[at] = chance.choice(failures)
            elif since >= _FAILURES_EVERY:
                lines.append(chance.choice(_FAILURES))
                since = 0
            part = "".join(lines)[: size - written + 200]
            file.write(part)
            written += len(part)
            since += len(part)


def _quiet_lines(chance: random.Random) -> Iterator[str]:
    """What a healthy model server writes: access lines, statistics, its logger's own, progress bars, JSON, health."""
    paths = ("/v1/chat/completions", "/v1/translate", "/health", "/metrics", "/v1/models", "/generate_stream")
    names = ("facebook/nllb-200-distilled-600M", "aya-expanse-8b", "all-MiniLM-L6-v2", "qwen2.5-7b-instruct")
    for number in range(_POOL):
        clock = (
            f"2026-03-01 {number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02},{chance.randrange(1000):03}"
        )
        request = f"{chance.getrandbits(128):032x}"
        host = f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(256)}"
        name, path = chance.choice(names), chance.choice(paths)
        kind = chance.random()
        if kind < 0.45:
            yield f'INFO:     {host}:{chance.randrange(1024, 65536)} - "POST {path} HTTP/1.1" 200 OK\n'
        elif kind < 0.60:
            yield (
                f"{clock} INFO [serve.worker-{chance.randrange(8)}] request {request} model={name} "
                f"tokens_in={chance.randrange(4096)} tokens_out={chance.randrange(1024)} "
                f"latency_ms={chance.random() * 4000:.1f}\n"
            )
        elif kind < 0.72:
            yield (
                f"INFO {clock[5:19]} [loggers.py:118] Engine 000: "
                f"Avg prompt throughput: {chance.random() * 900:.1f} tokens/s, "
                f"Avg generation throughput: {chance.random() * 90:.1f} tokens/s, "
                f"Running: {chance.randrange(64)} reqs, Waiting: {chance.randrange(9)} reqs, "
                f"GPU KV cache usage: {chance.random() * 100:.1f}%, "
                f"Prefix cache hit rate: {chance.random() * 100:.1f}%\n"
            )
        elif kind < 0.84:
            yield (
                f'{{"time": "{clock}", "level": "info", "logger": "app.translate", "request_id": "{request}", '
                f'"message": "translated {chance.randrange(900)} characters", "status": 200}}\n'
            )
        elif kind < 0.90:
            yield f"{clock} DEBUG [cache] hit key={request[:16]} size={chance.randrange(65536)}\n"
        elif kind < 0.94:
            answer = f"404 {chance.randrange(999)}"
            yield f'{host} - - [01/Mar/2026:{clock[11:19]} +0000] "GET {path} HTTP/1.1" {answer} "-" "curl/8"\n'
        elif kind < 0.97:
            steps = "".join(
                f"\rBatches: {n:3}%|{'█' * (n // 20):<5}| {n}/100 [00:0{n // 20}<00:00]" for n in range(0, 101, 20)
            )
            yield steps + "\n"
        elif kind < 0.99:
            yield f"{clock} WARNING [queue] depth {chance.randrange(200)} above 100, shedding nothing yet\n"
        else:
            yield f"{clock} INFO [autoscaler] replicas {chance.randrange(9)} -> {chance.randrange(9)} for {name}\n"


if __name__ == "__main__":
    sys.exit(main())
