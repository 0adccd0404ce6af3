"""Writes real checkpoints of many kinds into a folder, and says which of them torch's default load accepts.

Run by test_verify_libraries.py: .venv-models/bin/python tests/integration/verify_files.py FOLDER
"""

import argparse
import json
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

warnings.filterwarnings("ignore")


class Settings:
    """A class of the model's author."""


def _kinds() -> dict[str, Any]:
    layer = torch.nn.Linear(8, 4)
    base = torch.arange(64.0).reshape(8, 8)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 8)).sum().backward()
    optimizer.step()
    return {
        "state": layer.state_dict(),
        "half": {"w": base.half(), "b": base.bfloat16()},
        "integers": {"a": base.long(), "b": base.to(torch.int8), "c": base.bool(), "d": base.to(torch.uint8)},
        "complex": {"w": base.to(torch.complex64)},
        "float8": {"w": base.to(torch.float8_e4m3fn)},
        "unsigned": {"w": base.to(torch.int32).view(torch.uint32)},
        "quantized": {"w": torch.quantize_per_tensor(base, 0.1, 0, torch.qint8)},
        "shared": {"a": base, "b": base[2:4], "c": base.t()},
        "empty": {"w": torch.zeros(0), "none": None},
        "sparse": {"w": base.to_sparse()},
        "parameter": {"w": torch.nn.Parameter(base)},
        "nested": {"epoch": 3, "lists": [[1, 2.5, "x"], (True, None)], "model": layer.state_dict()},
        "optimizer": optimizer.state_dict(),
        "layer": layer,
        "author": {"settings": Settings()},
        "numpy": {"seed": np.float64(1.5), "array": np.arange(5)},
        "arguments": argparse.Namespace(rate=0.1),
        "device": {"device": torch.device("cpu"), "dtype": torch.float16, "size": torch.Size([1, 2])},
    }


def main(folder: Path) -> None:
    """Every kind in both forms of torch.save, TorchScript, safetensors and pickles."""
    loads = dict[str, bool]()
    for name, value in _kinds().items():
        for form in ("zip", "legacy"):
            if form == "legacy" and name in ("float8", "unsigned"):
                continue  # torch 2.13 writes these and cannot read them back
            path = folder / f"{name}-{form}.pt"
            torch.save(value, path, _use_new_zipfile_serialization=form == "zip")
            try:
                torch.load(path, weights_only=True)
                loads[path.name] = True
            except pickle.UnpicklingError:
                loads[path.name] = False
    torch.serialization.set_crc32_options(False)
    torch.save({"w": torch.randn(64)}, folder / "without_checksums.pt")
    torch.serialization.set_crc32_options(True)
    torch.jit.script(torch.nn.Linear(4, 4)).save(str(folder / "scripted.pt"))
    torch.jit.trace(torch.nn.Linear(4, 4), torch.zeros(1, 4)).save(str(folder / "traced.pt"))
    types = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.float8_e5m2,
             torch.complex64)  # fmt: skip
    save_file({str(kind): torch.zeros(3, 5).to(kind) for kind in types} | {"scalar": torch.tensor(1.0)},
              folder / "types.safetensors", metadata={"format": "pt"})  # fmt: skip
    allowed = torch._weights_only_unpickler._get_allowed_globals()
    json.dump({"loads": loads, "allowed": sorted(allowed)}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
