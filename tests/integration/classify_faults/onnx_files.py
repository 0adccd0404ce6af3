"""ONNX models and their external data, by onnxruntime; written with the onnx package."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from registry import (
    FAULTS,
    PAGE,
    POINTER,
    Fault,
    Load,
    Prepare,
    as_nobody,
    fault,
    flip,
    healthy,
    with_little_memory,
    write_manifest,
)  # fmt: skip


def graph(size: int = 16) -> Any:
    """One matrix product: the smallest model that has weights."""
    import numpy
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(numpy.ones((4, size), numpy.float32), "w")
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    return helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, [1, 4])], [value("y", TensorProto.FLOAT, [1, size])], [weight]
    )


def onnx_model(**changes: Any) -> Any:
    from onnx import helper

    return helper.make_model(graph(), **{"opset_imports": [helper.make_opsetid("", 17)], "ir_version": 8} | changes)


def session(path: Path) -> Load:
    import onnxruntime

    return lambda: onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def onnx_file(folder: Path) -> tuple[Load, Path]:
    import onnx

    path = folder / "model.onnx"
    onnx.save(onnx_model(), path)
    return session(path), path


def with_data(folder: Path) -> tuple[Load, Path, Path]:
    """The weights in a file of their own, as models above 2 GB must have them."""
    import onnx

    path = folder / "model.onnx"
    onnx.save(onnx_model(), path, save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    (folder / "model.onnx_data").chmod(0o644)
    return session(path), path, folder / "model.onnx_data"


def content(data: bytes) -> Prepare:
    def prepare(folder: Path) -> tuple[Load, Path]:
        load, path = onnx_file(folder)
        path.write_bytes(data)
        return load, path

    return prepare


def cut(size: Callable[[int], int]) -> Prepare:
    def prepare(folder: Path) -> tuple[Load, Path]:
        load, path = onnx_file(folder)
        os.truncate(path, size(path.stat().st_size))
        return load, path

    return prepare


FAULTS["onnx_empty"] = Fault("file_empty", content(b""), "stat")
FAULTS["onnx_lfs_pointer"] = Fault("lfs_pointer", content(POINTER), "header")
FAULTS["onnx_html_page"] = Fault("file_corrupted", content(PAGE), "header")
FAULTS["onnx_random_bytes"] = Fault("file_corrupted", content(bytes(range(7, 256)) * 4), "header")
FAULTS["onnx_zero_bytes"] = Fault("file_corrupted", content(bytes(4096)), "header")
FAULTS["onnx_cut_at_its_first_bytes"] = Fault("file_corrupted", cut(lambda size: 5), "header")
FAULTS["onnx_cut_in_the_middle"] = Fault("file_corrupted", cut(lambda size: size // 2), "header")
FAULTS["onnx_cut_by_one_byte"] = Fault("file_corrupted", cut(lambda size: size - 1), "header")


@fault("file_missing", verify="stat")
def onnx_missing(folder: Path) -> tuple[Load, Path]:
    load, path = onnx_file(folder)
    path.unlink()
    return load, path


@fault("permission_denied", verify="header")
def onnx_unreadable(folder: Path) -> tuple[Load, Path]:
    load, path = onnx_file(folder)
    path.chmod(0o600)
    return as_nobody(load), path


@fault("permission_denied", verify="stat")
def onnx_in_a_closed_folder(folder: Path) -> tuple[Load, Path]:
    load, path = onnx_file(folder)
    folder.chmod(0o700)
    return as_nobody(load), path


@fault("file_corrupted", verify="checksum", silent=True)
def onnx_flipped_bit(folder: Path) -> tuple[Load, Path]:
    load, path = onnx_file(folder)
    write_manifest(folder)
    flip(path, path.read_bytes().index(b"\x00\x00\x80\x3f") + 60)
    return load, path


@fault("file_missing", verify="header")
def onnx_data_missing(folder: Path) -> tuple[Load, Path]:
    load, path, data = with_data(folder)
    data.unlink()
    return load, path


@fault("file_empty", verify="header")
def onnx_data_empty(folder: Path) -> tuple[Load, Path]:
    load, path, data = with_data(folder)
    os.truncate(data, 0)
    return load, path


@fault("file_corrupted", verify="header")
def onnx_data_truncated(folder: Path) -> tuple[Load, Path]:
    load, path, data = with_data(folder)
    os.truncate(data, 100)
    return load, path


@fault("lfs_pointer", verify="header")
def onnx_data_lfs_pointer(folder: Path) -> tuple[Load, Path]:
    load, path, data = with_data(folder)
    data.write_bytes(POINTER)
    return load, path


@fault("permission_denied", verify="header")
def onnx_data_unreadable(folder: Path) -> tuple[Load, Path]:
    load, path, data = with_data(folder)
    data.chmod(0o600)
    return as_nobody(load), path


@fault("file_corrupted", verify="checksum", silent=True)
def onnx_data_flipped_bit(folder: Path) -> tuple[Load, Path]:
    load, path, data = with_data(folder)
    write_manifest(folder)
    flip(data, 20)
    return load, path


@fault("version_incompatible")
def onnx_ir_version_of_tomorrow(folder: Path) -> tuple[Load, Path]:
    load, path = onnx_file(folder)
    path.write_bytes(onnx_model(ir_version=99).SerializeToString())
    return load, path


@fault("version_incompatible")
def onnx_opset_of_tomorrow(folder: Path) -> tuple[Load, Path]:
    from onnx import helper

    load, path = onnx_file(folder)
    path.write_bytes(onnx_model(opset_imports=[helper.make_opsetid("", 999)]).SerializeToString())
    return load, path


@fault("version_incompatible")
def onnx_operator_nobody_has(folder: Path) -> tuple[Load, Path]:
    from onnx import helper

    load, path = onnx_file(folder)
    model = onnx_model(opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.acme", 1)])
    model.graph.node[0].op_type, model.graph.node[0].domain = "FusedAttentionOfTomorrow", "com.acme"
    path.write_bytes(model.SerializeToString())
    return load, path


@fault("architecture_mismatch")
def onnx_weights_of_another_shape(folder: Path) -> tuple[Load, Path]:
    load, path = onnx_file(folder)
    model = onnx_model()
    model.graph.initializer[0].dims[:] = [2, 32]
    path.write_bytes(model.SerializeToString())
    return load, path


@fault("config_invalid")
def onnx_graph_without_its_input(folder: Path) -> tuple[Load, Path]:
    load, path = onnx_file(folder)
    model = onnx_model()
    model.graph.node[0].input[0] = "nothing_of_that_name"
    path.write_bytes(model.SerializeToString())
    return load, path


@fault("architecture_mismatch")
def onnx_input_of_another_shape(folder: Path) -> tuple[Load, Path]:
    import numpy

    load, path = onnx_file(folder)
    return lambda: load().run(None, {"x": numpy.ones((1, 5), numpy.float32)}), path  # type: ignore[attr-defined]  # a session


@fault("architecture_mismatch")
def onnx_input_of_another_type(folder: Path) -> tuple[Load, Path]:
    import numpy

    load, path = onnx_file(folder)
    return lambda: load().run(None, {"x": numpy.ones((1, 4))}), path  # type: ignore[attr-defined]  # a session


@fault("host_memory_error")
def onnx_with_little_memory(folder: Path) -> tuple[Load, Path]:
    import onnx
    from onnx import helper

    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph(4 << 20), opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return with_little_memory(session(path), 24 << 20), path


@healthy
def onnx_without_the_gpu_it_asked_for(folder: Path) -> tuple[Load, Path]:
    import onnxruntime

    _, path = onnx_file(folder)
    return lambda: onnxruntime.InferenceSession(path, providers=["CUDAExecutionProvider", "CPUExecutionProvider"]), path
