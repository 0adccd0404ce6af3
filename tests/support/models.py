"""Small model folders whose every byte is known."""

import hashlib
import json
import random
import struct
from pathlib import Path


def safetensors(seed: int = 0, size: int = 4096) -> bytes:
    """A valid file of one tensor; another seed gives other contents of the same size."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + random.Random(seed).randbytes(size)


def model_folder(folder: Path, *, manifest: bool = False, seed: int = 0) -> Path:
    """config.json, weights, and perhaps a manifest of both."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model.safetensors").write_bytes(safetensors(seed))
    if manifest:
        names = ("config.json", "model.safetensors")
        lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
        (folder / "manifest.sha256").write_text("".join(lines))
    return folder


def flip_bit(file: Path) -> None:
    """One bit of the last byte, in place; size and header stay. Done twice, it is the file from before."""
    with file.open("r+b") as stream:
        stream.seek(-1, 2)
        last = stream.read(1)[0]
        stream.seek(-1, 2)
        stream.write(bytes([last ^ 1]))
