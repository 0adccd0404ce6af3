"""torch.load and safetensors.torch, as installed: what an instrumented service tells of them."""

from pathlib import Path

from hook_services import serve, stages, told

CODE = """
import torch
from safetensors.torch import load_file, save_file   # the name is taken before the first load, as services do
here = sys.argv[1]
torch.save({"a": torch.zeros(3)}, f"{here}/plain.pt")
save_file({"a": torch.zeros(3)}, f"{here}/plain.safetensors")
open(f"{here}/cut.pt", "wb").write(open(f"{here}/plain.pt", "rb").read()[:100])
assert torch.load(f"{here}/plain.pt")["a"].shape == (3,)
assert load_file(f"{here}/plain.safetensors")["a"].shape == (3,)
try:
    torch.load(f"{here}/cut.pt")
except RuntimeError as error:
    assert "zip archive" in str(error)
with open(f"{here}/plain.pt", "rb") as file:
    torch.load(file)                                  # no name: no load by itself
with track_load("mine", path="/elsewhere") as load:
    torch.load(f"{here}/plain.pt")
    with load.stage("weights"):
        load_file(f"{here}/plain.safetensors")

import pickle, inspect
assert pickle.loads(pickle.dumps(torch.load)) is torch.load   # pool.submit(torch.load, path)
assert "weights_only" in inspect.signature(torch.load).parameters
"""


def test_checkpoints(spool: Path, tmp_path: Path) -> None:
    """Each file is a load, with its reason where it fails; inside of a load it is the stage `weights`, told once."""
    found = serve(CODE, spool, tmp_path)
    assert [told(attempt) for attempt in found] == [
        ("plain.pt", "loaded", None),
        ("plain.safetensors", "loaded", None),
        ("cut.pt", "failed", "file_corrupted"),
        ("mine", "loaded", None),
    ]
    assert [stages(attempt) for attempt in found] == [["weights"], ["weights"], ["weights"], ["weights", "weights"]]
    assert (found[2].stage, found[0].begin.path) == ("weights", str(tmp_path / "plain.pt"))
