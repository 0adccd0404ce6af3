"""`verify` on the command line: exit codes, the JSON contract, the text, manifests, the progress bar."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from model_load_exporter.artifacts.report import FileReport, Progress, Report
from model_load_exporter.artifacts.verify_text import render
from model_load_exporter.cli import main
from model_load_exporter.commands.progress_bar import line
from support.checkpoints import write_checkpoint, write_model
from support.daemon import COMMAND


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(capsys.readouterr().out)
    return loaded


def test_good_files_exit_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line that says so, then a table."""
    model = write_model(tmp_path / "model")
    assert main(["verify", str(model)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("all good: 7 files")
    assert "LlamaForCausalLM, bfloat16, transformers, 5.23.0" in out
    assert "\x1b" not in out


def test_bad_files_exit_with_1_and_are_told_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong, where, and what to do, before the table."""
    model = write_model(tmp_path / "model")
    (model / "config.json").write_text("{")
    assert main(["verify", str(model)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 bad: 7 files")
    assert lines[2].startswith("config_invalid: ")
    assert lines[3].startswith(f"  {model / 'config.json'}: is not valid JSON")
    assert lines[4].startswith("  what now: ")
    assert any(row.startswith("  BAD  config.json") for row in lines[5:])


def test_a_path_that_does_not_exist_is_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No mistake of the command line: a model's file is missing."""
    assert main(["verify", "--json", str(tmp_path / "gone.safetensors")]) == 1
    (file,) = document(capsys)["files"]
    assert file["reason"] == "file_missing"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--level", "deep", "x"],
        ["--level", "header", "--manifest", "m", "x"],
        ["--level", "stat", "--write-manifest", "m", "x"],
        ["--write-manifest", "/nowhere/m", "x"],
        [""],
    ],
)
def test_what_cannot_be_done_is_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and a line on standard error."""
    try:
        code = main(["verify", *arguments])
    except SystemExit as ended:  # argparse's own
        code = ended.code if isinstance(ended.code, int) else 0
    assert code == 2
    out, err = capsys.readouterr()
    assert not out
    assert err


def test_the_document_has_the_contracts_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every key, null where nothing is known."""
    file = write_checkpoint(tmp_path / "model.pth")
    assert main(["verify", "--json", str(file), str(tmp_path / "gone.pth")]) == 1
    told = document(capsys)
    assert (told["schema"], told["ok"]) == (1, False)
    gone, there = told["files"]
    assert there.keys() >= {"path", "format", "ok", "reason", "detail", "sha256", "metadata"}
    assert there["metadata"] == {"version": "3", "producer": "torch", "architecture": None, "dtype": "float32"}
    assert (there["ok"], there["reason"], len(there["sha256"])) == (True, None, 64)
    assert (gone["ok"], gone["reason"], gone["sha256"]) == (False, "file_missing", None)
    assert gone["metadata"] == dict.fromkeys(("version", "producer", "architecture", "dtype"))


def test_a_manifest_is_written_and_held_against(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the files, names relative to its folder; a flipped byte is then found."""
    model = write_model(tmp_path / "model")
    target = model / "manifest.sha256"
    assert main(["verify", str(model), "--write-manifest", str(target)]) == 0
    assert "7 files" in capsys.readouterr().err
    assert "  config.json\n" in target.read_text()
    assert "manifest.sha256" not in target.read_text()
    assert main(["verify", str(model), "--manifest", str(target)]) == 0

    shard = model / "model-00001-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\xff")
    assert main(["verify", str(model)]) == 0
    assert main(["verify", str(model), "--manifest", str(target)]) == 1
    assert "changed" in capsys.readouterr().out


def test_no_manifest_is_written_of_bad_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would call the damage right."""
    model = write_model(tmp_path / "model")
    (model / "config.json").write_text("{")
    assert main(["verify", str(model), "--write-manifest", str(model / "m")]) == 1
    assert "not written" in capsys.readouterr().err
    assert not (model / "m").exists()


@pytest.mark.parametrize("target", ["/nowhere/m", "/sys/m", ".", "pipe"])
def test_a_manifest_that_cannot_be_written_is_usage(
    tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No folder, no permission, no place for a file: one line in the same words, and nothing is called good."""
    model = write_model(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")  # stands for every special file: a manifest must not take the place of /dev/null
    assert main(["verify", str(model), "--write-manifest", target]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"model-load-exporter: --write-manifest {os.path.abspath(target)}: cannot be written: ")
    assert err.count("\n") == 1


def test_a_manifest_that_fails_at_the_end_is_not_called_good(tmp_path: Path) -> None:
    """A disk that is full by then, here a limit on files' length."""
    model = write_model(tmp_path / "model")
    command = [COMMAND, "verify", model, "--write-manifest", model / "m"]
    done = subprocess.run(["prlimit", "--fsize=1", *command], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"model-load-exporter: --write-manifest {model / 'm'}: cannot be written: File too large\n"
    assert not [name for name in os.listdir(model) if name.startswith((".m.", "m.")) or name == "m"]


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_a_closed_stream_changes_no_answer(tmp_path: Path, closed: str) -> None:
    """The line about the manifest does not go to standard output instead."""
    model = write_model(tmp_path / "model")
    line = f'"$0" verify "$1" --json --write-manifest "$1/m" {closed}'
    done = subprocess.run(["sh", "-c", line, COMMAND, model], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0
    assert (model / "m").exists()
    if ">&-" not in closed.replace("2>&-", ""):
        assert json.loads(done.stdout)["ok"]


def test_a_manifest_of_scattered_paths_lies_above_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else its names would have no common folder."""
    for name in ("a", "b"):
        write_model(tmp_path / name)
    (tmp_path / "lists").mkdir()
    paths = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert main(["verify", *paths, "--write-manifest", str(tmp_path / "lists" / "m")]) == 2
    assert main(["verify", *paths, "--write-manifest", str(tmp_path / "m")]) == 0
    assert "  a/config.json\n" in (tmp_path / "m").read_text()
    assert main(["verify", *paths, "--manifest", str(tmp_path / "m")]) == 0


def test_a_repo_of_the_local_cache_is_found_by_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the canary finds it."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "models--org--name" / "snapshots" / "abc")
    assert main(["verify", "org/name"]) == 0
    assert "snapshots/abc" in capsys.readouterr().out


def test_what_a_name_holds_reaches_no_terminal(tmp_path: Path) -> None:
    """Escapes and line breaks of names and of details are shown as text."""
    path = tmp_path / os.fsdecode(b"\x1b[31m\xff\n.pth")
    report = Report((FileReport(path, "torch", False, "file_corrupted", "has \x1b]0;x\x07"),), (tmp_path,))
    text = render(report, "header")
    assert "\x1b" not in text
    assert "\\x1b[31m" in text
    text.encode()


def test_colours_are_for_terminals(tmp_path: Path) -> None:
    """Red for what is bad, green where nothing is."""
    file = FileReport(tmp_path / "m.pth", "torch", True, size=10)
    assert "\x1b[32mall good" in render(Report((file,), (tmp_path,)), "header", terminal=True)


def test_the_bar_tells_bytes_speed_and_time_left() -> None:
    """Half of two gigabytes after one second."""
    text = line(Progress(Path("/m/model.pth"), 10**9, 2 * 10**9, 0, 1), 1.0)
    assert text == "[############            ] 1GB of 2GB  1GB/s  1s left  model.pth"
    assert line(Progress(Path("/m/model.pth"), 0, 0, 3, 8), 1.0) == "3 of 8 files  model.pth"
