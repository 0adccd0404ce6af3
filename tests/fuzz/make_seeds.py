"""Small real model files for mutation to start from, written by the libraries themselves.

    python make_seeds.py FOLDER

Run under .venv-models and .venv-formats; each makes what its libraries can, by the makers of the fault matrix. Files
lie in FOLDER/FORMAT/..., folders of models in FOLDER/folders/.
"""

import contextlib
import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration" / "classify_faults"))


def torch_seeds(folder: Path) -> None:
    import joblib
    import torch
    from safetensors.torch import save_file

    weights = {"a.weight": torch.ones(3, 4), "b": torch.zeros(5, dtype=torch.bfloat16), "n": torch.tensor(3)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    torch.save(weights, folder / "model.pth")
    torch.save(weights, folder / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(folder / "script.pt"))
    joblib.dump({"coefficients": [1.0, 2.0], "classes": ("a", "b")}, folder / "model.joblib")
    joblib.dump({"coefficients": [1.0] * 50}, folder / "packed.joblib", compress=3)


def tokenizer_seeds(folder: Path) -> None:
    import sentencepiece
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    text = ["a small text to train a small tokenizer on"] * 20
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(text, trainers.BpeTrainer(vocab_size=40, special_tokens=["<s>", "</s>"]))
    tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer.model.save(str(folder))
    (folder / "corpus").write_text("\n".join(text))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus"), model_prefix=str(folder / "tokenizer"), vocab_size=20, minloglevel=2
    )
    config = {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 16, "dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", "added": {"0": "a"}}))
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": 24}, "weight_map": {"a": "model-00001-of-00002.safetensors"}})
    )


def keras_seeds(folder: Path) -> None:
    import gguf_files
    import keras_files
    import onnx_files

    for name, make in {
        "keras": keras_files.keras_file, "h5": keras_files.h5_file, "onnx": onnx_files.onnx_file,
        "gguf": gguf_files.gguf_file, "saved": keras_files.saved_model,
    }.items():  # fmt: skip
        (folder / name).mkdir()
        make(folder / name)
    (folder / "data").mkdir()
    onnx_files.with_data(folder / "data")
    (folder / "tflite_seed").mkdir()
    keras_files.tflite_seed(folder / "tflite_seed")[0]()


def coreml_seeds(folder: Path) -> None:
    import coremltools
    import numpy
    from coremltools.converters.mil import Builder
    from coremltools.models import datatypes, neural_network

    network = neural_network.NeuralNetworkBuilder([("x", datatypes.Array(4))], [("y", datatypes.Array(3))])
    network.add_inner_product("d", numpy.ones((3, 4)), numpy.ones(3), 4, 3, True, "x", "y")
    coremltools.models.MLModel(network.spec).save(str(folder / "model.mlmodel"))

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 4))])  # type: ignore[untyped-decorator]  # no stubs
    def program(x: object) -> object:
        return Builder.linear(x=x, weight=numpy.ones((64, 4), numpy.float32))

    coremltools.convert(
        program, convert_to="mlprogram", minimum_deployment_target=coremltools.target.iOS15,
        compute_precision=coremltools.precision.FLOAT32,
    ).save(str(folder / "model.mlpackage"))  # fmt: skip


MAKERS: dict[str, Callable[[Path], None]] = {
    "torch": torch_seeds,
    "sentencepiece": tokenizer_seeds,
    "tensorflow": keras_seeds,
    "coremltools": coreml_seeds,
}
"""By the package that each needs."""


def main() -> None:
    for package, make in MAKERS.items():
        if importlib.util.find_spec(package) is None:
            continue
        folder = Path(sys.argv[1]) / package
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with contextlib.redirect_stdout(sys.stderr):
            make(folder)


if __name__ == "__main__":
    main()
