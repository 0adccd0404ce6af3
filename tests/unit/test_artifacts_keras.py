"""Keras archives by hand: the zip, the weights within, and what a configuration would run."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from model_load_exporter.artifacts import keras, keras_config
from model_load_exporter.artifacts.bounded import Damaged
from support import format_bytes as make
from support.hostile import Change, changed, changes, refused, survives, within

DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "dense"}, "registered_name": None}


def model(*layers: object, **more: object) -> dict[str, object]:
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "small", "layers": list(layers)}} | more


def weights() -> bytes:
    place = 48 + len(make.hdf5_object(make.hdf5_link("w", 0)))
    data = place + len(make.hdf5_dataset([5], 0, 0))
    return make.hdf5(make.hdf5_object(make.hdf5_link("w", place)), make.hdf5_dataset([5], data, 20), bytes(20))


def archive(path: Path, config: object = None, *, packed: bool = False, **entries: bytes | None) -> Path:
    document = model(DENSE) if config is None else config
    content: dict[str, bytes | None] = {
        "metadata.json": b'{"keras_version": "3.15.1", "date_saved": "2026-01-02@03:04:05"}',
        "config.json": document if isinstance(document, bytes) else json.dumps(document).encode(),
        "model.weights.h5": weights(),
    }
    content |= {name.replace("__", "."): raw for name, raw in entries.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as file:
        for name, raw in content.items():
            if raw is not None:
                file.writestr(name, raw)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_an_archive_tells_its_weights_and_version(tmp_path: Path, packed: bool) -> None:
    """Stored as Keras does, or packed by somebody since."""
    path = archive(tmp_path / "m.keras", packed=packed)
    summary = keras.read(path)
    seen: list[int] = []
    keras.deep(path, seen.append)

    assert (summary.parameters, summary.dtypes) == (5, {"float32": 20})
    assert summary.metadata == {
        "version": "3.15.1", "producer": "keras 3.15.1", "saved": "2026-01-02@03:04:05",
        "architecture": "Sequential", "name": "small",
    }  # fmt: skip
    assert sum(seen) > 20


def test_a_flipped_bit_is_found_by_the_archives_checksum(tmp_path: Path) -> None:
    """In the weights, where the header level sees nothing."""
    path = archive(tmp_path / "m.keras")
    raw = bytearray(path.read_bytes())
    raw[raw.index(bytes(20))] ^= 1
    path.write_bytes(raw)

    keras.read(path)
    assert refused(lambda path: keras.deep(path, lambda _: None), path).reason == "file_corrupted"


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"config__json": None}, "no config.json"),
        ({"metadata__json": None}, "no metadata.json"),
        ({"model__weights__h5": None}, "no model.weights.h5"),
        ({"model__weights__h5": weights()[:-1]}, "model.weights.h5"),
        ({"metadata__json": b"[]"}, "no JSON object"),
    ],
)
def test_an_archive_that_does_not_load_is_refused(tmp_path: Path, entries: dict[str, Any], says: str) -> None:
    """Each with what is wrong."""
    error = refused(keras.read, archive(tmp_path / "m.keras", **entries))

    assert (error.reason, says in str(error)) == ("file_corrupted", True)


@pytest.mark.parametrize("config", [b"{", b"[" * 100_000, b"[]"])
def test_a_configuration_that_is_none_is_told_as_such(tmp_path: Path, config: bytes) -> None:
    """Its checksum fits, so these bytes were written: the reason is the one that Keras's JSONDecodeError has."""
    error = refused(keras.read, archive(tmp_path / "m.keras", config__json=config))

    assert (error.reason, "config.json" in str(error)) == ("config_invalid", True)


def test_hdf5_under_the_archives_name_is_told(tmp_path: Path) -> None:
    """model.save("m.keras", save_format="h5") of Keras 2 wrote that."""
    (tmp_path / "m.keras").write_bytes(weights())

    assert "rename" in str(refused(keras.read, tmp_path / "m.keras"))


@pytest.mark.parametrize(
    "layer",
    [
        {"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wEA"}}}},
        {"class_name": "Lambda", "config": {"function": ["4wEA", None, None]}},
        {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"},
        {"module": "subprocess", "class_name": "Popen", "config": {}},
        {"module": "builtins", "class_name": "function", "config": "exec"},
        {"module": "keras.utils", "class_name": "function", "config": "get_file"},
    ],
)
def test_a_configuration_that_would_run_code_is_refused(tmp_path: Path, layer: dict[str, Any]) -> None:
    """Wherever it stands."""
    path = archive(tmp_path / "m.keras", model(DENSE, {"deep": [[{"deeper": layer}]]}))

    assert refused(keras.read, path).reason == "unsafe_pickle"


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ({"module": "shop.layers", "class_name": "Twice", "config": {}}, "needs code of its own: shop.layers.Twice"),
        ({"module": None, "class_name": "Twice", "registered_name": "shop>Twice"}, "needs code of its own: shop>Twice"),
        ({"module": "builtins", "class_name": "function", "config": "my_loss"}, None),
        ({"module": "keras.activations", "class_name": "function", "config": "relu"}, None),
        ({"class_name": "Lambda", "config": {"function": "my_function", "function_type": "function"}}, None),
    ],
)
def test_a_layer_of_the_users_own_is_a_note(layer: dict[str, Any], expected: str | None) -> None:
    """It loads where its code is installed; that is no fault of the file."""
    assert keras_config.inspect(json.dumps(model(layer)).encode(), "it").get("note") == expected


def test_a_configuration_of_millions_of_values_ends_somewhere() -> None:
    """A bound, not a hang."""
    raw = b'{"a": [' + b"[]," * 2_100_000 + b"[]]}"

    with within(seconds=20, mebibytes=600), pytest.raises(Damaged, match="values"):
        keras_config.inspect(raw, "it")


def test_a_zip_bomb_costs_nothing(tmp_path: Path) -> None:
    """A configuration of a claimed gigabyte in a megabyte is refused by its size."""
    path = tmp_path / "m.keras"
    archive(path, metadata__json=None)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("metadata.json", bytes(100 * 2**20))

    with within(seconds=1, mebibytes=16):
        refused(keras.read, path)


@settings(max_examples=150, deadline=None)
@given(what=changes(1500))
def test_changed_bytes_raise_nothing_else(tmp_path_factory: pytest.TempPathFactory, what: list[Change]) -> None:
    """At the header level and at the level of checksums."""
    path = archive(tmp_path_factory.getbasetemp() / f"changed{os.getpid()}.keras")
    path.write_bytes(changed(path.read_bytes(), what))
    survives(keras.read, path)
    survives(lambda path: keras.deep(path, lambda _: None), path)
