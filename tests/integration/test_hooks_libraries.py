"""The other libraries, as installed, each on the smallest real model."""

from pathlib import Path

import pytest
from hook_services import MODELS, serve, stages, told

from model_load_exporter.attempt import LoadAttempt

TFLITE = bytes.fromhex(
    "1800000054464c3300000e00140010000c000800000004000e00000014000000200000000800000003000000000000000100000008000000"
    "040004000400000001000000100000000c00140010000c00080004000c000000100000001000000014000000180000000000000001000000"
    "00000000010000000000000001000000100000000c000c0008000000000004000c000000100000000400000001000000010000000100000078"
    "000000"
)
"""One float, input and output at once, by the schema that ai_edge_litert carries."""

ONNX = bytes.fromhex(
    "08083a370a100a017812017922084964656e746974791201675a0f0a0178120a0a08080112040a020801620f0a0179120a0a080801120"
    "40a0208014202100d"
)
"""y = Identity(x), opset 13."""

JOBLIB = """
import joblib, numpy
from sklearn.linear_model import LinearRegression
joblib.dump(LinearRegression().fit([[0], [1]], [0, 1]), good)
model = joblib.load(good)
assert model.predict([[2]])
"""
ONNXRUNTIME = """
import onnxruntime
model = onnxruntime.InferenceSession(good)
assert model.get_inputs()[0].name == "x"
onnxruntime.InferenceSession(open(good, "rb").read())       # no name: no load by itself
"""
LITERT = """
from ai_edge_litert.interpreter import Interpreter
model = Interpreter(model_path=good)
model.allocate_tensors()
assert model.get_input_details()[0]["name"] == "x"
"""


@pytest.mark.parametrize(
    ("code", "load", "content"),
    [
        (JOBLIB, "joblib.load(bad)", b""),
        (ONNXRUNTIME, "onnxruntime.InferenceSession(bad)", ONNX),
        (LITERT, "Interpreter(bad)", TFLITE),
    ],
    ids=["joblib", "onnxruntime", "litert"],
)
def test_a_file(spool: Path, tmp_path: Path, code: str, load: str, content: bytes) -> None:
    """A load each, of the file's name; the model is held, and let go with the object; a damaged file is a failure."""
    good, bad = tmp_path / "good.model", tmp_path / "bad.model"
    good.write_bytes(content)
    bad.write_bytes(b"not a model at all")
    begin = "good, bad = sys.argv[1:]\n"
    end = f"""
try:
    {load}
except Exception:
    os._exit(0)
sys.exit("it loaded")
"""
    found = serve(begin + code + end, spool, good, bad)
    assert [(attempt.begin.model, attempt.outcome, stages(attempt)) for attempt in found] == [
        ("good.model", "loaded", ["weights"]),
        ("bad.model", "failed", ["weights"]),
    ]
    assert found[1].message


SENTENCES = """
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1] + "/minilm")
assert model.encode("a").shape == (384,)
"""


def test_sentence_transformers(spool: Path) -> None:
    """The whole is the load; transformers' parts of it are its stages."""
    [attempt] = serve(SENTENCES, spool, MODELS)
    assert told(attempt) == ("minilm", "loaded", None)
    assert {"config", "weights", "tokenizer"} <= set(stages(attempt))


DIFFUSERS = """
from diffusers import DDPMPipeline, DDPMScheduler, DiffusionPipeline, UNet2DModel
unet = UNet2DModel(
    sample_size=8, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(4,), norm_num_groups=2,
    down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",),
)
DDPMPipeline(unet=unet, scheduler=DDPMScheduler()).save_pretrained(sys.argv[1])
DiffusionPipeline.from_pretrained(sys.argv[1])
UNet2DModel.from_pretrained(sys.argv[1] + "/unet")
os.truncate(sys.argv[1] + "/unet/diffusion_pytorch_model.safetensors", 100)
try:
    DDPMPipeline.from_pretrained(sys.argv[1])
except Exception:
    sys.exit()
sys.exit("it loaded")
"""


def test_diffusers(spool: Path, tmp_path: Path) -> None:
    """A pipeline's models are its stages; a damaged one fails the pipeline, at the stage weights."""
    found = serve(DIFFUSERS, spool, tmp_path / "ddpm")
    assert [(attempt.begin.model, attempt.outcome) for attempt in found] == [
        ("ddpm", "loaded"),
        ("unet", "loaded"),
        ("ddpm", "failed"),
    ]
    assert [stages(attempt) for attempt in found[:2]] == [["weights"], ["weights"]]
    assert (found[2].reason, found[2].stage) == ("file_corrupted", "weights")


VLLM_LOADER = """
class BaseModelLoader:
    def load_model(self, vllm_config, model_config, prefix=""):
        return type("Model", (), {})()
class DefaultModelLoader(BaseModelLoader):
    pass
"""

VLLM = """
import os
from importlib.metadata import entry_points
for plugin in entry_points(group="vllm.general_plugins"):      # as vLLM's load_general_plugins() does
    plugin.load()()
from types import SimpleNamespace as Config
from vllm.model_executor.model_loader.base_loader import DefaultModelLoader
config = Config(model="acme/chat-7b")
model = DefaultModelLoader().load_model(vllm_config=Config(model_config=config), model_config=config)
os._exit(0)
"""


def test_vllm_loads_us_as_its_plugin(spool: Path, tmp_path: Path) -> None:
    """Against a stand-in for vLLM's registry and loader: the entry point is found, and its loads are told."""
    folder = tmp_path / "vllm/model_executor/model_loader"
    folder.mkdir(parents=True)
    (folder / "base_loader.py").write_text(VLLM_LOADER)
    found: list[LoadAttempt] = serve(VLLM, spool, prelude="", PYTHONPATH=str(tmp_path))
    assert [(told(attempt), stages(attempt)) for attempt in found] == [
        (("acme/chat-7b", "loaded", None), ["weights"]),
    ]
