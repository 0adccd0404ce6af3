"""JSON files of a model, shard indexes and vocabularies: valid, and with what a loader must have."""

import base64
import json
from pathlib import Path

import pytest

from model_load_exporter.artifacts import json_files, shard_index, vocabulary
from support.checkpoints import write_checkpoint, write_model, write_safetensors
from support.hostile import refused, within


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("config.json", "", "file_empty"),
        ("config.json", "{", "config_invalid"),
        ("config.json", "[]", "config_invalid"),
        ("config.json", "null", "config_invalid"),
        ("config.json", "\x00" * 100, "file_corrupted"),
        ("config.json", "<!DOCTYPE html><html>", "file_corrupted"),
        ("config.json", "version https://git-lfs.github.com/spec/v1\n", "lfs_pointer"),
        ("config.json", '{"architectures": "Llama"}', "config_invalid"),
        ("config.json", '{"model_type": 7}', "config_invalid"),
        ("config.json", '{"model_type": "llama", "hidden_size": "x"}', "config_invalid"),
        ("config.json", '{"model_type": "llama", "vocab_size": -1}', "config_invalid"),
        ("config.json", '{"model_type": "llama", "torch_dtype": "flaot16"}', "config_invalid"),
        ("config.json", "[" * 200_000, "config_invalid"),
        ("tokenizer.json", "{}", "config_invalid"),
        ("tokenizer.json", '{"model": {}}', "config_invalid"),
        ("tokenizer.json", '{"model": {"type": "BPE", "vocab": {"a": 0}}}', "config_invalid"),
        ("tokenizer.json", '{"model": {"vocab": {"a": 0}}, "added_tokens": 1}', "config_invalid"),
        ("tokenizer_config.json", "{,}", "config_invalid"),
        ("generation_config.json", '"text"', "config_invalid"),
        ("preprocessor_config.json", "{", "config_invalid"),
        ("vocab.json", "{}", "config_invalid"),
        ("vocab.json", '{"a": "b"}', "config_invalid"),
        ("model_index.json", "{}", "config_invalid"),
        ("model_index.json", '{"_class_name": "P", "unet": ["diffusers", "UNet"]}', "file_missing"),
        ("adapter_config.json", "{}", "config_invalid"),
        ("any_other.json", "{", "config_invalid"),
    ],
)
def test_what_no_loader_would_take(tmp_path: Path, name: str, content: str, reason: str) -> None:
    """Each with the reason that the load would have."""
    (tmp_path / name).write_text(content)
    assert refused(json_files.read, tmp_path / name).reason == reason


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("config.json", {}),
        ("config.json", {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True}),
        ("config.json", {"model_type": "opt", "architectures": None, "torch_dtype": None}),
        ("config.json", {"model_type": "openelm", "num_attention_heads": [12, 16], "torch_dtype": "torch.bfloat16"}),
        ("tokenizer.json", {"model": {"type": "Unigram", "vocab": [["a", -1.5]]}}),
        ("tokenizer.json", {"model": {"vocab": {"a": 0}}}),
        ("model_index.json", {"_class_name": "P", "safety_checker": [None, None], "force_zeros": True}),
        ("trainer_state.json", [1, 2]),
    ],
)
def test_what_loaders_do_take(tmp_path: Path, name: str, document: object) -> None:
    """Other libraries' config.json has none of transformers' keys."""
    (tmp_path / name).write_text(json.dumps(document))
    json_files.read(tmp_path / name)


def test_a_configuration_tells_what_the_model_is(tmp_path: Path) -> None:
    """Architecture, type and version of the library that wrote it."""
    metadata = json_files.read(write_model(tmp_path) / "config.json").metadata
    assert metadata == {
        "architecture": "LlamaForCausalLM", "dtype": "bfloat16", "version": "5.23.0", "producer": "transformers",
    }  # fmt: skip


def test_an_empty_configuration_beside_weights_is_one_too_few(tmp_path: Path) -> None:
    """A module without weights may have it empty."""
    (tmp_path / "config.json").write_text("{}")
    json_files.read(tmp_path / "config.json")
    write_safetensors(tmp_path / "model.safetensors")
    assert refused(json_files.read, tmp_path / "config.json").reason == "config_invalid"


def test_a_document_of_millions_of_values_is_not_built(tmp_path: Path) -> None:
    """Each costs a hundred bytes once it is parsed."""
    (tmp_path / "tokenizer.json").write_text("[" + "{}," * 9_000_000 + "{}]")
    with within(seconds=1, mebibytes=60):
        assert refused(json_files.read, tmp_path / "tokenizer.json").reason == "config_invalid"


def test_an_index_is_held_against_its_shards(tmp_path: Path) -> None:
    """Complete; then a shard of another revision; then none at all."""
    index = write_model(tmp_path) / "model.safetensors.index.json"
    assert shard_index.read(index).metadata["note"] == "2 shards"

    write_safetensors(tmp_path / "model-00002-of-00002.safetensors", "c")
    error = refused(shard_index.read, index)
    assert error.reason == "file_corrupted"
    assert "'b'" in str(error)

    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    error = refused(shard_index.read, index)
    assert error.reason == "shard_missing"
    assert "model-00002-of-00002.safetensors" in str(error)


@pytest.mark.parametrize(
    "content",
    ["[", "{}", "[]", '{"weight_map": []}', '{"weight_map": {}}', '{"weight_map": {"a": 7}}',
     '{"weight_map": {"a": "../../../etc/passwd"}}', '{"weight_map": {"a": "/etc/passwd"}}',
     '{"weight_map": {"a": ".."}}', '{"weight_map": {"a": ""}}', '{"weight_map": {"a": "x\\u0000y"}}',
     "<html>", "[" * 100_000],
)  # fmt: skip
def test_a_broken_index_is_refused(tmp_path: Path, content: str) -> None:
    """No JSON, no map, or names that leave the folder."""
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(content)
    assert refused(shard_index.read, index).reason == "file_corrupted"


def test_pickled_shards_are_looked_for_by_name(tmp_path: Path) -> None:
    """What tensors they hold is not known without unpickling."""
    write_checkpoint(tmp_path / "pytorch_model-00001-of-00001.bin")
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "pytorch_model-00001-of-00001.bin"}}))
    shard_index.read(index)


def pieces(count: int) -> bytes:
    """The beginning of a sentencepiece model: each piece a text and a score."""
    one = b"\x0a\x03abc\x15\0\0\0\0"
    return (b"\x0a" + bytes([len(one)]) + one) * count + b"\x12\x02\x18\x01"


def test_a_sentencepiece_model_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """Its fields fill it exactly; a cut between two of them cannot be seen."""
    file = tmp_path / "tokenizer.model"
    whole = pieces(5)
    file.write_bytes(whole)
    assert vocabulary.read(file).metadata["note"] == "5 pieces"
    borders = {12 * count for count in range(1, 6)}
    for length in set(range(len(whole))) - borders:
        file.write_bytes(whole[:length])
        assert refused(vocabulary.read, file).reason in ("file_corrupted", "file_empty")


@pytest.mark.parametrize(
    "content", [b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\xff" * 30, b"\x12\x02\x18\x01", b"text"]
)
def test_what_is_no_sentencepiece_model_is_refused(tmp_path: Path, content: bytes) -> None:
    """Lengths of exabytes, and files of another kind."""
    file = tmp_path / "spiece.model"
    file.write_bytes(content)
    assert refused(vocabulary.read, file).reason == "file_corrupted"


def test_a_table_of_tiktoken_is_known(tmp_path: Path) -> None:
    """Llama 3 names it as sentencepiece does."""
    file = tmp_path / "tokenizer.model"
    file.write_bytes(b"".join(base64.b64encode(bytes([n])) + b" %d\n" % n for n in range(200)))
    assert vocabulary.read(file).format == "tiktoken"
