"""transformers and huggingface_hub, as installed, on the small NLLB and Aya of `make run`."""

import json
from pathlib import Path

from hook_services import MODELS, events, serve, stages, told

from support.recording import holdings

LOADS = """
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers import M2M100ForConditionalGeneration, pipeline
nllb, aya = sys.argv[1] + "/nllb-small", sys.argv[1] + "/aya-small"
AutoConfig.from_pretrained(nllb)
tokenizer = AutoTokenizer.from_pretrained(nllb)
model = AutoModelForSeq2SeqLM.from_pretrained(nllb)
assert type(model).__name__ == "M2M100ForConditionalGeneration"
model, info = M2M100ForConditionalGeneration.from_pretrained(nllb, output_loading_info=True)
assert set(info) >= {"missing_keys"}
generate = pipeline("text-generation", model=aya)
with track_load("chat", path=aya) as load:
    tokenizer = AutoTokenizer.from_pretrained(aya)
    chat = load.holds(AutoModelForCausalLM.from_pretrained(aya))
    pipeline("text-generation", model=chat, tokenizer=tokenizer)
os._exit(0)
"""


def test_models_and_pipelines(spool: Path) -> None:
    """One attempt a load, its parts as stages, none for a configuration or tokenizer by itself."""
    found = serve(LOADS, spool, MODELS)
    assert [told(attempt) for attempt in found] == [
        ("nllb-small", "loaded", None),
        ("nllb-small", "loaded", None),
        ("aya-small", "loaded", None),
        ("chat", "loaded", None),
    ]
    names = [stages(attempt) for attempt in found]
    assert names[0] == ["config", "weights"]
    assert names[1] == ["weights", "config"]
    assert [name for name in names[2] if name != "config"] == ["weights", "tokenizer"]
    assert [name for name in names[3] if name != "config"] == ["tokenizer", "weights", "pipeline"]
    held = {model: hold for holder in holdings(spool) for model, hold in holder.held.items()}
    assert set(held) == {"nllb-small", "aya-small", "chat"}
    assert {event["dtype"] for event in events(spool, "hold") if "dtype" in event} == {"float32", "bfloat16"}


FAULTS = """
from transformers import AutoConfig, AutoModel, AutoTokenizer
for load, path in ((AutoTokenizer, "/models/nowhere"), (AutoModel, "/models/nowhere"), (AutoModel, sys.argv[1])):
    try:
        load.from_pretrained(path)
    except Exception:
        continue
    sys.exit("it loaded")
"""


def test_faults_are_told_once_each_with_their_stage(spool: Path, tmp_path: Path) -> None:
    """A tokenizer that fails by itself is a failed load, though one that succeeds is none."""
    (tmp_path / "config.json").write_text((MODELS / "nllb-small/config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes((MODELS / "nllb-small/model.safetensors").read_bytes()[:5000])
    found = serve(FAULTS, spool, tmp_path)
    assert [(told(attempt), attempt.stage) for attempt in found] == [
        (("nowhere", "failed", "file_missing"), "tokenizer"),
        (("nowhere", "failed", "file_missing"), "download"),  # no such folder: it asks the hub's cache
        ((tmp_path.name, "failed", "file_corrupted"), "weights"),
    ]


def test_weights_that_the_files_do_not_have_are_noted(spool: Path, tmp_path: Path) -> None:
    """transformers loads on with random weights: the attempt says so, in words and in names."""
    config = json.loads((MODELS / "nllb-small/config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"decoder_layers": config["decoder_layers"] + 1}))
    (tmp_path / "model.safetensors").symlink_to(MODELS / "nllb-small/model.safetensors")
    code = "from transformers import AutoModelForSeq2SeqLM as Auto\nAuto.from_pretrained(sys.argv[1]).generate"
    [attempt] = serve(code, spool, tmp_path)
    [end] = events(spool, "end")
    assert attempt.outcome == "loaded"
    assert "newly initialized (model.decoder.layers." in attempt.message
    assert end["notes"]["newly_initialized_count"] > len(end["notes"]["newly_initialized"]) == 20


def test_a_repository_of_the_hubs_cache(spool: Path, tmp_path: Path) -> None:
    """Loaded by its id, that is model and repo, and its revision is told; a download is a stage, or nothing by itself
    unless it is one of weights that fails.
    """
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--acme--small"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text(commit)
    for file in (MODELS / "nllb-small").iterdir():
        (snapshot / file.name).symlink_to(file)
    code = """
from transformers import AutoModelForSeq2SeqLM
from huggingface_hub import hf_hub_download, snapshot_download
snapshot_download("acme/small", local_files_only=True)
with track_load(repo="acme/small"):
    there = snapshot_download("acme/small", local_files_only=True)
    AutoModelForSeq2SeqLM.from_pretrained(there)
model = AutoModelForSeq2SeqLM.from_pretrained("acme/small", revision=sys.argv[1])
hf_hub_download("acme/small", "config.json")
for file in ("README.md", "model-2.safetensors"):
    try:
        hf_hub_download("acme/small", file)
    except Exception:
        pass
os._exit(0)
"""
    found = serve(code, spool, commit, HF_HUB_CACHE=str(tmp_path))
    assert [(attempt.begin.model, attempt.begin.repo, attempt.outcome) for attempt in found] == [
        ("acme/small", "acme/small", "loaded"),
        ("acme/small", "acme/small", "loaded"),
        ("acme/small", "acme/small", "failed"),
    ]
    assert [stages(attempt) for attempt in found] == [
        ["download", "config", "weights"],
        ["config", "weights"],
        ["download"],
    ]
    assert events(spool, "hold")[-1]["revision"] == commit
