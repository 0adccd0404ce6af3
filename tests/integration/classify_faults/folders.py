"""Folders of transformers models as they lie on disks: pickled shards, the hub's cache, tokenizers, healthy loads."""

import hashlib
import json
import os
from pathlib import Path

from registry import (
    PAGE,
    POINTER,
    Load,
    as_nobody,
    fault,
    fill,
    flip,
    healthy,
    tmpfs,
    with_little_memory,
    write_manifest,
)
from transformers_models import bert, edit_config


def pickled_bert(folder: Path, shards: bool = False) -> tuple[Load, Path]:
    """The same BERT with pytorch_model.bin, as transformers wrote it before safetensors."""
    import torch
    from safetensors.torch import load_file

    load, model = bert(folder)
    state = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    if not shards:
        torch.save(state, model / "pytorch_model.bin")
        return load, model
    names = sorted(state)
    parts = (names[::2], names[1::2])
    placed = {}
    for number, part in enumerate(parts, start=1):
        file = f"pytorch_model-{number:05d}-of-00002.bin"
        torch.save({name: state[name] for name in part}, model / file)
        placed |= dict.fromkeys(part, file)
    (model / "pytorch_model.bin.index.json").write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": placed})
    )
    return load, model


@fault("file_missing", verify="header")
def bin_missing(folder: Path) -> tuple[Load, Path]:
    load, model = pickled_bert(folder)
    (model / "pytorch_model.bin").unlink()
    return load, model


@fault("file_empty", verify="stat")
def bin_empty(folder: Path) -> tuple[Load, Path]:
    load, model = pickled_bert(folder)
    os.truncate(model / "pytorch_model.bin", 0)
    return load, model


@fault("file_corrupted", verify="header")
def bin_truncated(folder: Path) -> tuple[Load, Path]:
    load, model = pickled_bert(folder)
    os.truncate(model / "pytorch_model.bin", 5000)
    return load, model


@fault("lfs_pointer", verify="header")
def bin_lfs_pointer(folder: Path) -> tuple[Load, Path]:
    load, model = pickled_bert(folder)
    (model / "pytorch_model.bin").write_bytes(POINTER)
    return load, model


@fault("file_corrupted", verify="header")
def bin_html_page(folder: Path) -> tuple[Load, Path]:
    load, model = pickled_bert(folder)
    (model / "pytorch_model.bin").write_bytes(PAGE)
    return load, model


@fault("permission_denied", verify="header")
def bin_unreadable(folder: Path) -> tuple[Load, Path]:
    load, model = pickled_bert(folder)
    (model / "pytorch_model.bin").chmod(0o600)
    return as_nobody(load), model


@fault("shard_missing", verify="header")
def bin_shard_missing(folder: Path) -> tuple[Load, Path]:
    load, model = pickled_bert(folder, shards=True)
    (model / "pytorch_model-00002-of-00002.bin").unlink()
    return load, model


@fault("file_corrupted", verify="header")
def bin_index_is_a_page(folder: Path) -> tuple[Load, Path]:
    load, model = pickled_bert(folder, shards=True)
    (model / "pytorch_model.bin.index.json").write_bytes(PAGE)
    return load, model


@fault("file_corrupted", verify="checksum", silent=True)
def bin_flipped_bit(folder: Path) -> tuple[Load, Path]:
    load, model = pickled_bert(folder)
    path = model / "pytorch_model.bin"
    flip(path, path.stat().st_size // 2)
    return load, model


@fault("file_corrupted", verify="checksum", silent=True)
def transformers_flipped_bit(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    write_manifest(folder)
    flip(model / "model.safetensors", -40)
    return load, model


@fault("file_missing", verify="checksum", silent=True)
def transformers_vocabulary_missing(folder: Path) -> tuple[Load, Path]:
    """A tokenizer without its vocabulary loads, knows no word, and only the manifest says that a file is gone."""
    from transformers import BertTokenizer

    _, model = bert(folder)
    (model / "vocab.txt").write_text("[UNK]\n[CLS]\n[SEP]\n[PAD]\n[MASK]\na\n")
    write_manifest(folder)
    (model / "vocab.txt").unlink()
    return lambda: BertTokenizer(
        vocab_file=str(model / "vocab.txt"), tokenizer_file=str(model / "tokenizer.json")
    ), model


def cached_bert(folder: Path) -> tuple[Load, Path, Path]:
    """The BERT as the hub's cache holds it: links in a snapshot to blobs that are named by their content's sha256."""
    from transformers import AutoModel

    _, model = bert(folder)
    repo = folder / "hub" / "models--org--bert"
    snapshot = repo / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (repo / "blobs").mkdir()
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("c" * 40)
    for file in model.iterdir():
        data = file.read_bytes()
        # The hub names small files by git's own hash and files of LFS by their sha256.
        name = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        if file.suffix == ".safetensors":
            name = hashlib.sha256(data).hexdigest()
        (repo / "blobs" / name).write_bytes(data)
        (snapshot / file.name).symlink_to(f"../../blobs/{name}")
    load = lambda: AutoModel.from_pretrained("org/bert", cache_dir=folder / "hub", local_files_only=True)  # noqa: E731
    return load, repo, snapshot


@fault("file_corrupted", verify="checksum", silent=True)
def cache_flipped_bit(folder: Path) -> tuple[Load, Path]:
    load, _, snapshot = cached_bert(folder)
    flip((snapshot / "model.safetensors").resolve(), -40)
    return load, snapshot


@fault("file_missing", verify="stat")
def cache_blob_gone(folder: Path) -> tuple[Load, Path]:
    load, _, snapshot = cached_bert(folder)
    (snapshot / "model.safetensors").resolve().unlink()
    return load, snapshot


@fault("file_corrupted", verify="header")
def cache_blob_truncated(folder: Path) -> tuple[Load, Path]:
    load, _, snapshot = cached_bert(folder)
    os.truncate((snapshot / "model.safetensors").resolve(), 3000)
    return load, snapshot


@fault("permission_denied", verify="header")
def cache_of_another_user(folder: Path) -> tuple[Load, Path]:
    load, repo, snapshot = cached_bert(folder)
    (repo / "blobs").chmod(0o700)
    return as_nobody(load), snapshot


@fault("file_missing", verify="stat")
def transformers_dangling_link(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").symlink_to("/nowhere/blobs/abc")
    return load, model


@fault("file_corrupted", verify="header")
def transformers_index_is_no_object(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder, shards=True)
    (model / "model.safetensors.index.json").write_text("[]")
    return load, model


@fault("architecture_mismatch")
def transformers_types_that_do_not_meet(folder: Path) -> tuple[Load, Path]:
    """Weights of float64 under activations of float32: told by the first inference."""
    import torch

    load, model = bert(folder)

    def run() -> object:
        loaded = load()
        loaded.encoder.to(torch.float64)
        return loaded(torch.zeros(1, 4, dtype=torch.long))

    return run, model


@fault("file_corrupted", verify="header")
def tokenizer_model_is_a_page(folder: Path) -> tuple[Load, Path]:
    import sentencepiece

    path = folder / "tokenizer.model"
    path.write_bytes(PAGE)
    return lambda: sentencepiece.SentencePieceProcessor(model_file=str(path)), path


@fault("file_missing", verify="stat")
def tokenizer_model_missing(folder: Path) -> tuple[Load, Path]:
    import sentencepiece

    path = folder / "tokenizer.model"
    return lambda: sentencepiece.SentencePieceProcessor(model_file=str(path)), path


@fault("lfs_pointer", verify="header")
def tokenizer_json_is_a_pointer(folder: Path) -> tuple[Load, Path]:
    from transformers import AutoTokenizer

    _, model = bert(folder)
    (model / "tokenizer.json").write_bytes(POINTER)
    (model / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    return lambda: AutoTokenizer.from_pretrained(model, local_files_only=True), model


@fault("host_memory_error")
def transformers_with_little_memory(folder: Path) -> tuple[Load, Path]:
    from transformers import AutoModel, BertConfig, BertModel

    model = folder / "model"
    BertModel(
        BertConfig(vocab_size=200_000, hidden_size=64, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    ).save_pretrained(model)
    load = lambda: AutoModel.from_pretrained(model, local_files_only=True)  # noqa: E731
    return with_little_memory(load, 32 << 20), model


@fault("disk_full")
def transformers_saved_on_a_full_disk(folder: Path) -> tuple[Load, None]:
    load, _ = bert(folder)
    model, mounted = load(), tmpfs(folder)
    fill(mounted)
    return lambda: model.save_pretrained(mounted / "copy"), None


@healthy
def transformers_with_layers_newly_initialised(folder: Path) -> tuple[Load, Path]:
    from transformers import AutoModelForSequenceClassification

    _, model = bert(folder)
    return lambda: AutoModelForSequenceClassification.from_pretrained(model, local_files_only=True), model


@healthy
def transformers_with_mismatched_sizes_ignored(folder: Path) -> tuple[Load, Path]:
    from transformers import AutoModel

    _, model = bert(folder)
    edit_config(model, vocab_size=48)
    return lambda: AutoModel.from_pretrained(model, local_files_only=True, ignore_mismatched_sizes=True), model


@healthy
def transformers_of_a_newer_release(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    edit_config(model, transformers_version="99.0.0", attribute_of_tomorrow=True)
    return load, model
