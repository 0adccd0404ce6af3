"""transformers, on a BERT of some kilobytes."""

import json
import os
from pathlib import Path

from registry import POINTER, Load, as_nobody, fault, without


def bert(folder: Path, shards: bool = False) -> tuple[Load, Path]:
    """A BERT of some kilobytes, saved by the library itself."""
    from transformers import AutoModel, BertConfig, BertModel

    model = folder / "model"
    config = BertConfig(
        vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=16,
    )  # fmt: skip
    BertModel(config).save_pretrained(model, max_shard_size="4KB" if shards else "5GB")
    return lambda: AutoModel.from_pretrained(model, local_files_only=True), model


def edit_config(model: Path, **changes: object) -> None:
    config = json.loads((model / "config.json").read_text())
    config.update(changes)
    (model / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


@fault("file_missing", verify="stat")
def transformers_folder_missing(folder: Path) -> tuple[Load, Path]:
    from transformers import AutoModel

    model = folder / "nowhere"
    return lambda: AutoModel.from_pretrained(str(model)), model


@fault("file_missing", verify="header")
def transformers_config_missing(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    (model / "config.json").unlink()
    return load, model


@fault("file_missing", verify="header")
def transformers_weights_missing(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    (model / "model.safetensors").unlink()
    return load, model


@fault("shard_missing", verify="header")
def transformers_shard_missing(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder, shards=True)
    next(model.glob("model-00002-*.safetensors")).unlink()
    return load, model


@fault("file_corrupted", verify="header")
def transformers_index_broken(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder, shards=True)
    index = model / "model.safetensors.index.json"
    index.write_text(index.read_text()[:100])
    return load, model


@fault("lfs_pointer", verify="header")
def transformers_lfs_pointer(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    (model / "model.safetensors").write_bytes(POINTER)
    return load, model


@fault("file_corrupted", verify="header")
def transformers_truncated(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    os.truncate(model / "model.safetensors", 4000)
    return load, model


@fault("file_corrupted", verify="header")
def transformers_shard_truncated(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder, shards=True)
    shard = next(model.glob("model-00002-*.safetensors"))
    os.truncate(shard, shard.stat().st_size - 64)
    return load, model


@fault("file_empty", verify="stat")
def transformers_empty_weights(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    os.truncate(model / "model.safetensors", 0)
    return load, model


@fault("config_invalid", verify="header")
def transformers_config_not_json(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    (model / "config.json").write_text('{"model_type": "bert", ')
    return load, model


@fault("file_empty", verify="stat")
def transformers_config_empty(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    (model / "config.json").write_text("")
    return load, model


@fault("config_invalid")
def transformers_config_without_model_type(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    edit_config(model, model_type=None, architectures=None)
    return load, model


@fault("version_incompatible")
def transformers_unknown_model_type(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    edit_config(model, model_type="bert9000", architectures=["Bert9000Model"])
    return load, model


@fault("config_invalid", verify="header")
def transformers_config_of_wrong_type(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    edit_config(model, hidden_size="sixteen")
    return load, model


@fault("config_invalid")
def transformers_heads_that_do_not_divide(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    edit_config(model, num_attention_heads=3)
    return load, model


@fault("architecture_mismatch")
def transformers_wrong_shapes(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    edit_config(model, hidden_size=32)
    return load, model


@fault("architecture_mismatch")
def transformers_class_that_does_not_fit(folder: Path) -> tuple[Load, Path]:
    from transformers import AutoModelForSpeechSeq2Seq

    _, model = bert(folder)
    return lambda: AutoModelForSpeechSeq2Seq.from_pretrained(model, local_files_only=True), model


@fault("permission_denied", verify="header")
def transformers_weights_unreadable(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    (model / "model.safetensors").chmod(0o600)
    return as_nobody(load), model


@fault("permission_denied", verify="header")
def transformers_folder_unsearchable(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    model.chmod(0o600)
    return as_nobody(load), model


@fault("permission_denied", verify="header")
def transformers_config_unreadable(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    (model / "config.json").chmod(0o600)
    return as_nobody(load), model


@fault("permission_denied", verify="stat")
def transformers_parent_unsearchable(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    folder.chmod(0o700)
    return as_nobody(load), model


@fault("trust_remote_code_required")
def transformers_remote_code(folder: Path) -> tuple[Load, Path]:
    from transformers import AutoModel

    _, model = bert(folder)
    edit_config(model, model_type="own", auto_map={"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"})
    return lambda: AutoModel.from_pretrained(model, local_files_only=True, trust_remote_code=False), model


@fault("dependency_missing")
def transformers_remote_code_needs_a_package(folder: Path) -> tuple[Load, Path]:
    from transformers import AutoModel

    _, model = bert(folder)
    (model / "own.py").write_text("import a_package_nobody_has\n\nclass OwnConfig: ...\n")
    edit_config(model, model_type="own", auto_map={"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"})
    return lambda: AutoModel.from_pretrained(model, local_files_only=True, trust_remote_code=True), model


@fault("config_invalid", verify="header")
def transformers_tokenizer_not_json(folder: Path) -> tuple[Load, Path]:
    from transformers import AutoTokenizer

    _, model = bert(folder)
    (model / "tokenizer.json").write_text('{"version": "1.0", "truncation": ')
    return lambda: AutoTokenizer.from_pretrained(model, local_files_only=True), model


@fault("config_invalid", verify="header")
def tokenizers_file_of_wrong_shape(folder: Path) -> tuple[Load, Path]:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    path.write_text('{"version": "1.0", "model": {"type": "NotAModel"}}')
    return lambda: Tokenizer.from_file(str(path)), path


@fault("dependency_missing")
def transformers_without_sentencepiece(folder: Path) -> tuple[Load, Path]:
    import sentencepiece
    from transformers import AutoTokenizer

    _, model = bert(folder)
    corpus = folder / "corpus.txt"
    corpus.write_text("a small text to train a small tokenizer on\n" * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(model / "sentencepiece.bpe"), vocab_size=20, minloglevel=2
    )
    edit_config(model, model_type="m2m_100")
    (model / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "NllbTokenizer"}))

    def load() -> object:
        with without("sentencepiece", "tiktoken"):
            return AutoTokenizer.from_pretrained(model, local_files_only=True)

    return load, model


@fault("dependency_missing")
def transformers_without_accelerate(folder: Path) -> tuple[Load, Path]:
    from transformers import AutoModel

    _, model = bert(folder)

    def load() -> object:
        with without("accelerate"):
            return AutoModel.from_pretrained(model, local_files_only=True, device_map="auto")

    return load, model


@fault("dependency_missing")
def transformers_quantized_without_bitsandbytes(folder: Path) -> tuple[Load, Path]:
    load, model = bert(folder)
    edit_config(model, quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    return load, model


@fault("config_invalid")
def transformers_pipeline_of_unknown_task(folder: Path) -> tuple[Load, Path]:
    from transformers import pipeline

    _, model = bert(folder)
    return lambda: pipeline("no-such-task", model=str(model)), model
