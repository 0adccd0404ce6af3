"""Writes small real models of each format into a folder, with the libraries that own the formats.

Run by test_artifacts_formats.py: .venv-formats/bin/python tests/integration/format_files.py FOLDER
"""

import os
import sys
from pathlib import Path

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")

import gguf
import h5py
import keras
import numpy as np
import onnx
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper

RANDOM = np.random.default_rng(7)


def weights(*shape: int) -> np.ndarray:
    """Numbers that no compression or default could stand for."""
    return RANDOM.standard_normal(shape).astype(np.float32)


def make_gguf(folder: Path) -> None:
    """A Llama's header with four types of tensors, in both byte orders, and one in three shards."""

    def write(path: Path, **how: object) -> None:
        writer = gguf.GGUFWriter(str(path), "llama", **how)
        writer.add_name("small llama")
        writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
        writer.add_context_length(2048)
        writer.add_block_count(2)
        writer.add_embedding_length(64)
        writer.add_head_count(4)
        writer.add_head_count_kv(2)
        writer.add_token_list([f"token {number}" for number in range(2000)])
        writer.add_token_scores([0.5] * 2000)
        writer.add_tensor("token_embd.weight", weights(200, 64))
        for name, kind in (("q8", gguf.GGMLQuantizationType.Q8_0), ("q4", gguf.GGMLQuantizationType.Q4_0)):
            data = gguf.quants.quantize(weights(64, 64), kind)
            writer.add_tensor(f"blk.0.{name}.weight", data, raw_dtype=kind)
        writer.add_tensor("blk.1.ffn.weight", weights(64, 64).astype(np.float16))
        writer.add_tensor("output_norm.weight", weights(33))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    write(folder / "small.gguf")
    write(folder / "big_endian.gguf", endianess=gguf.GGUFEndian.BIG)
    (folder / "split").mkdir()
    write(folder / "split" / "part.gguf", split_max_tensors=2)


def make_onnx(folder: Path) -> None:
    """One with its weights within, and one with a branch whose weights lie in a file beside it."""
    inner = numpy_helper.from_array(weights(32, 32), "inner")
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node("MatMul", ["x", "inner"], ["y"])], name,
            [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 32])], [inner],
        )
        for name in ("then", "else")
    }  # fmt: skip
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["in", "w"], ["x"]),
            helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.array(True))),
            helper.make_node("If", ["c"], ["out"], **branches),
        ],
        "small",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 32])],
        [
            numpy_helper.from_array(weights(64, 32), "w"),
            helper.make_tensor("typed", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0]),
            helper.make_tensor("four_bits", TensorProto.INT4, [3], [1, 2, 3]),
            numpy_helper.from_array(np.array(["a", "bc"], dtype=object), "texts"),
        ],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 4)]
    model = helper.make_model(graph, producer_name="tests", producer_version="1", opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "small.onnx")
    onnx.save(
        model, folder / "beside.onnx",
        save_as_external_data=True, location="beside.onnx_data", size_threshold=64, convert_attribute=True,
    )  # fmt: skip


def make_tensorflow(folder: Path) -> None:
    """SavedModel with an asset and texts, a checkpoint in two shards, and tflite models, one of 64 MiB."""
    (folder / "vocabulary.txt").write_text("a\nb\n")
    module = tf.Module()
    module.w = tf.Variable(weights(64, 32))
    module.texts = tf.Variable(["a text", "", "a longer text" * 20])
    module.vocabulary = tf.saved_model.Asset(str(folder / "vocabulary.txt"))
    signature = [tf.TensorSpec([1, 64], tf.float32)]
    module.call = tf.function(lambda x: tf.nn.relu(x @ module.w), input_signature=signature)
    tf.saved_model.save(module, str(folder / "saved_model"))

    small = tf.Module()
    small.call = tf.function(lambda x: x * 2.0, input_signature=signature)
    tf.saved_model.save(small, str(folder / "without_variables"))

    for name, optimizations in (("small", []), ("quantized", [tf.lite.Optimize.DEFAULT])):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([module.call.get_concrete_function()], module)
        converter.optimizations = optimizations
        (folder / f"{name}.tflite").write_bytes(converter.convert())

    wide = tf.Module()
    wide.w = tf.Variable(weights(4096, 4096))
    wide.call = tf.function(lambda x: x @ wide.w, input_signature=[tf.TensorSpec([1, 4096], tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([wide.call.get_concrete_function()], wide)
    (folder / "wide.tflite").write_bytes(converter.convert())

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for device in range(2):
            with tf.device(f"/cpu:{device}"):
                tf.compat.v1.get_variable(f"v{device}", initializer=weights(40, 40))
        session.run(tf.compat.v1.global_variables_initializer())
        (folder / "checkpoint").mkdir()
        tf.compat.v1.train.Saver(sharded=True).save(session, str(folder / "checkpoint" / "model.ckpt"), global_step=7)


@keras.saving.register_keras_serializable(package="shop")
class Doubled(keras.layers.Layer):
    """A layer of the user's own."""

    def call(self, x: object) -> object:
        return x * 2


def make_keras(folder: Path) -> None:
    """The archive and both kinds of .h5, as they should be and with code in them; other forms of HDF5."""
    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(32), keras.layers.Dense(4)], name="small")
    model.compile(optimizer="adam", loss="mse")
    model.fit(weights(4, 64), weights(4, 4), verbose=0)
    model.save(folder / "small.keras")
    model.save(folder / "small.h5")
    model.save_weights(folder / "small.weights.h5")
    for name, layer in (("lambda", keras.layers.Lambda(lambda x: x + 1)), ("custom", Doubled())):
        odd = keras.Sequential([keras.layers.Input((8,)), layer])
        odd.save(folder / f"{name}.keras")
        odd.save(folder / f"{name}.h5")
    with h5py.File(folder / "latest.h5", "w", libver="latest") as file:
        group = file.create_group("layer")
        group["kernel"] = weights(64, 32)
        group.create_dataset("packed", data=weights(100, 20), chunks=(10, 20), compression="gzip")
    with h5py.File(folder / "dense.h5", "w", libver="latest") as file:
        for number in range(20):
            file[f"layer_{number}"] = np.full((4, 4), number, np.float16)
    with h5py.File(folder / "many.h5", "w", userblock_size=512) as file:
        for number in range(500):
            file[f"layer_{number}/vars/0"] = np.full((4, 4), number, np.float16)
        file.create_dataset("chunked", data=weights(100, 20), chunks=(10, 20))


def make_coreml(folder: Path) -> None:
    """A neural network in one file, and a program as a package."""
    import coremltools as ct
    from coremltools.converters.mil import Builder
    from coremltools.models.neural_network import NeuralNetworkBuilder

    size = [("x", ct.models.datatypes.Array(64))]
    builder = NeuralNetworkBuilder(size, [("y", ct.models.datatypes.Array(32))])
    builder.add_inner_product("dense", weights(32, 64), None, 64, 32, False, "x", "y")
    ct.models.utils.save_spec(builder.spec, str(folder / "small.mlmodel"))

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 64))])
    def program(x: object) -> object:
        return Builder.linear(x=Builder.linear(x=x, weight=weights(48, 64)), weight=weights(32, 48))

    package = ct.convert(program, convert_to="mlprogram", minimum_deployment_target=ct.target.iOS15)
    package.save(str(folder / "small.mlpackage"))


def main(folder: Path) -> None:
    """All of them."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    for make in (make_gguf, make_onnx, make_tensorflow, make_keras, make_coreml):
        make(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
