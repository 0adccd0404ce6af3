"""Bytes verified per CPU second: hashing against sha256sum, zip CRCs against unzip -t, headers against safe_open().

    .venv/bin/python benchmarks/verify.py [--size 2GB] [--folder /var/tmp]

Each runs on the same files, which are in the page cache; processor time (user and system) is that of the whole child,
interpreter and imports included; the best of several runs each, in turn. The header check is timed within its process,
as the library's is: the best of 100 calls, of files with 150, 300 and 1,000 tensors. Ratios are ours divided by theirs.
Needs unzip (apt install unzip) and, for safe_open, .venv-models (make test sets it up).
"""

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from side_by_side import BIN, verdict

from model_load_exporter.units import format_size, parse_size

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / ".venv-models" / "bin" / "python"
TENSORS = (150, 300, 1000)
STORAGES = 16

CRC = """
import sys
from pathlib import Path
from model_load_exporter.artifacts import torch_zip
torch_zip.deep(Path(sys.argv[1]), lambda count: None)
"""
HEADER = """
import sys, time
{setup}
def best(path):
    took = []
    for _ in range(100):
        began = time.perf_counter()
        check(path)
        took.append(time.perf_counter() - began)
    return min(took)
print(*(best(path) for path in sys.argv[1:]))
"""
OURS = """
from pathlib import Path
from model_load_exporter.artifacts import safetensors
def check(path): safetensors.read(Path(path))
"""
THEIRS = """
from safetensors import safe_open
def check(path):
    with safe_open(path, "numpy") as file: file.keys()
"""


def main() -> int:
    """0 where every goal is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=parse_size, default="2GB", help="of the checkpoint (default: %(default)s)")
    parser.add_argument("--folder", default="/var/tmp", help="on a disk with twice that free (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="of each command (default: %(default)s)")
    options = parser.parse_args()
    if shutil.which("unzip") is None:
        sys.exit("unzip is missing: apt install unzip")
    with tempfile.TemporaryDirectory(prefix="verify-", dir=options.folder) as folder:
        return 0 if measure(Path(folder), options.size, options.runs) else 1


def measure(folder: Path, size: int, runs: int) -> bool:
    """Prints the ratios; True where every goal is met."""
    checkpoint, other = write_checkpoint(folder / "model.pth", size), folder / "other.dat"
    shutil.copyfile(checkpoint, folder / "model.dat")
    print(f"{format_size(checkpoint.stat().st_size)} each, best of {runs} runs\n")
    raw = folder / "model.dat"
    verify = [str(BIN / "model-load-exporter"), "verify", "--json"]
    commands = {
        "sha256sum": ["sha256sum", str(raw)],
        "verify, one file without checksums of its own": [*verify, str(raw)],
        "unzip -t": ["unzip", "-tqq", str(checkpoint)],
        "CRC of each entry": [sys.executable, "-c", CRC, str(checkpoint)],
        "verify, the checkpoint: sha256 and CRC": [*verify, str(checkpoint)],
    }
    cpu, wall = dict[str, float](), dict[str, float]()
    for _ in range(runs):
        for name, command in commands.items():
            used, took = run(command)
            cpu[name], wall[name] = min(used, cpu.get(name, used)), min(took, wall.get(name, took))
    for name in commands:
        print(
            f"  {name:<48} {cpu[name]:6.2f} s CPU  {size / cpu[name] / 1e9:6.2f} GB per CPU second  {wall[name]:6.2f} s"
        )
    checkpoint.rename(other)
    _, one = min((run([*verify, str(raw)]) for _ in range(runs)), key=lambda pair: pair[1])
    _, two = min((run([*verify, str(raw), str(other)]) for _ in range(runs)), key=lambda pair: pair[1])
    cores = len(os.sched_getaffinity(0))
    print(f"  two files take {two / one:.2f} times the wall time of one, on {cores} cores\n")
    met = [
        verdict(
            "CPU time of hashing / sha256sum",
            cpu["verify, one file without checksums of its own"] / cpu["sha256sum"],
            1 / 4,
        ),
        verdict("CPU time of zip CRC / unzip -t", cpu["CRC of each entry"] / cpu["unzip -t"], 1 / 10),
    ]
    return all([*met, headers(folder)])


def headers(folder: Path) -> bool:
    """The header check of a 1 GB safetensors file against the library's."""
    files = [str(write_safetensors(folder / f"{count}.safetensors", count)) for count in TENSORS]
    if not MODELS.exists():
        print("  no .venv-models: safe_open() was not measured (make test sets it up)")
        return False
    best: dict[str, list[float]] = {}
    for _ in range(3):
        for name, python, setup in (("ours", sys.executable, OURS), ("theirs", str(MODELS), THEIRS)):
            done = subprocess.run(
                [python, "-c", HEADER.format(setup=setup), *files], stdout=subprocess.PIPE, check=True
            )
            times = [float(word) for word in done.stdout.split()]
            best[name] = [min(pair) for pair in zip(times, best.get(name, times), strict=True)]
    met = True
    for count, ours, theirs in zip(TENSORS, best["ours"], best["theirs"], strict=True):
        print(f"  1 GB in {count} tensors: header check {ours * 1e3:.3f} ms, safe_open().keys() {theirs * 1e3:.3f} ms")
        met &= verdict(f"header check / safe_open().keys(), {count} tensors", ours / theirs, 1.2)
    return met


def run(command: list[str]) -> tuple[float, float]:
    """Processor time and wall time of a child, in seconds."""
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT) as child:
        _, status, usage = os.wait4(child.pid, 0)
        took = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command[:3])} ended with status {child.returncode}")
    return usage.ru_utime + usage.ru_stime, took


def write_checkpoint(path: Path, size: int) -> Path:
    """A checkpoint of that many bytes as torch.save lays it out, in a few storages."""
    count = size // STORAGES // 4
    block = os.urandom(2**22)
    state = b"\x80\x02}(" + b"".join(
        b"X\x02\0\0\0%02dctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x02\0\0\0%02d"
        % (number, number)
        + b"X\x03\0\0\0cpuJ" + struct.pack("<i", count) + b"tQK\0J" + struct.pack("<i", count)
        + b"\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"
        for number in range(STORAGES)
    ) + b"u."  # fmt: skip
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("model/data.pkl", state)
        for number in range(STORAGES):
            with archive.open(f"model/data/{number:02d}", "w", force_zip64=True) as entry:
                left = count * 4
                while left:
                    left -= entry.write(block[:left])
        archive.writestr("model/version", "3\n")
    return path


def write_safetensors(path: Path, tensors: int) -> Path:
    """A gigabyte in that many tensors, named as a Llama's are; the data is a hole, which nobody reads."""
    count = 2**30 // tensors // 2
    header = {
        f"model.layers.{number // 9}.self_attn.q_proj.{number % 9}.weight": {
            "dtype": "BF16", "shape": [count // 64, 64],
            "data_offsets": [number * (count // 64 * 128), (number + 1) * (count // 64 * 128)],
        }
        for number in range(tensors)
    }  # fmt: skip
    raw = json.dumps({"__metadata__": {"format": "pt"}, **header}, separators=(",", ":")).encode()
    with open(path, "wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        file.truncate(8 + len(raw) + tensors * (count // 64 * 128))
    return path


if __name__ == "__main__":
    sys.exit(main())
