"""manifest.sha256, as sha256sum writes it and reads it."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from model_load_exporter.artifacts import manifest
from model_load_exporter.artifacts.manifest import ManifestError
from model_load_exporter.artifacts.report import Report
from model_load_exporter.artifacts.verify import verify
from model_load_exporter.artifacts.verify_text import render
from support import format_bytes as make

NAMES = ("plain.bin", "with space.bin", "new\nline.bin", "back\\slash.bin", "cr\r.bin", "ünïcode.bin", "sub/folder.bin",
         "*star.bin", " leading.bin")  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tmp_path / "model"
    (model / "sub").mkdir(parents=True)
    for name in NAMES:
        (model / name).write_bytes(b"word2vec 1\n" + name.encode())
    (model / os.fsdecode(b"not-utf8-\xff.bin")).write_bytes(b"x")
    for file in model.rglob("*.bin"):
        file.rename(file.with_suffix(".dat"))
    return model


def sums(folder: Path) -> dict[Path, str]:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def problems(report: Report) -> dict[str, str | None]:
    return {file.path.name: file.reason for file in report.files if not file.ok}


def test_sha256sum_accepts_what_is_written(folder: Path) -> None:
    """Every name, whatever is in it; sorted, and readable for others."""
    target = folder / "manifest.sha256"
    manifest.write(target, folder, sums(folder))

    done = subprocess.run(["sha256sum", "--check", "--strict", "--quiet", target.name], cwd=folder, check=False)
    assert done.returncode == 0
    assert target.stat().st_mode & 0o777 == 0o644
    names = [line.split(b"  ", 1)[1] for line in target.read_bytes().splitlines()]
    assert len(names) == 10
    assert names == sorted(names) or b"\\" in target.read_bytes()


@pytest.mark.parametrize("flags", [["--text"], ["--binary"], ["--tag"]])
def test_what_sha256sum_writes_is_understood(folder: Path, flags: list[str]) -> None:
    """Each of its three forms, escaped names in them."""
    files = sorted(os.fsencode(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    written = subprocess.run(["sha256sum", *flags, "--", *files], cwd=folder, stdout=subprocess.PIPE, check=True).stdout
    target = folder / "manifest.sha256"
    target.write_bytes(written)

    report = verify([folder], manifest=target)
    assert problems(report) == {}
    assert not any("manifest" in file.metadata for file in report.files if file.path != target)


def test_line_ends_of_windows_and_comments_are_borne(folder: Path) -> None:
    """A manifest that went through an editor."""
    (digest,) = {hashlib.sha256((folder / "plain.dat").read_bytes()).hexdigest()}
    target = folder / "manifest.sha256"
    target.write_bytes(b"# weights\r\n\r\n" + digest.upper().encode() + b" *plain.dat\r\n")
    assert problems(verify([folder], manifest=target)) == {}


def test_changed_missing_and_extra_files_are_told(folder: Path) -> None:
    """The first two are faults; a file that nobody listed is a note."""
    target = folder / "manifest.sha256"
    manifest.write(target, folder, sums(folder))
    (folder / "plain.dat").write_bytes(b"changed")
    (folder / "with space.dat").unlink()
    (folder / "extra.dat").write_bytes(b"new")

    report = verify([folder], manifest=target)
    assert problems(report) == {"plain.dat": "file_corrupted", "with space.dat": "file_missing"}
    told = {file.path.name: file for file in report.files}
    assert told["extra.dat"].metadata["manifest"] == "not listed"
    assert f"{target}:" in told["plain.dat"].detail
    assert f"{target}:" in told["with space.dat"].detail


def test_a_manifest_elsewhere_is_held_against_the_folder(folder: Path, tmp_path: Path) -> None:
    """Names relative to the folder that is verified, where the manifest does not lie above it."""
    (tmp_path / "lists").mkdir()
    target = tmp_path / "lists" / "model.sha256"
    manifest.write(target, folder, sums(folder))
    assert problems(verify([folder], manifest=target)) == {}
    (folder / "plain.dat").write_bytes(b"changed")
    assert problems(verify([folder], manifest=target)) == {"plain.dat": "file_corrupted"}


def test_a_manifest_of_many_models_counts_for_those_that_are_verified(tmp_path: Path) -> None:
    """The others' files are neither read nor missed."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.dat").write_bytes(name.encode())
    target = tmp_path / "manifest.sha256"
    manifest.write(target, tmp_path, dict.fromkeys(tmp_path.rglob("*.dat"), "0" * 64))
    report = verify([tmp_path / "a"], manifest=target)
    assert [file.path.name for file in report.files if not file.ok] == ["x.dat"]


@pytest.mark.parametrize(
    "content",
    [
        "", "\n", "# nothing\n", "hello\n", "0" * 63 + "  a\n", "g" * 64 + "  a\n", "0" * 64 + " a\n",
        "0" * 64 + "  ../../etc/passwd\n", "0" * 64 + "  /etc/passwd\n", "<html>", "0" * 64 + "  a\x00b\n",
    ],
)  # fmt: skip
def test_what_is_no_manifest_is_told(folder: Path, content: str) -> None:
    """No checksums, or names that lead out of the folder: a fault of the manifest's own."""
    target = folder / "manifest.sha256"
    target.write_text(content)
    with pytest.raises(ManifestError, match=r"manifest\.sha256"):
        manifest.load(target, [folder])
    report = verify([folder], manifest=target)
    assert ("manifest", "file_corrupted") in {(file.format, file.reason) for file in report.files}


def test_a_manifest_that_is_not_there_is_a_fault(folder: Path) -> None:
    """Else every file would pass unseen."""
    report = verify([folder], manifest=folder / "gone.sha256")
    assert problems(report) == {"gone.sha256": "file_missing"}


def test_a_manifest_is_there_whole_or_not_at_all(folder: Path) -> None:
    """A write that fails leaves the old one and no other file."""
    target = folder / "manifest.sha256"
    target.write_text("old")
    before = sorted(os.listdir(folder))
    with pytest.raises(ValueError, match="subpath"):
        manifest.write(target, folder / "sub", {folder / "plain.dat": "0" * 64})
    assert target.read_text() == "old"
    assert sorted(os.listdir(folder)) == before


def test_external_data_of_a_model_that_is_given_alone_is_compared(tmp_path: Path) -> None:
    """A bit of model.onnx_data is a bit of the model; what else the manifest lists is not asked for."""
    model, data = tmp_path / "model.onnx", tmp_path / "model.onnx_data"
    model.write_bytes(make.onnx(make.onnx_tensor("w", [2, 3], 1, None, location=data.name)))
    data.write_bytes(bytes(24))
    (tmp_path / "other.bin").write_bytes(b"x")
    target = tmp_path / "manifest.sha256"
    manifest.write(target, tmp_path, sums(tmp_path))

    report = verify([model], manifest=target)
    assert (problems(report), [file.path for file in report.files]) == ({}, [model, data])
    data.write_bytes(bytes(23) + b"\1")
    assert problems(verify([model], manifest=target)) == {data.name: "file_corrupted"}


@pytest.mark.parametrize("level", ["stat", "checksum"])
def test_a_manifest_that_nobody_asked_to_compare_says_so(folder: Path, level: str) -> None:
    """It lies beside the files, and `all good` must not sound as if it had been checked."""
    file = folder / manifest.NAME
    manifest.write(file, folder, sums(folder))
    assert "not compared: --manifest" in render(verify([folder], level=level), level)
    if level == "checksum":
        assert "not compared" not in render(verify([folder], manifest=file), level)


def test_what_is_no_file_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    """A rename over a device or a pipe would take it from everybody."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(FileExistsError):
        manifest.write(pipe, folder, sums(folder))
    assert pipe.is_fifo()
