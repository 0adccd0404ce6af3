"""From a path or a repo id to files on the disk."""

import json
from pathlib import Path

import pytest

from model_load_exporter.artifacts.locate import hub_caches, locate, weight_files


def snapshot(cache: Path, repo: str, revision: str) -> Path:
    folder = cache / ("models--" + repo.replace("/", "--")) / "snapshots" / revision
    folder.mkdir(parents=True)
    return folder


def test_a_path_is_where_it_says(tmp_path: Path) -> None:
    """A folder or file by its absolute path; None when there is nothing."""
    found = locate(str(tmp_path))

    assert found is not None
    assert (found.path, found.repo) == (tmp_path, None)
    assert locate(str(tmp_path / "gone")) is None


def test_a_repo_is_its_snapshot_of_main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """refs/main names the revision, among several."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot(tmp_path, "org/name", "newer")
    wanted = snapshot(tmp_path, "org/name", "abc123")
    refs = tmp_path / "models--org--name/refs"
    refs.mkdir()
    (refs / "main").write_text("abc123\n")

    found = locate("org/name")

    assert found is not None
    assert (found.path, found.repo) == (wanted, "org/name")


def test_a_repo_without_a_ref_is_its_only_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download by commit leaves no refs/main."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    wanted = snapshot(tmp_path, "org/name", "abc123")

    found = locate("org/name")

    assert found is not None
    assert found.path == wanted


@pytest.mark.parametrize("name", ["org/gone", "../../etc", "a/b/c", "", "org/..", "."])
def test_what_is_not_in_the_cache_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Neither an unknown repo nor a name that would climb out of the cache is found."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    assert locate(name) is None


def test_the_cache_folders_are_those_of_the_hub_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """HF_HUB_CACHE before HF_HOME before the home folder."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert list(hub_caches()) == [Path("~/.cache/huggingface/hub").expanduser()]
    monkeypatch.setenv("HF_HOME", "/data/hf")
    monkeypatch.setenv("HF_HUB_CACHE", "/data/hub")
    assert list(hub_caches()) == [Path("/data/hub"), Path("/data/hf/hub")]


def test_an_index_names_the_weights(tmp_path: Path) -> None:
    """Shards by the index, the missing ones too, and none outside of the folder."""
    index = {"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "../../etc/passwd"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "pytorch_model.bin").touch()

    names = [file.relative_to(tmp_path).name for file in weight_files(tmp_path, "transformers")]

    assert names == ["model-1.safetensors", "model-2.safetensors", "passwd"]


@pytest.mark.parametrize(
    ("present", "loader", "expected"),
    [
        (["model.safetensors", "pytorch_model.bin"], "transformers", ["model.safetensors"]),
        (["pytorch_model.bin", "training_args.json"], "transformers", ["pytorch_model.bin"]),
        (["a.pth", "b.txt"], "torch", ["a.pth"]),
        (["model.onnx", "model.onnx_data"], "onnx", ["model.onnx", "model.onnx_data"]),
        (["config.json"], "transformers", []),
    ],
)
def test_a_folder_without_an_index(tmp_path: Path, present: list[str], loader: str, expected: list[str]) -> None:
    """The files that the loader itself would prefer."""
    for name in present:
        (tmp_path / name).touch()

    assert [file.name for file in weight_files(tmp_path, loader)] == expected
