"""verify(): files, folders and patterns; every fault its reason, and nothing of the host hurt by a hostile folder."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model_load_exporter.artifacts import check, walk
from model_load_exporter.artifacts.report import FileReport, Progress
from model_load_exporter.artifacts.verify import LEVELS, verify
from support.checkpoints import write_checkpoint, write_legacy, write_model, write_safetensors
from support.hostile import within

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 268435456\n"
PAGE = b"<!DOCTYPE html><html><head><title>503</title></head></html>"


def bad(path: Path, level: str = "header") -> dict[str, str | None]:
    return {file.path.name: file.reason for file in verify([path], level=level).files if not file.ok}


def only(path: Path, level: str = "checksum") -> FileReport:
    (report,) = verify([path], level=level).files
    return report


Damage = Callable[[Path], object]


def cut(part: float) -> Damage:
    return lambda path: os.truncate(path, int(path.stat().st_size * part))


def becomes(content: bytes) -> Damage:
    return lambda path: path.write_bytes(content)


WRITERS: dict[str, Callable[[Path], Path]] = {
    "model.safetensors": write_safetensors,
    "model.pth": write_checkpoint,
    "legacy.pt": write_legacy,
}
FAULTS: list[tuple[Damage, str, str]] = [
    (Path.unlink, "stat", "file_missing"),
    (becomes(b""), "stat", "file_empty"),
    (becomes(POINTER), "header", "lfs_pointer"),
    (becomes(PAGE), "header", "file_corrupted"),
    (becomes(bytes(5000)), "header", "file_corrupted"),
    (becomes(os.urandom(5000)), "header", "file_corrupted"),
    (cut(0.01), "header", "file_corrupted"),
    (cut(0.1), "header", "file_corrupted"),
    (cut(0.5), "header", "file_corrupted"),
    (cut(0.99), "header", "file_corrupted"),
]


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(("damage", "level", "reason"), FAULTS)
def test_a_fault_of_a_file_has_its_reason(tmp_path: Path, name: str, damage: Damage, level: str, reason: str) -> None:
    """From the level that can see it on, at every deeper one too."""
    file = WRITERS[name](tmp_path / name)
    assert verify([file]).ok
    damage(file)
    for deeper in LEVELS[LEVELS.index(level) :]:
        report = only(file, deeper)
        if reason == "file_corrupted" and file.stat().st_size == 0:
            assert report.reason == "file_empty"
        else:
            assert (report.ok, report.reason) == (False, reason), deeper
        assert report.detail
        assert str(file) not in report.detail


@pytest.mark.parametrize(
    ("damage", "reason", "name"),
    [
        (lambda model: (model / "config.json").write_text("{"), "config_invalid", "config.json"),
        (lambda model: (model / "config.json").write_bytes(b""), "file_empty", "config.json"),
        (lambda model: (model / "config.json").unlink(), "file_missing", "config.json"),
        (lambda model: (model / "tokenizer.json").write_text("{}"), "config_invalid", "tokenizer.json"),
        (lambda model: (model / "model.safetensors.index.json").write_text("{"), "file_corrupted",
         "model.safetensors.index.json"),
        (lambda model: (model / "model-00002-of-00002.safetensors").unlink(), "shard_missing",
         "model.safetensors.index.json"),
        (lambda model: (model / "spiece.model").write_bytes(b""), "file_empty", "spiece.model"),
        (lambda model: (model / "vocab.txt").write_bytes(b""), "file_empty", "vocab.txt"),
        (lambda model: (model / "model.onnx_data").write_bytes(POINTER), "lfs_pointer", "model.onnx_data"),
    ],
)  # fmt: skip
def test_a_fault_in_a_folder_has_its_reason(
    tmp_path: Path, damage: Callable[[Path], object], reason: str, name: str
) -> None:
    """The file that is to blame and no other."""
    model = write_model(tmp_path / "model")
    assert verify([model]).ok
    damage(model)
    assert bad(model) == {name: reason}


@pytest.mark.parametrize("level", LEVELS)
def test_a_shard_that_an_index_names_is_missed_at_every_level(tmp_path: Path, level: str) -> None:
    """By the index, whatever the other shards are called."""
    model = write_model(tmp_path / "m")
    assert verify([model], level=level).ok
    (model / "model-00002-of-00002.safetensors").unlink()
    assert bad(model, level) == {"model.safetensors.index.json": "shard_missing"}


def test_an_old_checkpoint_whose_end_was_never_written_is_told(tmp_path: Path) -> None:
    """torch wrote each storage's count before it, and compares it when it loads."""
    file = write_legacy(tmp_path / "m.pt")
    whole = file.read_bytes()
    begin = len(whole) - 2008
    file.write_bytes(whole[:begin] + bytes(2008))
    report = only(file, "header")
    assert (report.ok, report.reason) == (False, "file_corrupted")
    assert "storage '0' has 500 items" in report.detail


@pytest.mark.parametrize(
    ("config", "others", "missing"),
    [
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, [], True),
        ({"tokenizer_class": "NllbTokenizer"}, [], True),
        ({"tokenizer_class": "LlamaTokenizerFast"}, ["tokenizer.model"], False),
        ({"tokenizer_class": "GPT2Tokenizer"}, ["vocab.json", "merges.txt"], False),
        ({"tokenizer_class": "MarianTokenizer"}, ["source.spm"], False),
        ({"tokenizer_class": "ByT5Tokenizer"}, [], False),
        ({"tokenizer_class": "AuthorsTokenizer"}, [], False),
        ({"tokenizer_class": "LlamaTokenizerFast", "auto_map": {"AutoTokenizer": ["x.T", None]}}, [], False),
        ({}, [], False),
    ],
)
def test_a_tokenizer_without_any_vocabulary(
    tmp_path: Path, config: dict[str, object], others: list[str], missing: bool
) -> None:
    """Told where its class cannot begin without one."""
    model = write_model(tmp_path / "m")
    (model / "tokenizer.json").unlink()
    (model / "tokenizer_config.json").write_text(json.dumps(config))
    for name in others:
        (model / name).write_text("x")
    assert bad(model, "stat") == ({"tokenizer.json": "file_missing"} if missing else {})


def test_a_shard_without_an_index_is_missed_by_its_number(tmp_path: Path) -> None:
    """Split files of llama.cpp have no index."""
    write_safetensors(tmp_path / "m-00001-of-00003.safetensors")
    write_safetensors(tmp_path / "m-00003-of-00003.safetensors")
    assert bad(tmp_path) == {"m-00002-of-00003.safetensors": "shard_missing"}


def test_a_configuration_without_weights_is_told(tmp_path: Path) -> None:
    """Somebody deleted or never downloaded them."""
    model = write_model(tmp_path / "model")
    for file in model.glob("model*"):
        file.unlink()
    assert bad(model) == {"model": "file_missing"}


def test_weights_by_themselves_are_no_fault(tmp_path: Path) -> None:
    """safetensors.torch.save_file needs no configuration; what save_pretrained writes does."""
    write_safetensors(tmp_path / "model.safetensors")
    assert bad(tmp_path) == {}
    write_safetensors(tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert bad(tmp_path) == {"config.json": "file_missing"}


def test_files_of_no_known_format_are_hashed_and_not_judged(tmp_path: Path) -> None:
    """A read-me may be empty, a log need be no JSON."""
    model = write_model(tmp_path)
    (model / "README.md").touch()
    (model / "trainer_log.json").write_text('{"step": 1}\n{"step": 2}\n')
    (model / "notes.txt").write_bytes(b"abc")
    report = verify([model])
    assert report.ok
    told = {file.path.name: file for file in report.files}
    assert told["notes.txt"].format == "unknown"
    assert told["notes.txt"].sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_report_tells_what_the_file_is(tmp_path: Path) -> None:
    """Format, size, time, type; the checksum only where it was asked for."""
    file = write_checkpoint(tmp_path / "model.pth")
    report = only(file)
    assert (report.format, report.size, report.modified) == ("torch", file.stat().st_size, file.stat().st_mtime)
    assert report.metadata == {"producer": "torch", "version": "3", "dtype": "float32"}
    assert report.sha256 is not None
    assert only(file, "header").sha256 is None
    assert only(file, "stat").metadata == {}


def test_a_pattern_is_expanded_here(tmp_path: Path) -> None:
    """In quotes the shell leaves it alone; a folder for each model is a section."""
    for name in ("a", "b"):
        write_model(tmp_path / name)
    report = verify([tmp_path / "*"])
    assert set(report.models) == {tmp_path / "a", tmp_path / "b"}
    assert len(report.files) == 14
    assert {file.reason for file in verify([tmp_path / "nothing*"]).files} == {"file_missing"}


def test_models_are_found_below_a_folder(tmp_path: Path) -> None:
    """Each by its own configuration; loose files belong to the folder that they lie in."""
    write_model(tmp_path / "org" / "one")
    write_model(tmp_path / "two")
    (tmp_path / "two" / "1_Pooling").mkdir()
    (tmp_path / "two" / "1_Pooling" / "config.json").write_text('{"word_embedding_dimension": 384}')
    write_checkpoint(tmp_path / "loose.pth")
    assert set(verify([tmp_path]).models) == {tmp_path, tmp_path / "org" / "one", tmp_path / "two"}


def test_no_level_and_no_manifest_below_checksums() -> None:
    """What would silently check nothing is refused."""
    with pytest.raises(ValueError, match="no level"):
        verify([], level="deep")
    with pytest.raises(ValueError, match="manifest"):
        verify([], level="header", manifest=Path("m"))


def test_a_file_of_several_names_is_read_once(tmp_path: Path) -> None:
    """Links of a cache point at the same blob."""
    file = tmp_path / "a.dat"
    file.write_bytes(bytes(2**20))
    for number in range(5):
        os.link(file, tmp_path / f"{number}.dat")
    counts = list[int]()
    report = verify([tmp_path], pace=counts.append)
    assert len({one.sha256 for one in report.files}) == 1
    assert len(report.files) == 6
    assert len([count for count in counts if count <= 256 * 1024]) <= 5


def test_progress_ends_at_its_total(tmp_path: Path) -> None:
    """Bytes of every file, checksums in the file included; one call at a time."""
    for number in range(8):
        write_checkpoint(tmp_path / f"{number}.pth", data=bytes(2**20))
    seen = list[Progress]()
    verify([tmp_path], progress=seen.append, threads=4)
    assert (seen[-1].done, seen[-1].files_done) == (seen[-1].total, 8)
    assert seen[-1].total >= 16 * 2**20
    assert [one.done for one in seen] == sorted(one.done for one in seen)


def test_a_slow_pace_is_kept(tmp_path: Path) -> None:
    """The reader waits where pace() sleeps."""
    (tmp_path / "m.dat").write_bytes(bytes(2**20))
    calls = list[int]()

    def pace(count: int) -> None:
        calls.append(count)
        time.sleep(0.02)

    began = time.monotonic()
    verify([tmp_path], pace=pace, threads=1)
    assert sum(calls) == 2**20
    assert time.monotonic() - began >= 0.02 * len(calls)


def test_whoever_watches_may_end_it(tmp_path: Path) -> None:
    """Ctrl-C during a large file: the threads end at their next chunk."""
    for number in range(4):
        with open(tmp_path / f"{number}.dat", "wb") as file:
            file.truncate(2**33)

    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        verify([tmp_path], progress=stop, threads=4)
    assert time.monotonic() - began < 5
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("verify")]


def test_pipes_sockets_and_devices_hold_nobody_up(tmp_path: Path) -> None:
    """Never opened for reading; by a model file's name they are a fault."""
    os.mkfifo(tmp_path / "model.safetensors")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "model.pth").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert bad(tmp_path, "checksum") == {"model.safetensors": "file_corrupted", "model.pth": "file_corrupted"}
        assert only(tmp_path / "pipe").reason == "file_corrupted"
        assert only(Path("/dev/zero")).reason == "file_corrupted"


def test_links_that_lead_in_circles_end(tmp_path: Path) -> None:
    """A folder is entered once, however it is reached; a link to itself is a fault."""
    write_model(tmp_path / "model")
    (tmp_path / "model" / "again").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path)
    assert verify([tmp_path]).ok
    (tmp_path / "loop.safetensors").symlink_to("loop.safetensors")
    assert bad(tmp_path) == {"loop.safetensors": "file_missing"}


def test_a_dangling_link_tells_where_it_leads(tmp_path: Path) -> None:
    """The blob or the mount is gone."""
    (tmp_path / "model.safetensors").symlink_to("/nowhere/blob")
    report = only(tmp_path / "model.safetensors")
    assert report.reason == "file_missing"
    assert "/nowhere/blob" in report.detail


def test_an_endless_file_is_a_hole(tmp_path: Path) -> None:
    """A terabyte that was never written is not hashed."""
    file = tmp_path / "model.dat"
    with open(file, "wb") as handle:
        handle.write(b"begin")
        handle.truncate(2**40)
    with within(seconds=0.5, mebibytes=8):
        report = only(file)
    assert (report.reason, report.sha256) == ("file_corrupted", None)


def test_a_folder_of_endless_files_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found by then is reported, and that it is not all."""
    monkeypatch.setattr(walk, "MAX_FILES", 50)
    write_model(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for number in range(60):
        (tmp_path / "b" / str(number)).touch()
    report = verify([tmp_path])
    assert ("resource_limit", tmp_path) in {(file.reason, file.path) for file in report.files}
    assert len(report.files) > 5


def test_folders_in_folders_end(tmp_path: Path) -> None:
    """Deeper than any model: not looked at, and not passed over in silence."""
    deep = tmp_path
    for _ in range(60):
        deep = deep / "d"
    deep.mkdir(parents=True)
    write_safetensors(tmp_path / "model.safetensors")
    assert bad(tmp_path) == {"d": "resource_limit"}


def test_a_file_that_changes_meanwhile_is_not_called_good(tmp_path: Path) -> None:
    """A checksum of half the old and half the new is none."""
    file = tmp_path / "m.dat"
    file.write_bytes(bytes(2**20))

    def touch(count: int) -> None:
        os.utime(file, ns=(1, 1))

    report = verify([file], pace=touch).files[0]
    assert (report.ok, report.sha256) == (False, None)
    assert "changed" in report.detail


def test_a_file_that_shrinks_meanwhile_ends_nobody(tmp_path: Path) -> None:
    """A mapped file would be SIGBUS."""
    file = tmp_path / "m.dat"
    file.write_bytes(bytes(2**20))
    report = verify([file], pace=lambda count: os.truncate(file, 1000)).files[0]
    assert (report.ok, report.sha256) == (False, None)


def test_a_readers_own_mistake_costs_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as what it is."""

    def broken(*arguments: object) -> None:
        raise AttributeError

    write_model(tmp_path)
    monkeypatch.setattr(check.Checker, "_problem", broken)
    report = verify([tmp_path])
    assert {file.reason for file in report.files} == {"unknown"}
    assert len(report.files) == 7


@pytest.mark.root
def test_what_the_user_may_not_read_is_told_as_that(tmp_path: Path) -> None:
    """A file, a folder that may not be entered, one above it: as another user, since root may read everything."""
    models = tmp_path / "models"
    for name in ("file", "folder", "above/model"):
        write_model(models / name)
    for folder in (tmp_path, *tmp_path.parents[:-1], models):
        folder.chmod(folder.stat().st_mode | 0o011)
    models.chmod(0o755)
    (models / "file" / "config.json").chmod(0)
    (models / "folder").chmod(0o700)
    (models / "above").chmod(0o700)
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            paths = [models / "file", models / "folder", models / "above" / "model", models / "above/model/config.json"]
            told = [[file.reason, file.path.name] for path in paths for file in verify([path]).files if not file.ok]
            os.write(write, json.dumps(told).encode())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        told = json.load(pipe)
    os.waitpid(child, 0)
    assert told == [["permission_denied", name] for name in ("config.json", "folder", "model", "config.json")]


def test_names_that_no_text_can_hold_are_borne(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, and line breaks."""
    for name in (b"\xff\xfe.safetensors", b"new\nline.safetensors"):
        write_safetensors(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)))
    report = verify([tmp_path])
    assert report.ok
    assert len(report.files) == 2


@pytest.mark.parametrize(
    ("config", "others", "missing"),
    [
        ({"architectures": ["BertModel"]}, ["tokenizer.json"], True),
        ({"model_type": "bert"}, [], True),
        ({"_class_name": "AutoencoderKL"}, [], True),
        ({"model_type": "bert"}, ["tokenizer.json", "tokenizer_config.json"], False),
        ({"model_type": "vit"}, ["preprocessor_config.json"], False),
        ({"word_embedding_dimension": 384}, [], False),
    ],
)
def test_a_configuration_without_weights(tmp_path: Path, config: object, others: list[str], missing: bool) -> None:
    """Missing weights where the folder is a model's; a tokenizer's own folder has a config.json too."""
    (tmp_path / "config.json").write_text(json.dumps(config))
    for name in others:
        (tmp_path / name).write_text('{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}')

    assert ("file_missing" in bad(tmp_path, "stat").values()) is missing
