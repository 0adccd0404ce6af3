"""Files as the libraries of each format write them: good ones pass, and damage of each kind is found.

tests/integration/format_files.py makes them under .venv-formats, whose TensorFlow, Keras, h5py, ONNX, gguf and Core ML
tools own the formats.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_load_exporter.artifacts.format import FolderFormat, Format
from model_load_exporter.artifacts.predict import predict_memory
from model_load_exporter.artifacts.registry import folder_format_of, format_of
from model_load_exporter.artifacts.summary import ArtifactError, Summary
from support.hostile import Change, changed, changes, refused, survives

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-formats" / "bin" / "python"
MAKER = Path(__file__).with_name("format_files.py")
POSITIONS = 10


@dataclass(frozen=True)
class Case:
    """A model and the one of its files that is damaged.

    checked_from: the byte from which on checksums cover that file; None where none does. unread: bytes at its end that
    nobody reads. own_head: whether the format begins at its first byte.
    """

    model: str
    file: str = ""
    format: str = ""
    parameters: int | None = None
    checked_from: int | None = None
    unread: int = 0
    own_head: bool = True

    def __str__(self) -> str:
        return "/".join(filter(None, (self.model, self.file)))


CASES = (
    Case("small.gguf", format="gguf", parameters=12800 + 3 * 4096 + 33, unread=28),
    Case("split/part-00001-of-00003.gguf", format="gguf"),
    Case("small.onnx", format="onnx"),
    Case("beside.onnx", "../beside.onnx_data", "onnx", own_head=False),
    Case("beside.onnx", format="onnx"),
    Case("small.tflite", format="tflite", parameters=2048),
    Case("quantized.tflite", format="tflite", parameters=2048),
    Case("small.mlmodel", format="mlmodel"),
    Case("small.mlpackage", "Data/com.apple.CoreML/weights/weight.bin", "mlpackage", 48 * 65 + 32 * 49),
    Case("small.mlpackage", "Data/com.apple.CoreML/model.mlmodel", "mlpackage"),
    Case("saved_model", "saved_model.pb", "saved_model", 2048),
    Case("saved_model", "variables/variables.index", "saved_model", checked_from=0),
    Case("saved_model", "variables/variables.data-00000-of-00001", "saved_model", checked_from=0, own_head=False),
    Case("checkpoint", "model.ckpt-7.data-00001-of-00002", "tf_checkpoint", 3200, checked_from=0, own_head=False),
    Case("small.keras", format="keras", checked_from=200),
    Case("small.h5", format="hdf5"),
    Case("small.weights.h5", format="hdf5"),
    Case("latest.h5", format="hdf5"),
    Case("many.h5", format="hdf5", own_head=False),
)
"""small.keras: the first entry's header repeats what the directory says, and has a date that says nothing."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of models as they were written."""
    if not PYTHON.exists():
        pytest.skip("no .venv-formats: `make test` builds it")
    folder = tmp_path_factory.mktemp("formats")
    child = subprocess.run([PYTHON, MAKER, folder], capture_output=True, text=True, check=False, timeout=170)
    assert child.returncode == 0, child.stderr[-3000:]
    return folder


@dataclass
class Copy:
    """A copy of a case's model that may be damaged. model: its path. file: the file in it. raw: as it was."""

    model: Path
    file: Path
    raw: bytes
    form: Format | FolderFormat

    def write(self, raw: bytes) -> None:
        self.file.write_bytes(raw)

    def read(self) -> Summary:
        return self.form.read(self.model)

    def deep(self) -> int:
        seen: list[int] = []
        if self.form.deep:
            self.form.deep(self.model, seen.append)
        return sum(seen)

    def look(self) -> None:
        """Both levels."""
        self.read()
        self.deep()


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    """Each in turn."""
    assert isinstance(request.param, Case)
    return request.param


@pytest.fixture
def copy(case: Case, models: Path, tmp_path: Path) -> Copy:
    """A model of its own, with what lies beside it."""
    source = models / case.model
    model = tmp_path / source.name
    if source.is_dir():
        shutil.copytree(source, model)
    else:
        for beside in source.parent.glob("part-*") if "split" in case.model else source.parent.glob("beside*"):
            shutil.copy(beside, tmp_path)
        shutil.copy(source, model)
    file = Path(os.path.normpath(model / case.file))
    form = folder_format_of(model) if model.is_dir() else format_of(model)
    assert form is not None
    assert form.name == case.format
    return Copy(model, file, file.read_bytes(), form)


def test_a_good_file_passes_both_levels(case: Case, copy: Copy) -> None:
    """Its tensors are counted as the library counts them."""
    summary = copy.read()

    assert summary.format == case.format
    assert summary.metadata["version"] if case.format not in ("tf_checkpoint", "hdf5") else True
    if case.parameters is not None:
        assert summary.parameters == case.parameters
    copy.deep()


@pytest.mark.parametrize("position", range(POSITIONS))
def test_a_truncated_file_is_found_by_its_header(case: Case, copy: Copy, position: int) -> None:
    """At ten places from the first byte to the last; only the deep level may read more than headers."""
    copy.write(copy.raw[: len(copy.raw) * (2 * position + 1) // (2 * POSITIONS)])

    with pytest.raises(ArtifactError) as caught:
        copy.read()
    assert caught.value.reason == "file_corrupted"
    copy.write(copy.raw[: -case.unread - 1])
    with pytest.raises(ArtifactError):
        copy.read()


def test_a_flipped_bit_is_found_where_the_format_has_checksums(case: Case, copy: Copy) -> None:
    """Anywhere in what they cover; the other formats need a manifest, and are told as such in the documents."""
    if case.checked_from is None:
        assert copy.form.deep is None or case.file == "saved_model.pb"
        return
    size = len(copy.raw)
    for at in range(case.checked_from, size, max((size - case.checked_from) // 50, 1)):
        raw = bytearray(copy.raw)
        raw[at] ^= 0x10
        copy.write(bytes(raw))
        with pytest.raises(ArtifactError) as caught:
            copy.look()
        assert caught.value.reason == "file_corrupted", at


@pytest.mark.parametrize("head", [b"\0" * 16, b"ZZZZZZZZZZZZZZZZ", b"PK\x03\x04 no zip at all"])
def test_a_wrong_beginning_is_refused(case: Case, copy: Copy, head: bytes) -> None:
    """Whatever follows."""
    if not case.own_head:
        return  # bare data, or a block of the user's own
    copy.write(head + copy.raw[len(head) :])

    with pytest.raises(ArtifactError):
        copy.read()


@pytest.mark.parametrize(
    ("stand_in", "reason"),
    [
        (b"", "file_empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n", "lfs_pointer"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>\n", "file_corrupted"),
    ],
    ids=["empty", "pointer", "page"],
)
def test_what_stands_in_for_a_file_is_told_as_it_is(case: Case, copy: Copy, stand_in: bytes, reason: str) -> None:
    """In files with a header of their own, and in bare data."""
    copy.write(stand_in)

    with pytest.raises(ArtifactError) as caught:
        copy.read()
    assert caught.value.reason == reason


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_changed_bytes_raise_nothing_else(copy: Copy, data: st.DataObject) -> None:
    """Of real files, too: each change is answered or refused, in bounded time."""
    what: list[Change] = data.draw(changes(len(copy.raw)))
    copy.write(changed(copy.raw, what))

    survives(lambda _: copy.look(), copy.model)


def missing(name: str, gone: str, reason: str) -> object:
    return pytest.param(name, gone, reason, id=f"{name}/{gone}")


@pytest.mark.parametrize(
    ("name", "gone", "reason"),
    [
        missing("split/part-00001-of-00003.gguf", "../part-00002-of-00003.gguf", "shard_missing"),
        missing("split/part-00003-of-00003.gguf", "../part-00001-of-00003.gguf", "shard_missing"),
        missing("beside.onnx", "../beside.onnx_data", "file_missing"),
        missing("small.mlpackage", "Manifest.json", "file_missing"),
        missing("small.mlpackage", "Data/com.apple.CoreML/weights", "file_missing"),
        missing("saved_model", "variables/variables.index", "file_missing"),
        missing("saved_model", "variables", "file_missing"),
        missing("saved_model", "variables/variables.data-00000-of-00001", "shard_missing"),
        missing("saved_model", "assets/vocabulary.txt", "file_missing"),
        missing("checkpoint", "model.ckpt-7.data-00001-of-00002", "shard_missing"),
    ],
)
def test_a_missing_part_is_found_by_what_names_it(
    models: Path, tmp_path: Path, name: str, gone: str, reason: str
) -> None:
    """A shard of several, or the one file that holds the rest."""
    shutil.copytree(models, tmp_path / "all", ignore=shutil.ignore_patterns("wide.*"))
    model = tmp_path / "all" / name
    lost = Path(os.path.normpath(model / gone))
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    form = folder_format_of(model) if model.is_dir() else format_of(model)
    assert form is not None

    with pytest.raises(ArtifactError) as caught:
        form.read(model)
    assert caught.value.reason == reason
    assert lost.name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("lambda.keras", "unsafe_pickle"),
        ("lambda.h5", "unsafe_pickle"),
        ("big_endian.gguf", "version_incompatible"),
    ],
)
def test_a_file_that_is_whole_but_should_not_load_says_why(models: Path, name: str, reason: str) -> None:
    """Code in a configuration; another byte order."""
    form = format_of(models / name)
    assert form is not None

    assert refused(form.read, models / name).reason == reason


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("small.gguf", "architecture", "llama"),
        ("small.gguf", "quantization", "Q8_0"),
        ("small.gguf", "context", "2048"),
        ("small.onnx", "opset", "21, ai.onnx.ml 4"),
        ("small.onnx", "producer", "tests 1"),
        ("small.tflite", "version", "3"),
        ("small.mlmodel", "architecture", "neuralNetwork"),
        ("small.mlpackage", "architecture", "mlProgram"),
        ("saved_model", "tags", "serve"),
        ("small.keras", "architecture", "Sequential"),
        ("small.h5", "backend", "tensorflow"),
        ("custom.keras", "note", "needs code of its own: shop>Doubled"),
        ("custom.h5", "note", "needs code of its own: shop>Doubled"),
    ],
)
def test_files_tell_what_they_are(models: Path, name: str, key: str, expected: str) -> None:
    """As the library that wrote them noted it."""
    model = models / name
    form = folder_format_of(model) if model.is_dir() else format_of(model)
    assert form is not None

    assert form.read(model).metadata[key] == expected


def test_numbers_are_those_of_the_library(models: Path) -> None:
    """Types of each format by their own names."""

    def read(name: str) -> Summary:
        return _read(models / name)

    assert set(read("small.gguf").dtypes) == {"float32", "float16", "q8_0", "q4_0"}
    assert set(read("small.onnx").dtypes) == {"float32", "string", "int4", "bool"}
    assert read("small.onnx").parameters == read("beside.onnx").parameters
    assert read("quantized.tflite").dtype == "int8"
    assert read("small.mlpackage").dtype == "float16"
    assert read("small.keras").parameters == read("small.weights.h5").parameters
    assert read("without_variables").parameters == 0
    assert read("latest.h5").parameters == 64 * 32 + 100 * 20
    assert read("many.h5").parameters == 500 * 16 + 100 * 20
    assert read("dense.h5").parameters is None, "its links lie in a heap that is not read"
    whole, parts = read("small.gguf"), [read(f"split/part-0000{number}-of-00003.gguf") for number in (1, 2, 3)]
    assert sum(part.tensor_bytes for part in parts) == whole.tensor_bytes


LOAD = """
import sys
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1])
interpreter.allocate_tensors()
interpreter.invoke()
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_the_memory_predicted_of_a_tflite_is_what_its_load_takes(models: Path) -> None:
    """Within a sixth, for weights that XNNPACK packs."""
    python = ROOT / ".venv-models" / "bin" / "python"
    if not list(ROOT.glob(".venv-models/lib/*/site-packages/ai_edge_litert")):
        pytest.skip("no ai-edge-litert in .venv-models")
    model = models / "wide.tflite"
    child = subprocess.run([python, "-c", LOAD, model], capture_output=True, text=True, check=True, timeout=60)
    peak, predicted = 1024 * int(child.stdout.split()[-1]), predict_memory(str(model), "tflite")

    assert predicted is not None
    assert 5 / 6 < predicted.bytes / peak < 7 / 6


def _read(model: Path) -> Summary:
    form = folder_format_of(model) if model.is_dir() else format_of(model)
    assert form is not None
    return form.read(model)
