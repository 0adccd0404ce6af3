"""Model files: every format's header and checksum level, folders, manifests, indexes, the look of classify."""

import contextlib
import json
import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

from fuzz_target import Target

from model_load_exporter.artifacts import registry
from model_load_exporter.artifacts.format import FolderFormat, Format
from model_load_exporter.artifacts.locate import locate, weight_files
from model_load_exporter.artifacts.manifest import ManifestError
from model_load_exporter.artifacts.predict import predict_memory
from model_load_exporter.artifacts.report import Report
from model_load_exporter.artifacts.summary import ArtifactError, Summary
from model_load_exporter.artifacts.verify import verify
from model_load_exporter.classify.files import look
from model_load_exporter.reasons import REASONS

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
ERRORS = (ArtifactError, OSError)

FORMATS = {form.name: form for form in registry.FORMATS}
FOLDER_FORMATS = {form.name: form for form in registry.FOLDER_FORMATS}
SUFFIXES = sorted({suffix for form in FORMATS.values() for suffix in form.suffixes})


def well_formed(summary: Summary) -> None:
    """What a header said is safe to show and to count with, whatever the file is."""
    assert isinstance(summary.file_bytes, int)
    assert isinstance(summary.tensor_bytes, int)
    assert summary.parameters is None or isinstance(summary.parameters, int)
    assert all(isinstance(key, str) and isinstance(size, int) for key, size in summary.dtypes.items())
    for key, text in summary.metadata.items():
        assert isinstance(text, str), key
        assert text.isprintable(), (key, text)
        assert len(text) <= 1000, key


def told(error: ArtifactError) -> None:
    """An error is one line with a reason of the closed set."""
    assert error.reason in REASONS, error.reason
    text = str(error)
    assert "\n" not in text, text
    assert len(text) <= 1000, len(text)


def of_format(form: Format) -> Callable[[bytes], None]:
    """Header, then checksums."""
    path = FOLDER / f"model{form.suffixes[0]}"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        try:
            well_formed(form.read(path))
            if form.deep is not None:
                form.deep(path, lambda count: None)
        except ArtifactError as error:
            told(error)

    return run


def of_folder(form: FolderFormat, seed: Path, name: str) -> Callable[[bytes], None]:
    """The seed's folder, with one of its files as the fuzzer wants it."""
    folder = FOLDER / form.name
    shutil.copytree(seed, folder, dirs_exist_ok=True)
    whole = (folder / name).read_bytes()

    def run(data: bytes) -> None:
        (folder / name).write_bytes(data)
        try:
            if form.matches(folder):
                well_formed(form.read(folder))
                if form.deep is not None:
                    form.deep(folder, lambda count: None)
        except ArtifactError as error:
            told(error)
        finally:
            (folder / name).write_bytes(whole)

    return run


def _look(suffix: str) -> Callable[[bytes], None]:
    """classify's look at a file's first and last kilobytes, which runs inside services."""
    path = FOLDER / f"look{suffix}"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        found = look(str(path))
        assert found is None or (found.reason in REASONS and "\n" not in found.detail)

    return run


def _index(data: bytes) -> None:
    """An index of shards, and config.json beside it."""
    folder = FOLDER / "sharded"
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors.index.json").write_bytes(data)
    (folder / "config.json").write_bytes(data)
    (folder / "model-00001-of-00002.safetensors").write_bytes(SAFETENSORS)
    for path in weight_files(folder, "transformers"):
        assert path.parent == folder
    predict_memory(str(folder), "transformers")
    look(str(folder))


def sound(report: Report) -> None:
    """A report of verify: nothing in it hinders its JSON or a terminal's line."""
    text = json.dumps(report.to_json())
    assert text.isascii()
    for file in report.files:
        assert file.ok == (file.reason is None), file
        assert file.reason is None or file.reason in REASONS, file
        assert "\n" not in file.detail, file
        assert len(file.detail) <= 1500, file


def _verify(data: bytes) -> None:
    """A whole verification of one file, its suffix chosen by the first byte."""
    folder = FOLDER / "verified"
    folder.mkdir(exist_ok=True)
    path = folder / f"model{SUFFIXES[data[0] % len(SUFFIXES)] if data else '.bin'}"
    path.write_bytes(data[1:])
    try:
        sound(verify([folder], threads=1))
    finally:
        path.unlink()


def _manifest(data: bytes) -> None:
    folder = FOLDER / "listed"
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(SAFETENSORS)
    (folder / "manifest.sha256").write_bytes(data)
    sound(verify([folder], manifest=folder / "manifest.sha256", threads=1))


def _hub_cache(data: bytes) -> None:
    """A cache whose blob, reference and file name are as the fuzzer wants them, a third each."""
    repo = FOLDER / "hub/models--org--model"
    shutil.rmtree(repo, ignore_errors=True)
    for name in ("blobs", "refs", f"snapshots/{'c' * 40}"):
        (repo / name).mkdir(parents=True)
    third = len(data) // 3
    (repo / "refs/main").write_bytes(data[:third])
    (repo / "blobs" / ("4d" * 32)).write_bytes(data[third : 2 * third])
    given = data[2 * third :][:80].replace(b"\0", b"").replace(b"/", b"") or b"x"
    snapshot = os.fsencode(repo / "snapshots" / ("c" * 40))
    for link in (given, b"model.safetensors"):
        with contextlib.suppress(FileExistsError, IsADirectoryError):
            os.symlink(b"../../blobs/" + b"4d" * 32, snapshot + b"/" + link)
    sound(verify([FOLDER / "hub"], threads=1))
    os.environ["HF_HUB_CACHE"] = str(FOLDER / "hub")
    found = locate("org/model")
    assert found is None or found.path.is_relative_to(repo)


def safetensors(header: bytes, room: int) -> bytes:
    return struct.pack("<Q", len(header)) + header + bytes(room)


def packed(names: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, body in names.items():
            archive.writestr(name, body)
    return stream.getvalue()


SAFETENSORS = safetensors(
    b'{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},'
    b'"b":{"dtype":"BF16","shape":[4],"data_offsets":[16,24]}}', 24
)  # fmt: skip
HAND_MADE: dict[str, tuple[bytes, ...]] = {
    ".safetensors": (SAFETENSORS,),
    ".bin": (
        packed({"m/data.pkl": b"\x80\x02}q\x00.", "m/data/0": bytes(64), "m/version": b"3\n"}),
        b"\x80\x02}q\x00.",
    ),
    ".pkl": (b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.", b"cos\nsystem\n(S'true'\ntR."),
    ".gguf": (b"GGUF" + struct.pack("<IQQ", 3, 0, 0),),
    ".keras": (packed({"config.json": b"{}", "metadata.json": b"{}", "model.weights.h5": b""}, zipfile.ZIP_DEFLATED),),
}
"""Inputs for formats whose library is not installed; too small to be good seeds, but never none."""


def seeds_of(suffixes: Sequence[str], folder: Path | None) -> tuple[bytes, ...]:
    """The real files below the folder that have one of the suffixes, and those made by hand."""
    real = sorted(path for path in folder.rglob("*") if path.name.endswith(tuple(suffixes))) if folder else []
    made = [data for suffix in suffixes for data in HAND_MADE.get(suffix, ())]
    return (*(path.read_bytes() for path in real if path.is_file()), *made) or (b"", b"{}", bytes(64))


LOOKED_AT = (".safetensors", ".pth", ".json", ".gguf")

FOLDER_FILES = {
    "saved_model": ("tensorflow/saved/saved", (
        "saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001", "fingerprint.pb",
    )),
    "tf_checkpoint": ("tensorflow/saved/saved/variables", ("variables.index", "variables.data-00000-of-00001")),
    "mlpackage": ("coremltools/model.mlpackage", (
        "Manifest.json", "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights/weight.bin",
    )),
}  # fmt: skip


NAMES = (
    *(f"file_{name}" for name in FORMATS), *(f"look{suffix}" for suffix in LOOKED_AT),
    "index", "verify", "manifest", "hub_cache",
    *(f"folder_{name}_{Path(file).name}" for name, (_, files) in FOLDER_FILES.items() for file in files),
)  # fmt: skip
"""Of every target that there can be; those of folders need real files."""


def targets(folder: Path | None) -> dict[str, Target]:
    """All of them by name. folder: of make_seeds.py; without it only those that need no real file."""
    found = [
        Target(f"file_{form.name}", of_format(form), ERRORS, seeds_of(form.suffixes, folder))
        for form in FORMATS.values()
    ]
    for suffix in LOOKED_AT:
        found.append(Target(f"look{suffix}", _look(suffix), (), seeds_of((suffix, ".bin"), folder)))
    found.append(Target("index", _index, (), (
        b'{"metadata": {"total_size": 1}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "../x"}}',
        b'{"dtype": "bfloat16", "weight_map": {"a": "model.safetensors"}}',
    )))  # fmt: skip
    real = [path for path in folder.rglob("*") if path.is_file()] if folder else []
    found.append(Target("verify", _verify, (), (
        b"\0" + SAFETENSORS, b"\1{}",
        *(bytes([number]) + path.read_bytes() for path in real for number, suffix in enumerate(SUFFIXES)
          if path.name.endswith(suffix)),
    )))  # fmt: skip
    found.append(Target("manifest", _manifest, (ManifestError, OSError), (
        b"4d" * 32 + b"  model.safetensors\n" + b"4d" * 32 + b" *sub/a b.bin\n",
        b"\\" + b"4d" * 32 + b"  a\\nb\\\\c\n# note\nSHA256 (model.safetensors) = " + b"4D" * 32 + b"\r\n",
        b"4d" * 32 + b"  ../../etc/passwd\n", b"4d" * 32 + b"  " + b"a" * 300 + b"\n", b"4d" * 32 + b"  \xff\xfe\n",
    )))  # fmt: skip
    found.append(Target("hub_cache", _hub_cache, (), (
        b"c" * 40 + SAFETENSORS[:40] + b"model-00001-of-00002.safetensors", b"c" * 40 + b"{}" * 20 + b"config.json" * 4,
    )))  # fmt: skip
    for name, (seed, files) in FOLDER_FILES.items():
        if folder is None or not (folder / seed).is_dir():
            continue
        for file in files:
            run = of_folder(FOLDER_FORMATS[name], folder / seed, file)
            found.append(
                Target(f"folder_{name}_{Path(file).name}", run, ERRORS, ((folder / seed / file).read_bytes(),))
            )
    return {target.name: target for target in found}


def clean() -> None:
    """Takes the scratch folder away."""
    with contextlib.suppress(OSError):
        shutil.rmtree(FOLDER)
