"""Canary loads of real models by real libraries, good ones and damaged ones."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from canary_cases import MODELS, PYTHON, load, with_torch

from model_load_exporter.config import Canary, Expect
from model_load_exporter.journal.format import decode

MAKE_CHECKPOINTS = """
import pathlib, pickle, sys, torch, os
out = pathlib.Path(sys.argv[1])
torch.save({"a": torch.ones(4000, 4000), "nested": [{"b": torch.ones(1000, dtype=torch.float16)}]}, out / "good.pth")
data = (out / "good.pth").read_bytes()
(out / "truncated.pth").write_bytes(data[: len(data) // 2])
(out / "empty.pth").write_bytes(b"")
pointer = "version https://git-lfs.github.com/spec/v1\\noid sha256:" + "0" * 64 + "\\nsize 64\\n"
(out / "pointer.pth").write_text(pointer)
class Evil:
    def __reduce__(self):
        return os.system, ("touch " + str(out / "owned"),)
torch.save({"a": Evil()}, out / "evil.pth")
"""


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    subprocess.run([PYTHON, "-c", MAKE_CHECKPOINTS, folder], check=True)
    return folder


def damaged_copy(model: str, folder: Path) -> Path:
    """A copy of one of the models that may be damaged."""
    return shutil.copytree(MODELS / model, folder / model)


@pytest.mark.parametrize(
    ("name", "task", "output"),
    [
        ("nllb-small", "translation", "Bonjour, le monde."),
        ("aya-small", "text-generation", None),
        ("minilm", "feature-extraction", "embedding of 384 numbers"),
    ],
)
def test_a_model_is_loaded_stage_by_stage(name: str, task: str, output: str | None) -> None:
    """Each stage has its time, the weights are in memory when they are loaded, and the first inference answers."""
    result = load(MODELS / name, "transformers", task, canary=with_torch(input="Hello, world."))

    assert result.outcome == "loaded", result.message + result.log_tail
    assert [stage.name for stage in result.stages] == [
        "other",
        "config",
        "tokenizer",
        "weights",
        "pipeline",
        "inference",
    ]
    assert sum(stage.seconds for stage in result.stages) <= result.duration_seconds < 60
    weights = sum(file.stat().st_size for file in (MODELS / name).glob("*.safetensors"))
    peak = {stage.name: stage.peak_rss_bytes or 0 for stage in result.stages}
    assert peak["weights"] - peak["tokenizer"] > weights * 0.9
    assert result.peak_rss_bytes == max(peak.values())
    assert result.output is not None
    assert output is None or output in result.output
    assert result.predicted_bytes is not None
    assert 0.7 < result.predicted_bytes / (result.peak_rss_bytes or 1) < 1.3
    assert dict(result.versions).keys() == {"python", "torch", "transformers"}


def test_an_unexpected_output_is_told_apart_from_a_failed_load() -> None:
    """A model that answers something else was loaded; only output_match is false."""
    canary = with_torch(input="Hello, world.", expect=Expect(contains="Guten Tag"))
    result = load(MODELS / "nllb-small", "transformers", "translation", canary=canary)

    assert (result.outcome, result.output_match) == ("loaded", False)


def test_only_the_stages_asked_for_are_run() -> None:
    """`--stages config,tokenizer` reads no weights."""
    result = load(MODELS / "minilm", "transformers", "feature-extraction", stages=("config", "tokenizer"))

    assert result.outcome == "loaded"
    assert [stage.name for stage in result.stages] == ["other", "config", "tokenizer"]


def test_a_torch_checkpoint_is_loaded(checkpoints: Path) -> None:
    """torch.load brings every tensor, nested ones too, into anonymous memory."""
    result = load(checkpoints / "good.pth", "torch")

    assert result.outcome == "loaded", result.message
    assert (result.parameters, result.dtype) == (16_001_000, "float32")
    assert (result.peak_anonymous_bytes or 0) > 64_000_000
    assert result.predicted_bytes is not None
    assert 0.7 < result.predicted_bytes / (result.peak_rss_bytes or 1) < 1.3


def test_mapped_weights_count_as_memory() -> None:
    """safetensors maps its file in no time; the canary touches every page, so that the peak is the one of use."""
    result = load(MODELS / "minilm", "safetensors")

    assert result.outcome == "loaded"
    before, after = (stage.peak_rss_bytes or 0 for stage in result.stages)
    assert after - before > 85_000_000


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("truncated.pth", "file_corrupted"),
        ("empty.pth", "file_empty"),
        ("pointer.pth", "lfs_pointer"),
        ("evil.pth", "unsafe_pickle"),
    ],
)
def test_a_bad_checkpoint_is_named(checkpoints: Path, file: str, reason: str) -> None:
    """What is wrong with the file, at the stage where it was read; a pickle's code is not run."""
    result = load(checkpoints / file, "torch")

    assert (result.outcome, result.reason, result.stage) == ("failed", reason, "weights"), result.log_tail
    assert not (checkpoints / "owned").exists()


def test_truncated_weights_of_a_model_folder_are_named(tmp_path: Path) -> None:
    """A model.safetensors that lost its end is corrupted."""
    folder = damaged_copy("nllb-small", tmp_path)
    os.truncate(folder / "model.safetensors", 20_000_000)

    result = load(folder, "transformers", "translation")

    assert (result.reason, result.stage) == ("file_corrupted", "weights"), result.message


def test_a_pointer_in_place_of_weights_is_named(tmp_path: Path) -> None:
    """A folder that was cloned without Git LFS."""
    folder = damaged_copy("nllb-small", tmp_path)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 37915664\n"
    (folder / "model.safetensors").write_text(pointer)

    assert load(folder, "transformers", "translation").reason == "lfs_pointer"


def test_a_lost_shard_is_named(tmp_path: Path) -> None:
    """The index names a file that is not there."""
    folder = damaged_copy("aya-small", tmp_path)
    (folder / "model-00002-of-00003.safetensors").unlink()

    result = load(folder, "transformers", "text-generation")

    assert result.reason == "shard_missing", result.message


def test_weights_that_the_checkpoint_lacks_fail_the_load() -> None:
    """transformers would fill a classifier's head with random numbers and go on."""
    result = load(MODELS / "minilm", "transformers", "text-classification")

    assert result.reason == "architecture_mismatch"
    assert "classifier" in result.message


def test_a_missing_folder_is_named_without_a_child(tmp_path: Path) -> None:
    """The message has the path."""
    result = load(tmp_path / "gone" / "model", "transformers")

    assert (result.outcome, result.reason) == ("failed", "file_missing")
    assert str(tmp_path / "gone/model") in result.message


def test_a_repo_that_is_not_in_the_cache_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is downloaded."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    result = load("nobody/nothing", "transformers")

    assert result.reason == "file_missing"
    assert "nobody/nothing" in result.message


def test_the_journal_of_a_canary_is_format_1(tmp_path: Path) -> None:
    """The spool has one finished attempt of kind canary, whose lock is free again."""
    result = load(MODELS / "minilm", "safetensors", spool=tmp_path)

    (file,) = tmp_path.iterdir()
    assert file.name == f"{result.attempt_id}.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    kinds = [type(decode(line)).__name__ for line in lines]
    assert kinds == ["Begin", "StageBegin", "StageEnd", "StageBegin", "StageEnd", "End"]
    assert json.loads(lines[0])["kind"] == "canary"
    with open(file) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_spool_that_cannot_be_written_does_not_stop_the_load(tmp_path: Path) -> None:
    """The load goes on, and says that it left no journal."""
    result = load(MODELS / "minilm", "safetensors", spool=tmp_path / "gone")

    assert result.outcome == "loaded"
    assert any("journal not written" in note for note in result.notes)


def test_an_interpreter_without_the_library_is_named() -> None:
    """The message says what is missing, and where."""
    result = load(MODELS / "minilm", canary=Canary(python=sys.executable))

    assert (result.reason, result.stage) == ("dependency_missing", "other")
    assert "torch" in result.message
    assert sys.executable in result.message


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "dependency_missing"),
        ("not a program", "dependency_missing"),
        ("#!/bin/sh\nexit 0\n", "dependency_missing"),
        (
            "#!/bin/sh\necho 'SyntaxError: future feature annotations is not defined' >&2; exit 1\n",
            "version_incompatible",
        ),
    ],
    ids=["missing", "no-program", "no-python", "too-old"],
)
def test_an_interpreter_that_cannot_be_used_is_named(tmp_path: Path, script: str | None, reason: str) -> None:
    """A missing, broken or too old canary.python is a failed load, never an error of the daemon."""
    python = tmp_path / "python"
    if script is not None:
        python.write_text(script)
        python.chmod(0o755)

    result = load(MODELS / "minilm", canary=Canary(python=str(python)))

    assert (result.outcome, result.reason) == ("failed", reason), result.message
    assert "canary.python" in result.message


def test_an_unknown_loader_is_refused() -> None:
    """Without a child, with the loaders that there are."""
    result = load(MODELS / "minilm", "caffe")

    assert result.reason == "config_invalid"
    assert "not supported" in result.message


def test_the_parent_never_imports_a_model_library() -> None:
    """Not even under an interpreter that has them all."""
    program = (
        "import sys, model_load_exporter.canary.run as _\n"
        "print(sorted({'torch', 'numpy', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([PYTHON, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
