"""Model files of every format, changed or made up: refused with a reason or summed up, at little cost."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import entries_files
import pytest
import structures
from fuzz_target import Target
from fuzzing import examples
from hypothesis import given
from hypothesis import strategies as st
from mutations import mutated

ROOT = Path(__file__).resolve().parents[2]
MAKER = Path(__file__).with_name("make_seeds.py")

Targets = dict[str, Target]


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Targets]:
    """Every target, on real files as far as the interpreters that write them are there."""
    folder = tmp_path_factory.mktemp("seeds")
    for environment in (".venv-models", ".venv-formats"):
        python = ROOT / environment / "bin" / "python"
        if python.exists():
            subprocess.run(
                [python, MAKER, folder], check=True, capture_output=True, timeout=120,
                env={"PYTHONPATH": str(ROOT / "exporter"), "TF_CPP_MIN_LOG_LEVEL": "3"},
            )  # fmt: skip
    yield entries_files.targets(folder)
    entries_files.clean()


def the(targets: Targets, name: str) -> Target:
    if name not in targets:
        pytest.skip(f"no real file for {name}: .venv-formats makes them")
    return targets[name]


@pytest.mark.parametrize("name", entries_files.NAMES)
def test_changed_files_are_read_or_refused(targets: Targets, name: str) -> None:
    """A real file changed in a few places, lengths first."""
    target = the(targets, name)

    @examples(80)
    @given(mutated(target.seeds))
    def run(data: bytes) -> None:
        target.try_with(data)

    run()


_JSON = structures.JSON.map(lambda document: json.dumps(document).encode())
BUILT: dict[str, st.SearchStrategy[bytes]] = {
    "file_safetensors": structures.safetensors(),
    "file_gguf": structures.gguf(),
    "file_pickle": structures.pickled(),
    "file_torch": structures.pickled() | structures.zipped(structures.pickled(), structures.TORCH_NAMES),
    "file_keras": structures.zipped(_JSON | st.binary(max_size=100), structures.KERAS_NAMES),
    "file_onnx": structures.protobuf(),
    "file_mlmodel": structures.protobuf(),
    "folder_saved_model_saved_model.pb": structures.protobuf(),
    "folder_mlpackage_Manifest.json": _JSON,
    "index": structures.JSON.map(lambda document: json.dumps({"weight_map": document}).encode()),
    "look.safetensors": structures.safetensors(),
}


@pytest.mark.parametrize("name", BUILT)
def test_made_up_files_are_read_or_refused(targets: Targets, name: str) -> None:
    """Files of the format's own parts, with values that no library writes."""
    target = the(targets, name)

    @examples(60)
    @given(BUILT[name])
    def run(data: bytes) -> None:
        target.try_with(data)

    run()
