"""Memory of GGUF, TensorFlow Lite and ONNX models, predicted from their headers."""

from pathlib import Path

import pytest

from model_load_exporter.artifacts.predict import CONTEXT, LIBRARIES, predict_memory
from support import format_bytes as make

LLAMA = {
    "general.architecture": "llama", "llama.block_count": 4, "llama.embedding_length": 64,
    "llama.attention.head_count": 8, "llama.attention.head_count_kv": 2,
}  # fmt: skip


def predicted(path: Path, loader: str) -> int:
    found = predict_memory(str(path), loader)
    assert found is not None
    return found.bytes - LIBRARIES[loader]


@pytest.mark.parametrize(("kind", "bytes_of_32", "copies"), [(8, 34, 1), (2, 18, 2), (0, 128, 1)])
def test_a_gguf_takes_its_tensors_and_its_context(tmp_path: Path, kind: int, bytes_of_32: int, copies: int) -> None:
    """Types that llama.cpp repacks are held twice: q4_0, and not q8_0."""
    path = tmp_path / "m.gguf"
    path.write_bytes(make.gguf(LLAMA, [("w", [32, 100], kind, 0)], bytes_of_32 * 100))

    assert predicted(path, "gguf") == bytes_of_32 * 100 * copies + 2 * CONTEXT * 4 * 2 * (8 + 8)


def test_a_header_without_dimensions_counts_no_context(tmp_path: Path) -> None:
    """No guess is better than a wrong one."""
    path = tmp_path / "m.gguf"
    path.write_bytes(make.gguf({}, [("w", [32, 10], 0, 0)], 1280))

    assert predicted(path, "gguf") == 1280


def test_a_folder_of_gguf_counts_the_file_that_is_loaded(tmp_path: Path) -> None:
    """The first by name with all of its split, and no other quantisation beside it."""
    for number in (1, 2):
        raw = make.gguf({"split.count": 2, "split.no": number - 1}, [("w", [32, 10], 0, 0)], 1280)
        (tmp_path / f"a-0000{number}-of-00002.gguf").write_bytes(raw)
    (tmp_path / "b.gguf").write_bytes(make.gguf({}, [("w", [32, 10], 0, 0)], 1280))

    assert predicted(tmp_path, "gguf") == 2 * 1280


def test_a_tflite_is_mapped_and_packed(tmp_path: Path) -> None:
    """Its tensors count twice."""
    (tmp_path / "m.tflite").write_bytes(make.tflite(bytes(640)))

    assert predicted(tmp_path / "m.tflite", "tflite") == predicted(tmp_path, "tflite") == 1280


@pytest.mark.parametrize("by", ["file", "folder"])
def test_an_onnx_model_counts_the_data_beside_it(tmp_path: Path, by: str) -> None:
    """Whether the model or its folder is named, and whatever the data's file is called."""
    tensor = make.onnx_tensor("w", [1000], 1, None, location="weights.data")
    (tmp_path / "model.onnx").write_bytes(make.onnx(tensor))
    (tmp_path / "weights.data").write_bytes(bytes(4000))

    assert predicted(tmp_path / "model.onnx" if by == "file" else tmp_path, "onnx") == 8000


@pytest.mark.parametrize(("name", "loader"), [("m.gguf", "gguf"), ("m.tflite", "tflite"), ("m.onnx", "onnx")])
def test_a_damaged_or_missing_file_predicts_nothing(tmp_path: Path, name: str, loader: str) -> None:
    """What is wrong with it is for the load to say."""
    assert predict_memory(str(tmp_path / name), loader) is None
    assert predict_memory(str(tmp_path), loader) is None
    (tmp_path / name).write_bytes(b"no model at all")
    assert predict_memory(str(tmp_path / name), loader) is None
