"""CPU per scrape, memory and start of the daemon, beside prometheus_client's own server and node_exporter.

python benchmarks/scrape.py [--rounds 40] [--interval 0.3]

The servers are asked in turn, in one run. The interval is above the 0.25 s in which the daemon answers from the same
rendering: every scrape is a new one. `--interval 6` also runs the collectors of disks and drivers for each scrape.
node_exporter serves the same number of series from a text file. Exits 1 where a goal is missed.
"""

import argparse
import gzip
import shutil
import sys
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from side_by_side import PROMETHEUS_CLIENT, Server, exporter, free_port, median, serving, verdict

_SETTLE = 0.02


def main() -> int:
    """Runs all, prints all."""
    parser = argparse.ArgumentParser(description="CPU per scrape against other exporters.")
    parser.add_argument("--rounds", type=int, default=40, help="scrapes of each server (default: %(default)s)")
    parser.add_argument("--interval", type=float, default=0.3, help="seconds between rounds (default: %(default)s)")
    parser.add_argument("--starts", type=int, default=5, help="starts of each server (default: %(default)s)")
    options = parser.parse_args()
    results = [_scrapes(count, options.rounds, options.interval) for count in (1000, 10_000)]
    results.append(_starts(options.starts))
    return 0 if all(results) else 1


def _scrapes(count: int, rounds: int, interval: float) -> bool:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = [stack.enter_context(entry) for entry in (_daemon(folder, count), _client(count))]
        node = _node_exporter(folder, count)
        if node is not None:
            servers.append(stack.enter_context(node))
        for server in servers:
            server.wait()
            server.get()
        spent: dict[str, list[float]] = {server.name: [] for server in servers}
        for _ in range(rounds):
            time.sleep(interval)
            for server in servers:
                before = server.cpu
                server.get()
                time.sleep(_SETTLE)  # what it does after its answer counts too
                spent[server.name].append(server.cpu - before)
        series = {server.name: _series(server) for server in servers}
        resident = {server.name: server.resident for server in servers}
    cost = {name: sum(values) / len(values) for name, values in spent.items()}
    print(f"{count} series, {rounds} scrapes each")
    for name in cost:
        print(
            f"  {name:<20} {series[name]:>6} series   CPU a scrape: mean {cost[name] * 1e3:7.3f} ms,"
            f" median {median(spent[name]) * 1e3:7.3f} ms   resident {resident[name] / 2**20:6.1f} MiB"
        )
    met = verdict("CPU a scrape, to prometheus_client", cost["exporter"] / cost["prometheus_client"], 1 / 20)
    if "node_exporter" in cost:
        met &= verdict("CPU a scrape, to node_exporter", cost["exporter"] / cost["node_exporter"], 1 / 10)
        if count == 1000:
            met &= verdict("resident memory, to node_exporter", resident["exporter"] / resident["node_exporter"], 2.5)
    else:
        print("  node_exporter is not installed: not compared (apt-get install prometheus-node-exporter)")
    return met


def _series(server: Server) -> int:
    body = server.get()
    text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
    return sum(not line.startswith(b"#") for line in text.splitlines())


def _daemon(folder: Path, count: int) -> AbstractContextManager[Server]:
    port = free_port()
    config = folder / "config.yml"
    # One model has 78 series before its first load; the daemon's own come on top.
    config.write_text("models:\n" + "".join(f"  - {{name: model-{number}}}\n" for number in range(count // 78)))
    return serving("exporter", exporter(folder, port, f"--config.file={config}"), port)


def _client(count: int) -> AbstractContextManager[Server]:
    port = free_port()
    return serving("prometheus_client", [sys.executable, "-c", PROMETHEUS_CLIENT, str(port), str(count)], port)


def _node_exporter(folder: Path, count: int) -> AbstractContextManager[Server] | None:
    binary = shutil.which("node_exporter") or shutil.which("prometheus-node-exporter")
    if binary is None:
        return None
    port = free_port()
    text = "# TYPE bench_value gauge\n" + "".join(
        f'bench_value{{name="series-{number}",kind="bench"}} {number * 1.5}\n' for number in range(count)
    )
    (folder / "bench.prom").write_text(text)
    command = [
        binary, f"--web.listen-address=127.0.0.1:{port}", "--collector.disable-defaults", "--collector.textfile",
        f"--collector.textfile.directory={folder}",
    ]  # fmt: skip
    return serving("node_exporter", command, port)


def _starts(count: int) -> bool:
    seconds: dict[str, list[float]] = {"exporter": [], "prometheus_client": []}
    for _ in range(count):
        with tempfile.TemporaryDirectory() as folder:
            for entry in (_daemon(Path(folder), 1000), _client(1000)):
                with entry as server:
                    seconds[server.name].append(server.wait())
    print(f"start to first 200, median of {count}")
    for name, values in seconds.items():
        print(f"  {name:<20} {median(values) * 1e3:7.1f} ms")
    ratio = median(seconds["exporter"]) / median(seconds["prometheus_client"])
    return verdict("start to first 200, to prometheus_client", ratio, 2)


if __name__ == "__main__":
    sys.exit(main())
