"""`probe --stages` and `--variants` on real models: which component fails, what would load, at what cost."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from canary_cases import MODELS, PYTHON, ROOT

PROGRAM = Path(sys.executable).parent / "model-load-exporter"
IS_ROOT = os.geteuid() == 0
FORMATS = ROOT / ".venv-formats/bin/python"

# A checkpoint in half precision whose config.json asks for float32: each weight is held in both types for a moment.
MAKE_BERT = """
import json, sys, torch, transformers
folder = sys.argv[1]
torch.manual_seed(0)
config = transformers.BertConfig(hidden_size=1024, num_hidden_layers=6, num_attention_heads=8, intermediate_size=4096)
with torch.device("meta"):
    model = transformers.BertModel(config)
model = model.to(torch.float16).to_empty(device="cpu")
for weight in model.parameters():
    torch.nn.init.normal_(weight, std=0.02)
model.embeddings.position_ids = torch.arange(512)[None]
model.embeddings.token_type_ids = torch.zeros(1, 512, dtype=torch.long)
model.save_pretrained(folder)
config = json.load(open(folder + "/config.json"))
json.dump({**config, "dtype": "float32", "torch_dtype": "float32"}, open(folder + "/config.json", "w"))
"""

MAKE_PICKLE = """
import sys, torch
from safetensors.torch import load_file
torch.save(load_file(sys.argv[1] + "/model.safetensors"), sys.argv[1] + "/pytorch_model.bin")
"""

MAKE_VIT = """
import sys, transformers
config = transformers.ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
transformers.ViTForImageClassification(config).save_pretrained(sys.argv[1])
"""

MAKE_TFLITE = """
import sys, tensorflow as tf
weight = tf.random.stateless_normal((32, 4), seed=(1, 2))
function = tf.function(lambda x: tf.matmul(x, weight), input_signature=[tf.TensorSpec((1, 32), tf.float32)])
converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
open(sys.argv[1], "wb").write(converter.convert())
"""


def probe(path: Path, *flags: str, python: Path | str = PYTHON) -> tuple[int, str]:
    """Exit status and standard output; nothing may be said on standard error that is no terminal."""
    command = [PROGRAM, "probe", path, "--python", python, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=170)
    assert done.stderr == ""
    return done.returncode, done.stdout


def told(path: Path, *flags: str, python: Path | str = PYTHON) -> tuple[int, dict[str, Any]]:
    status, text = probe(path, *flags, "--json", python=python)
    return status, json.loads(text)


def damaged(tmp_path: Path, name: str = "minilm") -> Path:
    return shutil.copytree(MODELS / name, tmp_path / name)


def rows_of(answer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in answer["variants"]}


def test_every_component_of_a_good_model_loads() -> None:
    """Six loads, cumulative; the answer at the top is that of the whole one."""
    status, answer = told(MODELS / "nllb-small", "--stages", "--task", "translation")

    assert status == 0
    assert (answer["schema"], answer["outcome"], answer["reason"]) == (1, "loaded", None)
    assert answer["output"]
    assert [(one["name"], one["status"]) for one in answer["components"]] == [
        ("libraries", "ok"),
        ("config", "ok"),
        ("tokenizer", "ok"),
        ("weights", "ok"),
        ("pipeline", "ok"),
        ("inference", "ok"),
    ]
    peaks = [one["peak_memory"]["rss_bytes"] for one in answer["components"]]
    assert peaks[3] > peaks[1] + 30_000_000
    assert all(0 < one["seconds"] < 60 for one in answer["components"])


def test_a_broken_tokenizer_does_not_hide_the_weights(tmp_path: Path) -> None:
    """The weights are tried all the same; what needs the tokenizer is not; call and file are named."""
    folder = damaged(tmp_path)
    os.truncate(folder / "tokenizer.json", 1000)
    status, answer = told(folder, "--stages", "--task", "feature-extraction")
    found = {one["name"]: one for one in answer["components"]}

    assert status == 1
    assert [one["status"] for one in answer["components"]] == ["ok", "ok", "failed", "ok", "not_reached", "not_reached"]
    assert found["tokenizer"]["call"] == "AutoTokenizer.from_pretrained"
    assert found["tokenizer"]["file"] == str(folder / "tokenizer.json")
    assert (answer["outcome"], answer["stage"]) == ("failed", "tokenizer")
    assert found["pipeline"]["why"] == "needs tokenizer"


def test_broken_weights_and_a_missing_tokenizer_are_both_named(tmp_path: Path) -> None:
    """A whole load would stop at the first; here a sentence is said for each."""
    folder = damaged(tmp_path)
    os.truncate(folder / "model.safetensors", 1_000_000)
    for name in ("tokenizer.json", "vocab.txt"):
        (folder / name).unlink()
    status, text = probe(folder, "--stages", "--task", "feature-extraction")
    sentences = [line.strip() for line in text.splitlines() if "What fails" in line]

    assert status == 1
    assert [line.partition(", in ")[0] for line in sentences] == [
        "What fails: tokenizer",
        "What fails: model without pipeline",
    ]
    assert "file_missing" in sentences[0]
    assert f"reading {folder / 'model.safetensors'}: file_corrupted" in sentences[1]


def test_an_image_model_needs_no_tokenizer(tmp_path: Path) -> None:
    """It has none, and the canary has no image to ask it with; its weights are loaded."""
    subprocess.run([PYTHON, "-c", MAKE_VIT, tmp_path], check=True, capture_output=True)
    status, answer = told(tmp_path, "--stages")

    assert status == 0
    assert [one["status"] for one in answer["components"]] == [
        "ok",
        "ok",
        "does_not_apply",
        "ok",
        "does_not_apply",
        "does_not_apply",
    ]


def test_variants_of_a_good_model_are_compared_with_it() -> None:
    """Each that applies was loaded, with its cost and its output against the base's; the others say why not."""
    status, answer = told(MODELS / "minilm", "--variants", "--task", "feature-extraction")
    rows = rows_of(answer)

    assert status == 0
    assert rows["bfloat16"]["same_output"] is True
    assert 0.999 <= rows["bfloat16"]["similarity"] < 1
    assert (rows["bfloat16"]["dtype"], rows["int8, dynamic"]["quantization"]) == ("bfloat16", "int8")
    assert rows["int8, dynamic"]["same_output"] is False
    assert rows["eager attention"]["same_output"] is True
    for row in rows.values():
        assert row["applies"] == (row["outcome"] is not None) == (row["why"] is None)
        assert not row["applies"] or row["peak_memory"]["rss_bytes"] > 10**8
    assert not rows["CPU only"]["applies"]
    assert not rows["offline"]["applies"]
    assert answer["recommendation"]["variant"] is None


def test_a_pickle_is_converted_to_see_what_safetensors_would_do(tmp_path: Path) -> None:
    """In a temporary folder, which is gone afterwards; the output is the same."""
    folder = damaged(tmp_path)
    subprocess.run([PYTHON, "-c", MAKE_PICKLE, folder], check=True)
    (folder / "model.safetensors").unlink()
    before = sorted(Path(tempfile.gettempdir()).glob("model-load-exporter-*"))
    status, answer = told(folder, "--variants", "--task", "feature-extraction")
    row = rows_of(answer)["safetensors, converted"]

    assert status == 0
    assert (row["outcome"], row["same_output"]) == ("loaded", True), row
    assert sorted(Path(tempfile.gettempdir()).glob("model-load-exporter-*")) == before
    assert not (folder / "model.safetensors").exists()


def test_the_other_form_is_recommended_where_one_is_damaged(tmp_path: Path) -> None:
    """Truncated safetensors beside a good pickle: that loads, and nothing else is worth a try."""
    folder = damaged(tmp_path)
    subprocess.run([PYTHON, "-c", MAKE_PICKLE, folder], check=True)
    os.truncate(folder / "model.safetensors", 1_000_000)
    status, answer = told(folder, "--variants", "--task", "feature-extraction")

    assert (status, answer["reason"]) == (1, "file_corrupted")
    assert answer["recommendation"]["variant"] == "pickle"
    assert "use_safetensors=False" in answer["recommendation"]["text"]
    assert rows_of(answer)["bfloat16"]["applies"] is False


@pytest.mark.root
@pytest.mark.skipif(not IS_ROOT, reason="needs root for a cgroup")
def test_a_load_that_is_oom_killed_gets_the_variant_that_fits(tmp_path: Path) -> None:
    """Real OOM kills in the canary's cgroup; the type that the file has loads, and its code is recommended."""
    shutil.copytree(MODELS / "minilm", tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").unlink()
    subprocess.run([PYTHON, "-c", MAKE_BERT, tmp_path], check=True, capture_output=True)
    assert (tmp_path / "model.safetensors").stat().st_size < 300_000_000
    status, answer = told(tmp_path, "--variants", "--task", "feature-extraction", "--memory-limit", "560MB")
    rows = rows_of(answer)

    assert (status, answer["reason"], answer["stage"]) == (1, "cgroup_oom_killed", "weights")
    assert rows["float16"]["outcome"] == "loaded", rows["float16"]
    assert rows["eager attention"]["reason"] == "cgroup_oom_killed"
    assert answer["recommendation"]["variant"] == "float16"
    assert answer["recommendation"]["change"] == "from_pretrained(..., dtype=torch.float16)"


@pytest.mark.root
@pytest.mark.skipif(not IS_ROOT, reason="needs root for a cgroup")
def test_a_checkpoint_that_does_not_fit_is_mapped(tmp_path: Path) -> None:
    """torch.load is OOM-killed, with mmap=True it loads; the weights are the same by their checksum."""
    file = tmp_path / "weights.pth"
    program = "import sys, torch; torch.save({f'w{i}': torch.randn(1000, 1000) for i in range(75)}, sys.argv[1])"
    subprocess.run([PYTHON, "-c", program, file], check=True)
    status, answer = told(file, "--variants", "--memory-limit", "350MB")
    rows = rows_of(answer)

    assert (status, answer["reason"]) == (1, "cgroup_oom_killed")
    assert [rows[name]["outcome"] for name in ("mmap", "safetensors, converted")] == ["loaded", "loaded"], rows
    assert answer["recommendation"]["variant"] in ("mmap", "safetensors, converted")

    status, answer = told(file, "--variants")
    assert status == 0
    assert {row["same_output"] for row in answer["variants"] if row["applies"] and row["dtype"] == "float32"} == {True}


def test_interpreters_are_compared() -> None:
    """The first one's result is the answer; one that loads is recommended, with its versions."""
    status, answer = told(
        MODELS / "minilm", "--python", str(PYTHON), "--task", "feature-extraction", python=sys.executable
    )
    first, second = answer["interpreters"]

    assert (status, answer["reason"]) == (1, "dependency_missing")
    assert (first["python"], first["outcome"]) == (sys.executable, "failed")
    assert (second["python"], second["outcome"]) == (str(PYTHON), "loaded")
    assert second["versions"].keys() == {"python", "torch", "transformers"}
    assert f"It loads under {PYTHON}" in answer["recommendation"]["text"]


def test_a_tflite_model_is_loaded_and_asked(tmp_path: Path) -> None:
    """LiteRT's interpreter; without its delegates the numbers are the same."""
    if not FORMATS.exists():
        pytest.skip("no .venv-formats, which makes TFLite files")
    file = tmp_path / "model.tflite"
    subprocess.run([FORMATS, "-c", MAKE_TFLITE, file], check=True, capture_output=True)
    status, answer = told(file, "--variants", "--stages")

    assert status == 0
    assert [one["status"] for one in answer["components"]] == ["ok", "ok", "ok"]
    assert (answer["output"], answer["quantization"]) == ("float32 [1, 4]", "none")
    assert rows_of(answer)["without delegates"]["same_output"] is True


def test_gguf_without_its_library_says_so(tmp_path: Path) -> None:
    """The package to install is named."""
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF\x03\0\0\0")
    status, answer = told(file)

    assert (status, answer["reason"]) == (1, "dependency_missing")
    assert "llama-cpp-python" in answer["message"]


def test_a_reference_is_written_and_used(tmp_path: Path) -> None:
    """`--write-reference` makes the file that `expect.similarity.reference` is held to."""
    file, config = tmp_path / "reference.json", tmp_path / "config.yml"
    text = (
        f"models: [{{name: m, path: {MODELS / 'minilm'}, task: feature-extraction, canary: {{python: {PYTHON}, "
        "input: %s, expect: {similarity: {at_least: 0.99, reference: ./reference.json}}}}]\n"
    )
    config.write_text(text % "One")
    command = [PROGRAM, "probe", "m", "--config.file", config]
    subprocess.run([*command, "--write-reference", file], check=True, capture_output=True)
    same = subprocess.run([*command, "--json"], check=True, capture_output=True)
    config.write_text(text % "Two")
    other = subprocess.run(command, check=True, capture_output=True, text=True)

    assert json.loads(same.stdout)["output_match"] is True
    assert "NOT as expected" in other.stdout
    assert "written for the input 'One'" in other.stdout


@pytest.mark.parametrize(
    "flags",
    [
        ["--stages", "config", "--variants"],
        ["--variants", "--write-reference", "x"],
        ["--stages", "nonsense,config"],
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags: list[str]) -> None:
    """Exit status 2 and one line."""
    done = subprocess.run([PROGRAM, "probe", MODELS / "minilm", *flags], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("model-load-exporter: --")
    assert done.stderr.count("\n") == 1


def test_a_model_after_the_bare_flag_is_the_model(tmp_path: Path) -> None:
    """`probe --stages PATH` reads as people mean it."""
    command = [PROGRAM, "probe", "--stages", tmp_path / "none", "--python", PYTHON, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    answer = json.loads(done.stdout)
    assert (done.returncode, answer["reason"]) == (1, "file_missing")
    assert "components" not in answer, "a model that is not there has no component that fails"
