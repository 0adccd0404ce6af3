"""Models that load and are wrong: damaged layers, another type, lost layers, a quantised copy. Each is told apart."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from canary_cases import MODELS, PYTHON, ROOT, new_id, with_torch

from model_load_exporter.canary.result import Baseline, CanaryResult
from model_load_exporter.canary.run import run_canary
from model_load_exporter.canary.standing import Standings
from model_load_exporter.collectors.canary import CanaryCollector
from model_load_exporter.config import Expect, Model, Similarity
from model_load_exporter.ledger import Ledger

PARAMETERS = 22_713_216
INPUT = "The cat sits on the mat."
FORMATS = ROOT / ".venv-formats/bin/python"

DAMAGE = """
import sys, torch
from safetensors.torch import load_file, save_file
file, how = sys.argv[1:]
weights = load_file(file)
torch.manual_seed(0)
for name in list(weights):
    if how == "noise" and name.endswith("weight"):
        weights[name] = weights[name] + torch.randn_like(weights[name]) * weights[name].std() * 0.5
    elif how == "zeroed" and ".layer.5.output.dense" in name:
        weights[name] = torch.zeros_like(weights[name])
    elif how == "half":
        weights[name] = weights[name].half() if weights[name].is_floating_point() else weights[name]
save_file(weights, file, metadata={"format": "pt"})
"""

MAKE_ONNX = """
import sys, numpy, onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic
rng = numpy.random.default_rng(0)
weight = numpy_helper.from_array(rng.standard_normal((64, 8)).astype("float32"), "w")
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8])], [weight],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
model.ir_version = 8
onnx.save(model, sys.argv[1] + "/plain.onnx")
quantize_dynamic(sys.argv[1] + "/plain.onnx", sys.argv[1] + "/int8.onnx")
"""


def minilm(**keys: object) -> Model:
    """MiniLM with that expectation."""
    expect = Expect(**keys)  # type: ignore[arg-type]  # the tests pass what the class takes
    canary = with_torch(input=INPUT, expect=expect)
    return Model("minilm", str(MODELS / "minilm"), task="feature-extraction", canary=canary)


def run(model: Model, baseline: Baseline | None = None, **keys: object) -> CanaryResult:
    result = asyncio.run(run_canary(model, attempt_id=new_id(), baseline=baseline, **keys))  # type: ignore[arg-type]
    assert result.outcome == "loaded", result.message + result.log_tail
    return result


@pytest.fixture
def copy(tmp_path: Path) -> Callable[..., Path]:
    """Copies MiniLM and does something to its weights."""

    def make(how: str = "") -> Path:
        folder = tmp_path / "minilm"
        if not folder.exists():
            shutil.copytree(MODELS / "minilm", folder)
        if how:
            subprocess.run([PYTHON, "-c", DAMAGE, folder / "model.safetensors", how], check=True)
        return folder

    return make


@pytest.mark.parametrize("how", ["noise", "zeroed"])
def test_an_accuracy_drop_is_an_output_mismatch(copy: Callable[..., Path], tmp_path: Path, how: str) -> None:
    """Weights that are damaged in place load as before; their output is no longer that of the first good run."""
    model = replace(minilm(similarity=Similarity(0.99)), path=str(copy()))
    ledger = Ledger.open(str(tmp_path))
    standings = Standings(ledger)
    standings.configure({"minilm"})
    collector = CanaryCollector(standings, lambda: {"minilm": model})

    def matches() -> float | None:
        standings.record(run(model, standings.baseline("minilm")))
        samples = [s for family in collector.collect() for s in family.samples]
        assert next(s.value for s in samples if s.name == "model_canary_success") == 1
        return next((s.value for s in samples if s.name == "model_canary_output_match"), None)

    assert matches() is None
    assert matches() == 1
    copy(how)
    assert matches() == 0
    ledger.close()


def test_quantised_weights_are_an_output_mismatch() -> None:
    """int8 in place of float32 loads, and both the similarity and the kind of weights tell."""
    model = minilm(similarity=Similarity(0.99), quantization="none")
    first = run(model)
    assert first.new_baseline is not None
    result = run(model, first.new_baseline, options={"int8": True})

    assert result.output_match is False
    assert {check.name: (check.ok, check.found) for check in result.checks}["quantization"] == (False, "int8")
    similarity = next(check for check in result.checks if check.name == "similarity")
    assert similarity.ok is False
    assert 0.5 < float(similarity.found) < 0.99


def test_another_type_is_told(copy: Callable[..., Path]) -> None:
    """Half precision is so close that only the type gives it away."""
    folder = copy("half")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "float16", "torch_dtype": "float16"}))
    first = run(minilm(similarity=Similarity(0.99)))
    baseline = first.new_baseline
    assert baseline is not None
    model = replace(minilm(similarity=Similarity(0.99), dtype="float32"), path=str(folder))
    key = json.dumps([str(folder), str(folder), INPUT, "transformers", "feature-extraction", None])
    result = run(model, replace(baseline, key=key))

    assert {check.name: check.ok for check in result.checks} == {"similarity": True, "dtype": False}
    assert result.output_match is False


def test_lost_layers_are_told(copy: Callable[..., Path]) -> None:
    """A config with one layer less loads without an error: the weights of the sixth are left over."""
    folder = copy()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 5}))
    result = run(replace(minilm(parameters=PARAMETERS), path=str(folder)))

    (check,) = result.checks
    assert (check.ok, check.expected) == (False, str(PARAMETERS))
    assert 0 < int(check.found) < PARAMETERS


def test_all_that_holds_is_a_match() -> None:
    """The published MiniLM: its size, its type, plain floats, and an embedding near that of a similar sentence."""
    near = Similarity(0.8, text="A cat is sitting on a mat.")
    result = run(minilm(similarity=near, parameters=PARAMETERS, dtype="float32", quantization="none"))

    assert result.output_match is True, result.checks


def test_a_text_of_another_meaning_is_no_match() -> None:
    """The same threshold tells the two apart."""
    result = run(minilm(similarity=Similarity(0.8, text="Interest rates rose again in March.")))

    assert result.output_match is False


def test_the_embedding_is_the_mean_of_the_tokens() -> None:
    """As sentence-transformers makes it of the folder's own 1_Pooling, but for the length."""
    program = (
        "import json, sys; from sentence_transformers import SentenceTransformer as S\n"
        "print(json.dumps(S(sys.argv[1], device='cpu').encode(sys.argv[2], normalize_embeddings=False).tolist()))"
    )
    done = subprocess.run([PYTHON, "-c", program, MODELS / "minilm", INPUT], capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout.splitlines()[-1])
    ours = run(minilm()).vector
    assert ours is not None
    scale = sum(a * b for a, b in zip(ours, theirs, strict=True)) / sum(a * a for a in ours)

    assert theirs == pytest.approx([scale * one for one in ours], abs=1e-4)


def test_generated_text_has_no_similarity() -> None:
    """Without a task in the config file it is found out in the load, and said."""
    canary = with_torch(expect=Expect(similarity=Similarity(0.9)))
    result = run(Model("nllb", str(MODELS / "nllb-small"), canary=canary))

    assert result.output_match is False
    assert "generates text" in result.checks[0].found


@pytest.fixture(scope="module")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not FORMATS.exists():
        pytest.skip("no .venv-formats, which makes ONNX files")
    folder = tmp_path_factory.mktemp("onnx")
    subprocess.run([FORMATS, "-W", "ignore", "-c", MAKE_ONNX, folder], check=True, capture_output=True)
    return folder


def test_a_quantised_onnx_graph_is_told(onnx: Path) -> None:
    """Its operators give it away, and its numbers are compared with those of the plain graph."""
    canary = with_torch(expect=Expect(similarity=Similarity(0.999999), quantization="none"))
    model = Model("onnx", str(onnx / "plain.onnx"), loader="onnx", canary=canary)
    plain = run(model)
    assert plain.new_baseline is not None
    shutil.copy(onnx / "int8.onnx", onnx / "plain.onnx")
    result = run(model, plain.new_baseline)

    assert [check.found for check in plain.checks if check.name == "quantization"] == ["none"]
    assert {check.name: check.ok for check in result.checks} == {"similarity": False, "quantization": False}
    assert [check.found for check in result.checks if check.name == "quantization"] == ["int8"]
