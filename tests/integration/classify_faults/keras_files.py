"""Keras 3 archives, HDF5 files and SavedModels, by keras and tensorflow."""

import json
import os
import zipfile
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
    fill,
    flip,
    healthy,
    tmpfs,
    write_manifest,
)  # fmt: skip


def dense(units: int = 3) -> Any:
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, name="d")])
    model.layers[0].set_weights([value + 1.0 for value in model.layers[0].get_weights()])
    return model


Make = Callable[[Path], tuple[Load, Path]]


def keras_file(folder: Path) -> tuple[Load, Path]:
    import keras

    path = folder / "model.keras"
    dense().save(path)
    return lambda: keras.saving.load_model(path), path


def h5_file(folder: Path) -> tuple[Load, Path]:
    import keras

    path = folder / "model.h5"
    dense().save(path)
    return lambda: keras.saving.load_model(path), path


def saved_model(folder: Path) -> tuple[Load, Path]:
    import tensorflow

    path = folder / "saved"
    dense().export(path, verbose=False)
    return lambda: tensorflow.saved_model.load(str(path)), path


def changed(make: Make, change: Callable[[Path], object], name: str = "") -> Prepare:
    def prepare(folder: Path) -> tuple[Load, Path]:
        load, path = make(folder)
        change(path / name if name else path)
        return load, path

    return prepare


def cut(numerator: int, denominator: int) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, path.stat().st_size * numerator // denominator)


def unreadable(make: Make, name: str = "") -> Prepare:
    def prepare(folder: Path) -> tuple[Load, Path]:
        load, path = make(folder)
        (path / name if name else path).chmod(0o600)
        return as_nobody(load), path

    return prepare


for _name, _make in {"keras": keras_file, "h5": h5_file}.items():
    FAULTS |= {
        f"{_name}_missing": Fault("file_missing", changed(_make, Path.unlink), "stat"),
        f"{_name}_empty": Fault("file_empty", changed(_make, lambda path: os.truncate(path, 0)), "stat"),
        f"{_name}_lfs_pointer": Fault("lfs_pointer", changed(_make, lambda path: path.write_bytes(POINTER)), "header"),
        f"{_name}_html_page": Fault("file_corrupted", changed(_make, lambda path: path.write_bytes(PAGE)), "header"),
        f"{_name}_zero_bytes": Fault(
            "file_corrupted", changed(_make, lambda path: path.write_bytes(bytes(9000))), "header"
        ),
        f"{_name}_cut_at_a_tenth": Fault("file_corrupted", changed(_make, cut(1, 10)), "header"),
        f"{_name}_cut_at_nine_tenths": Fault("file_corrupted", changed(_make, cut(9, 10)), "header"),
        f"{_name}_unreadable": Fault("permission_denied", unreadable(_make), "header"),
    }

_GRAPH, _INDEX, _DATA = "saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"
FAULTS |= {
    "saved_model_without_its_graph": Fault("file_missing", changed(saved_model, Path.unlink, _GRAPH), "header"),
    "saved_model_graph_empty": Fault("file_empty", changed(saved_model, lambda p: os.truncate(p, 0), _GRAPH), "stat"),
    "saved_model_graph_cut": Fault("file_corrupted", changed(saved_model, cut(1, 2), _GRAPH), "header"),
    "saved_model_graph_lfs_pointer": Fault(
        "lfs_pointer", changed(saved_model, lambda path: path.write_bytes(POINTER), _GRAPH), "header"
    ),
    "saved_model_graph_html_page": Fault(
        "file_corrupted", changed(saved_model, lambda path: path.write_bytes(PAGE), _GRAPH), "header"
    ),
    "saved_model_graph_unreadable": Fault("permission_denied", unreadable(saved_model, _GRAPH), "header"),
    "saved_model_index_missing": Fault("file_missing", changed(saved_model, Path.unlink, _INDEX), "header"),
    "saved_model_index_cut": Fault("file_corrupted", changed(saved_model, cut(1, 2), _INDEX), "header"),
    "saved_model_index_flipped_bit": Fault(
        "file_corrupted", changed(saved_model, lambda path: flip(path, 40), _INDEX), "checksum"
    ),
    "saved_model_data_missing": Fault("shard_missing", changed(saved_model, Path.unlink, _DATA), "header"),
    "saved_model_data_cut": Fault("file_corrupted", changed(saved_model, cut(1, 2), _DATA), "header"),
    "saved_model_data_flipped_bit": Fault(
        "file_corrupted", changed(saved_model, lambda path: flip(path, 20), _DATA), "checksum"
    ),
    "saved_model_data_unreadable": Fault("permission_denied", unreadable(saved_model, _DATA), "header"),
}


@fault("file_missing", verify="stat")
def saved_model_missing(folder: Path) -> tuple[Load, Path]:
    import tensorflow

    return lambda: tensorflow.saved_model.load(str(folder / "nowhere")), folder / "nowhere"


@fault("config_invalid")
def saved_model_without_that_tag(folder: Path) -> tuple[Load, Path]:
    import tensorflow

    _, path = saved_model(folder)
    return lambda: tensorflow.saved_model.load(str(path), tags=["tpu"]), path


@fault("version_incompatible")
def saved_model_with_an_operation_nobody_has(folder: Path) -> tuple[Load, Path]:
    load, path = saved_model(folder)
    graph = path / _GRAPH
    graph.write_bytes(graph.read_bytes().replace(b"StatefulPartitionedCall", b"StatefulPartitionedZall"))
    return load, path


@fault("version_incompatible")
def saved_model_given_to_keras(folder: Path) -> tuple[Load, Path]:
    import keras

    _, path = saved_model(folder)
    return lambda: keras.saving.load_model(path), path


def rewritten(folder: Path, change: Callable[[str, bytes], bytes | None]) -> tuple[Load, Path]:
    """A .keras archive anew, each entry as `change` gives it; None leaves it out."""
    import keras

    _, path = keras_file(folder)
    target = folder / "changed.keras"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if (body := change(name, old.read(name))) is not None:
                new.writestr(name, body)
    return lambda: keras.saving.load_model(target), target


@fault("file_corrupted", verify="checksum")
def keras_flipped_bit(folder: Path) -> tuple[Load, Path]:
    """Unlike torch and safetensors, Python's zipfile checks what it reads."""
    load, path = keras_file(folder)
    with zipfile.ZipFile(path) as archive:
        flip(path, archive.getinfo("model.weights.h5").header_offset + 4000)
    return load, path


@fault("file_corrupted", verify="header")
def keras_without_its_weights(folder: Path) -> tuple[Load, Path]:
    return rewritten(folder, lambda name, body: None if name == "model.weights.h5" else body)


@fault("file_corrupted", verify="header")
def keras_without_its_config(folder: Path) -> tuple[Load, Path]:
    return rewritten(folder, lambda name, body: None if name == "config.json" else body)


@fault("config_invalid", verify="header")
def keras_config_not_json(folder: Path) -> tuple[Load, Path]:
    return rewritten(folder, lambda name, body: body[:50] if name == "config.json" else body)


@fault("version_incompatible")
def keras_layer_of_tomorrow(folder: Path) -> tuple[Load, Path]:
    return rewritten(folder, lambda name, body: body.replace(b'"Dense"', b'"DenseOfTomorrow"'))


@fault("version_incompatible")
def keras_argument_of_tomorrow(folder: Path) -> tuple[Load, Path]:
    return rewritten(folder, lambda name, body: body.replace(b'"units"', b'"sparsity_of_tomorrow": 1, "units"'))


@fault("unsafe_pickle", verify="header")
def keras_lambda(folder: Path) -> tuple[Load, Path]:
    import keras

    path = folder / "model.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2)]).save(path)
    return lambda: keras.saving.load_model(path), path


@fault("architecture_mismatch")
def keras_weights_of_another_shape(folder: Path) -> tuple[Load, Path]:
    path = folder / "model.weights.h5"
    dense(5).save_weights(path)
    return lambda: dense(3).load_weights(path), path


@fault("architecture_mismatch")
def keras_weights_of_another_model(folder: Path) -> tuple[Load, Path]:
    import keras

    path = folder / "model.weights.h5"
    dense().save_weights(path)
    deeper = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(3)])
    return lambda: deeper.load_weights(path), path


@fault("file_corrupted", verify="checksum", silent=True)
def h5_flipped_bit(folder: Path) -> tuple[Load, Path]:
    load, path = h5_file(folder)
    write_manifest(folder)
    flip(path, path.read_bytes().index(b"\x00\x00\x80\x3f"))
    return load, path


@fault("file_missing", verify="stat")
def h5_weights_missing(folder: Path) -> tuple[Load, Path]:
    path = folder / "model.weights.h5"
    return lambda: dense().load_weights(path), path


@fault("config_invalid")
def h5_weights_given_as_a_model(folder: Path) -> tuple[Load, Path]:
    import keras

    path = folder / "weights.h5"
    dense().save_weights(folder / "model.weights.h5")
    (folder / "model.weights.h5").rename(path)
    return lambda: keras.saving.load_model(path), path


@fault("disk_full")
def h5_saved_on_a_full_disk(folder: Path) -> tuple[Load, None]:
    model, mounted = dense(), tmpfs(folder)
    fill(mounted)
    return lambda: model.save(mounted / "model.h5"), None


@fault("disk_full")
def keras_saved_on_a_full_disk(folder: Path) -> tuple[Load, None]:
    model, mounted = dense(), tmpfs(folder)
    fill(mounted)
    return lambda: model.save(mounted / "model.keras"), None


@fault("dependency_missing")
def keras_backend_missing(folder: Path) -> tuple[Load, None]:
    def load() -> None:
        import subprocess
        import sys

        code = "import os; os.environ['KERAS_BACKEND'] = 'jax'; import keras"
        done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, check=False)
        raise RuntimeError(f"a worker failed to start:\n{done.stderr}")

    return load, None


@healthy
def tflite_seed(folder: Path) -> tuple[Load, Path]:
    """Makes the file that the TFLite faults start from; the converter's own chatter is no failure."""
    import tensorflow

    _, saved = saved_model(folder)
    path = folder / "model.tflite"

    def load() -> object:
        return path.write_bytes(tensorflow.lite.TFLiteConverter.from_saved_model(str(saved)).convert())

    return load, path


@healthy
def saved_model_whole(folder: Path) -> tuple[Load, Path]:
    return saved_model(folder)


@fault("version_incompatible")
def h5_with_a_metric_of_yesterday(folder: Path) -> tuple[Load, Path]:
    import keras

    path = folder / "model.h5"
    model = dense()
    model.compile("adam", "mse")
    model.save(path)
    return lambda: keras.saving.load_model(path), path


@healthy
def keras_with_an_optimizer_of_another_shape(folder: Path) -> tuple[Load, Path]:
    import keras

    path = folder / "model.keras"
    model = dense()
    model.compile("adam", "mse")
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("config.json"))["compile_config"]
    return lambda: keras.saving.load_model(path), path
