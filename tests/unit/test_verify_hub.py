"""The hub's cache: blobs are what their names say, links lead somewhere, branches to snapshots."""

import hashlib
import json
from pathlib import Path

import pytest

from model_load_exporter.artifacts.locate import locate
from model_load_exporter.artifacts.verify import verify
from support.checkpoints import write_model

COMMIT = "c" * 40


def cached(cache: Path, name: str = "models--org--name") -> Path:
    """A repository as huggingface_hub leaves it: large files by sha256, small ones by git's sha1."""
    source = write_model(cache / "source")
    repo = cache / name
    snapshot = repo / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (repo / "blobs").mkdir()
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(COMMIT)
    for file in sorted(source.iterdir()):
        raw = file.read_bytes()
        is_large = file.suffix == ".safetensors"
        digest = hashlib.sha256(raw) if is_large else hashlib.sha1(b"blob %d\0" % len(raw) + raw)
        file.rename(repo / "blobs" / digest.hexdigest())
        (snapshot / file.name).symlink_to(f"../../blobs/{digest.hexdigest()}")
    source.rmdir()
    return repo


def bad(path: Path, level: str = "checksum") -> dict[str, str | None]:
    return {file.path.name: file.reason for file in verify([path], level=level).files if not file.ok}


@pytest.mark.parametrize("below", ["", "models--org--name", f"models--org--name/snapshots/{COMMIT}"])
def test_a_whole_cache_is_good(tmp_path: Path, below: str) -> None:
    """The cache, a repository, a snapshot; each file once, under the name that loaders use."""
    cached(tmp_path)
    report = verify([tmp_path / below])
    assert report.ok, report.to_json()
    names = [file.path.name for file in report.files]
    assert len(names) == 7
    assert "config.json" in names


@pytest.mark.parametrize("name", ["model-00001-of-00002.safetensors", "tokenizer_config.json"])
def test_a_flipped_bit_is_found_by_the_blobs_name(tmp_path: Path, name: str) -> None:
    """Of weights by the sha256, of a small file by git's sha1; below the checksum level nobody can tell."""
    repo = cached(tmp_path)
    file = (repo / "snapshots" / COMMIT / name).resolve()
    raw = file.read_bytes()
    changed = raw.replace(b"LlamaTokenizer", b"LlamaTokenizes") if name.endswith("json") else raw[:-1] + b"\xff"
    file.write_bytes(changed)

    assert bad(repo) == {name: "file_corrupted"}
    assert bad(repo, "header") == {}


def test_a_link_to_a_blob_that_is_gone_is_told(tmp_path: Path) -> None:
    """As missing, at every level."""
    repo = cached(tmp_path)
    (repo / "snapshots" / COMMIT / "config.json").resolve().unlink()
    assert bad(repo, "stat")["config.json"] == "file_missing"


def test_a_blob_that_no_snapshot_needs_is_verified_too(tmp_path: Path) -> None:
    """The next revision may link to it."""
    repo = cached(tmp_path)
    (repo / "blobs" / ("a" * 64)).write_bytes(b"something else")
    assert bad(repo) == {"a" * 64: "file_corrupted"}


@pytest.mark.parametrize(
    ("content", "reason"), [("d" * 40, "file_missing"), ("", "file_empty"), ("../../etc", "file_corrupted")]
)
def test_a_branch_that_leads_nowhere_is_told(tmp_path: Path, content: str, reason: str) -> None:
    """An offline load asks it for the snapshot."""
    repo = cached(tmp_path)
    (repo / "refs" / "main").write_text(content)
    assert bad(repo) == {"main": reason}


@pytest.mark.parametrize(("content", "reason"), [("d" * 40, "file_missing"), ("", "file_empty")])
def test_a_repo_id_whose_branch_leads_nowhere_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, reason: str
) -> None:
    """No load by that name takes another snapshot, so verify takes none for it either."""
    repo = cached(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    good = locate("org/name")
    assert good is not None
    assert good.path == repo / "snapshots" / COMMIT
    (repo / "refs" / "main").write_text(content)
    found = locate("org/name")
    assert found is not None
    assert bad(found.path) == {"main": reason}
    (repo / "refs" / "main").unlink()
    assert locate("org/name") == good


def test_a_download_that_broke_off_is_told_where_files_are_missing(tmp_path: Path) -> None:
    """Left behind beside a whole snapshot it hurts nobody."""
    repo = cached(tmp_path)
    left = repo / "blobs" / ("b" * 64 + ".incomplete")
    left.write_bytes(b"half")
    assert bad(repo) == {}

    snapshot = repo / "snapshots" / COMMIT
    for file in [*snapshot.glob("*.safetensors"), snapshot / "model.safetensors.index.json"]:
        file.unlink()
    found = bad(repo)
    assert found[left.name] == "file_corrupted"
    assert found[COMMIT] == "file_missing"


def test_a_cache_that_holds_no_more_than_a_configuration_is_whole(tmp_path: Path) -> None:
    """Tokenizers and configurations are fetched by themselves; asked for by its path, the model lacks its weights."""
    repo = cached(tmp_path)
    snapshot = repo / "snapshots" / COMMIT
    for file in [*snapshot.glob("*.safetensors"), snapshot / "model.safetensors.index.json"]:
        file.resolve().unlink()
        file.unlink()
    assert bad(tmp_path) == {}
    assert bad(snapshot) == {COMMIT: "file_missing"}
    assert bad(repo) == {COMMIT: "file_missing"}


def test_the_caches_own_files_are_no_models(tmp_path: Path) -> None:
    """Locks and notes of what does not exist are empty by nature."""
    repo = cached(tmp_path)
    (tmp_path / ".locks" / repo.name).mkdir(parents=True)
    (tmp_path / ".locks" / repo.name / "x.safetensors").touch()
    (repo / ".no_exist" / COMMIT).mkdir(parents=True)
    (repo / ".no_exist" / COMMIT / "config.json").touch()
    (tmp_path / "version.txt").write_text("1")
    report = verify([tmp_path])
    assert report.ok
    assert json.dumps(report.to_json())
