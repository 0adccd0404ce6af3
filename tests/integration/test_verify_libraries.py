"""verify on what torch, safetensors and joblib really write: good files are good, and a flipped bit is found."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from model_load_exporter.artifacts import torch_zip
from model_load_exporter.artifacts.pickle_globals import Global, is_needed
from model_load_exporter.artifacts.summary import ArtifactError
from model_load_exporter.artifacts.verify import verify

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-models" / "bin" / "python"
NO_FAULT = {"layer", "numpy", "arguments"}
"""Kinds that the default load refuses although they bring no code of their author: told in a note."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("written")
    script = Path(__file__).with_name("verify_files.py")
    done = subprocess.run([PYTHON, script, folder], stdout=subprocess.PIPE, check=True)
    return folder, json.loads(done.stdout)


def test_what_torch_loads_is_good_and_what_it_refuses_is_told(written: tuple[Path, dict[str, Any]]) -> None:
    """Each kind in each form: a fault for its author's code, a note for harmless classes."""
    folder, told = written
    reports = {file.path.name: file for file in verify([folder]).files}
    assert len(told["loads"]) >= 34
    for name, loads in told["loads"].items():
        report = reports[name]
        if loads:
            assert report.ok, report
            assert "note" not in report.metadata
        elif name.partition("-")[0] in NO_FAULT:
            assert report.ok, report
            assert "weights_only" in report.metadata["note"]
        else:
            assert report.reason == "unsafe_pickle", report
    rest = [file for name, file in reports.items() if name not in told["loads"]]
    assert len(rest) == 4
    assert all(file.ok for file in rest), rest


def test_the_types_are_told(written: tuple[Path, dict[str, Any]]) -> None:
    """From the pickle's storages, which nobody unpickled."""
    folder, _ = written
    assert torch_zip.read(folder / "half-zip.pt").dtypes == {"float16": 128, "bfloat16": 128}
    assert torch_zip.read(folder / "half-legacy.pt").dtypes == {"float16": 128, "bfloat16": 128}
    assert torch_zip.read(folder / "shared-zip.pt").tensor_bytes == 256
    assert torch_zip.read(folder / "scripted.pt").format == "torchscript"


def test_every_global_that_torch_allows_is_needed(written: tuple[Path, dict[str, Any]]) -> None:
    """The installed torch's own list; a newer one may have more."""
    allowed = [Global(*name.rsplit(".", 1)) for name in written[1]["allowed"]]
    assert len(allowed) > 100
    assert [str(name) for name in allowed if not is_needed(name)] == []


def test_a_flipped_bit_of_a_real_checkpoint_is_found(written: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """In any storage and in the pickle; torch.load lets the former through."""
    whole = (written[0] / "state-zip.pt").read_bytes()
    file = tmp_path / "m.pt"
    name = b"state-zip/data/0"
    begin = whole.index(b"PK\x03\x04", whole.index(name) - 30)
    begin += 30 + int.from_bytes(whole[begin + 26 : begin + 28], "little")
    begin += int.from_bytes(whole[begin - len(name) - 2 : begin - len(name)], "little")
    places = [*range(begin, begin + 128), whole.index(b"_rebuild_tensor_v2")]
    for at in places:
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(ArtifactError):
            torch_zip.deep(file, lambda count: None)


def test_a_checkpoint_without_checksums_says_so(written: tuple[Path, dict[str, Any]]) -> None:
    """set_crc32_options(False): good as far as can be told, and no more is claimed."""
    (report,) = verify([written[0] / "without_checksums.pt"]).files
    assert report.ok
    assert "without a checksum" in report.metadata["note"]


JOBLIB = """
import sys, joblib, numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.ensemble import RandomForestClassifier
rng = np.random.default_rng(1)
x, y = rng.normal(size=(50, 4)), rng.integers(0, 2, 50)
models = {"linear": LinearRegression().fit(x, y), "forest": RandomForestClassifier(5).fit(x, y),
          "arrays": {"a": x, "b": np.array(["x", "yy"]), "c": np.array([{}, 1], dtype=object), "d": x.T}}
for name, model in models.items():
    for compress in (0, 3, ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3)):
        suffix = compress if isinstance(compress, int) else compress[0]
        joblib.dump(model, f"{sys.argv[1]}/{name}-{suffix}.joblib", compress=compress)
"""


def test_estimators_of_joblib_are_read_through_their_arrays(tmp_path: Path) -> None:
    """Whole and compressed; cut or flipped ones are found where the form can tell."""
    subprocess.run([PYTHON, "-c", JOBLIB, tmp_path], check=True)
    report = verify([tmp_path])
    assert report.ok, [file for file in report.files if not file.ok]
    assert len(report.files) == 18
    assert all("imports" in file.metadata["note"] for file in report.files)

    for file in sorted(tmp_path.iterdir()):
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) - len(whole) // 4])
        assert [one.reason for one in verify([file]).files] == ["file_corrupted"], file.name
        if "-0." not in file.name:
            at = len(whole) // 2
            file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
            assert [one.reason for one in verify([file]).files] == ["file_corrupted"], file.name


NUMPY = """
import gzip, pickle, re, sys, numpy as np
from sklearn.neighbors import KNeighborsClassifier
from sklearn.linear_model import SGDClassifier
folder, rng = sys.argv[1], np.random.default_rng(1)
x, y = rng.normal(size=(50, 4)), rng.integers(0, 2, 50)
arrays = {"plain": x, "scalar": np.float32(1), "half": x.astype("f2"), "text": np.array(["a", "bcd"]), "none": x[:0],
          "columns": np.asfortranarray(x), "dates": np.array(["2026-01-01"], dtype="M8[D]"), "complex": x * 1j,
          "fields": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
          "objects": np.array([{}, "a"], dtype=object),
          "both": np.array([(1, "x")], dtype=[("a", "i4"), ("b", "O")])}
for name, value in arrays.items():
    np.save(f"{folder}/{name}.npy", value)
np.savez(f"{folder}/all.npz", **arrays)
np.savez_compressed(f"{folder}/packed.npz", **arrays)
models = {"tree": KNeighborsClassifier(3, algorithm="kd_tree").fit(x, y), "sgd": SGDClassifier().fit(x, y),
          "random": rng, "old_random": np.random.RandomState(1), "pattern": re.compile("a+"), "ufunc": np.add,
          "masked": np.ma.array([1])}
for name, value in models.items():
    for protocol in (2, 4, 5):
        for opener, suffix in ((open, "pkl"), (gzip.open, "pkl.gz")):
            with opener(f"{folder}/{name}-{protocol}.{suffix}", "wb") as file:
                pickle.dump(value, file, protocol)
"""


def test_what_numpy_and_scikit_learn_write_is_good(tmp_path: Path) -> None:
    """Their own functions that rebuild objects are no code of an author's; and every array cut is told."""
    subprocess.run([PYTHON, "-c", NUMPY, tmp_path], check=True)
    report = verify([tmp_path])
    assert report.ok, [file for file in report.files if not file.ok]
    assert {file.format for file in report.files} == {"npy", "npz", "pickle"}
    for file in (tmp_path / "plain.npy", tmp_path / "text.npy", tmp_path / "objects.npy"):
        file.write_bytes(file.read_bytes()[:-1])
        assert [one.reason for one in verify([file]).files] == ["file_corrupted"], file.name
