"""Memory predicted from headers. How true it is, the integration tests measure on real loads."""

import json
from pathlib import Path

import pytest

from model_load_exporter.artifacts.predict import LIBRARIES, predict_memory


def folder_with(path: Path, dtype: str, size: int, config: dict[str, object] | None = None) -> Path:
    width = {"F32": 4, "BF16": 2}[dtype]
    header = {"w": {"dtype": dtype, "shape": [size // width], "data_offsets": [0, size]}}
    raw = json.dumps(header).encode()
    with open(path / "model.safetensors", "wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        file.truncate(8 + len(raw) + size)
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    return path


def test_tensors_and_libraries_are_counted(tmp_path: Path) -> None:
    """Every tensor once, on top of what the libraries take."""
    found = predict_memory(str(folder_with(tmp_path, "F32", 10**9)), "safetensors")

    assert found is not None
    assert found.bytes == 10**9 + LIBRARIES["safetensors"]


@pytest.mark.parametrize(
    ("config", "extra"),
    [
        ({"torch_dtype": "bfloat16"}, 0),
        ({"torch_dtype": "float32"}, 2 * 10**9),
        ({"dtype": "float32"}, 2 * 10**9),
        ({"dtype": 7}, 0),
        ({}, 0),
        (None, 0),
    ],
)
def test_a_conversion_holds_both_forms(tmp_path: Path, config: dict[str, object] | None, extra: int) -> None:
    """A bfloat16 file that is loaded as float32 peaks at both."""
    found = predict_memory(str(folder_with(tmp_path, "BF16", 10**9, config)), "transformers")

    assert found is not None
    assert found.bytes == 10**9 + LIBRARIES["transformers"] + extra


@pytest.mark.parametrize("loader", ["python:module:load", "gguf"])
def test_an_unknown_loader_predicts_nothing(tmp_path: Path, loader: str) -> None:
    """No guess is better than a wrong one."""
    assert predict_memory(str(folder_with(tmp_path, "F32", 100)), loader) is None


def test_a_damaged_or_missing_file_predicts_nothing(tmp_path: Path) -> None:
    """What is wrong with it is for the load to say."""
    (tmp_path / "model.safetensors").write_bytes(b"no header")

    assert predict_memory(str(tmp_path), "transformers") is None
    assert predict_memory(str(tmp_path / "gone"), "transformers") is None
    assert predict_memory(str(tmp_path / "gone.pth"), "torch") is None
