"""The spool: how writers find it, how `serve` makes it, and on which file systems there is none."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_load_exporter.journal import reader, spool
from model_load_exporter.journal.reader import create_spool, lock_spool
from model_load_exporter.journal.spool import SpoolError, filesystem_type, find_spool, open_spool, unsafe

MOUNTINFO = r"""22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /proc rw - proc proc rw
30 22 0:30 / /mnt/models rw,relatime shared:2 master:1 - nfs4 nas:/models rw,vers=4.2
31 22 0:31 / /mnt/with\040blank rw - fuse.sshfs host:/ rw
32 22 0:32 / /var/lib/model-load-exporter rw - tmpfs tmpfs rw
33 32 0:33 / /var/lib/model-load-exporter/spool rw - virtiofs share rw
34 30 0:34 / /mnt/models/local rw - xfs /dev/vdb rw
35 22 0:35 / /over rw - xfs /dev/vdc rw
36 35 0:36 / /over rw - 9p hostshare rw
"""


@pytest.fixture
def mountinfo(tmp_path: Path) -> str:
    path = tmp_path / "mountinfo"
    path.write_text(MOUNTINFO)
    return str(path)


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/spool", "ext4"),
        ("/mnt/models/spool", "nfs4"),
        ("/mnt/modelsx/spool", "ext4"),
        ("/mnt/models/local/spool", "xfs"),
        ("/mnt/models/x/../local/spool", "xfs"),
        ("/mnt/with blank/spool", "fuse.sshfs"),
        ("/var/lib/model-load-exporter", "tmpfs"),
        ("/var/lib/model-load-exporter/spool", "virtiofs"),
        ("/over/spool", "9p"),
        ("/", "ext4"),
    ],
)
def test_the_file_system_is_told_by_the_mount_table(mountinfo: str, folder: str, kind: str) -> None:
    """The deepest mount point above a folder, the last mounted of those on one point."""
    assert filesystem_type(folder, mountinfo) == kind


def test_without_a_mount_table_nothing_is_known(tmp_path: Path) -> None:
    """No Linux, or a table of another shape: None, and the spool is tried."""
    assert filesystem_type("/srv", str(tmp_path / "missing")) is None
    (odd := tmp_path / "odd").write_text("not a mount table\n")
    assert filesystem_type("/srv", str(odd)) is None


@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        *((kind, True) for kind in ("nfs", "nfs4", "fuse", "fuse.sshfs", "fuseblk", "9p", "virtiofs", "cifs", "ceph")),
        *((kind, False) for kind in ("ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs")),
    ],
)
def test_file_systems_whose_locks_lie_are_refused(kind: str, refused: bool) -> None:
    """Of the network and of user space: refused; local ones are fine."""
    assert unsafe(kind) is refused


def test_writers_and_the_daemon_refuse_such_a_file_system(
    tmp_path: Path, mountinfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer takes it for no spool, and `serve` makes none there; each says which file system it is."""

    def on_nfs(_: str) -> str | None:
        return filesystem_type("/mnt/models/spool", mountinfo)

    create_spool(str(tmp_path / "spool"))
    monkeypatch.setattr(spool, "filesystem_type", on_nfs)
    with pytest.raises(SpoolError, match="is on nfs4, where locks cannot be trusted"):
        open_spool(str(tmp_path / "spool"))
    monkeypatch.setattr(reader, "filesystem_type", on_nfs)
    with pytest.raises(SpoolError, match=r"would be on nfs4.*--spool.dir"):
        create_spool(str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_serve_makes_the_spool_open_to_all(tmp_path: Path) -> None:
    """Mode 1777 whatever the umask, with its settings; made again it stays as it is."""
    folder = tmp_path / "deep" / "spool"
    before = os.umask(0o077)
    try:
        create_spool(str(folder))
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o1777
    settings = json.loads((folder / "spool.json").read_text())
    assert settings["format"] == 1
    assert settings["max_files"] > 0
    assert settings["max_bytes"] > 0
    (folder / "spool.json").write_text('{"format": 1, "max_files": 3, "max_bytes": 100}')
    create_spool(str(folder))
    assert open_spool(str(folder)).max_files == 3, "limits that somebody set stay"


def test_a_spool_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    """One line, with the folder and the flag."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match=r"cannot make the spool .*file/spool .*--spool\.dir") as caught:
        create_spool(str(tmp_path / "file" / "spool"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("", "is not a spool's settings"),
        ("[]", "is not a spool's settings"),
        ('{"format": 1}', "is not a spool's settings"),
        ('{"format": 1, "max_files": "many", "max_bytes": 1}', "is not a spool's settings"),
        ('{"format": 2, "max_files": 1, "max_bytes": 1}', "has format 2; this version writes 1"),
    ],
)
def test_a_folder_without_good_settings_is_no_spool(tmp_path: Path, content: str | None, message: str) -> None:
    """Writers leave it alone, and say why in the one warning that they give."""
    if content is not None:
        (tmp_path / "spool.json").write_text(content)
    with pytest.raises(SpoolError, match=message):
        open_spool(str(tmp_path))


def test_the_first_folder_that_is_a_spool_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable, then the system's folder, then the user's; looked at anew each time."""
    named, system, home = tmp_path / "named", tmp_path / "system", tmp_path / "state"
    user = home / "model-load-exporter" / "spool"
    monkeypatch.setenv("MODEL_LOAD_EXPORTER_SPOOL", str(named))
    monkeypatch.setattr(spool, "SYSTEM_SPOOL", str(system))
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    with pytest.raises(SpoolError) as caught:
        find_spool()
    for folder in (named, system, user):
        assert str(folder) in str(caught.value), "each folder that was looked at is named"
    for folder in (user, system, named):
        create_spool(str(folder))
        assert find_spool().folder == str(folder)
    monkeypatch.delenv("MODEL_LOAD_EXPORTER_SPOOL")
    assert find_spool().folder == str(system)
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert list(spool.candidates())[-1] == f"{tmp_path}/.local/state/model-load-exporter/spool"


def test_a_spool_counts_its_journals_alone(tmp_path: Path) -> None:
    """`full` by number or by size of the journal files; other files do not count."""
    create_spool(str(tmp_path))
    (tmp_path / "notes.txt").write_bytes(b"x" * 5000)
    few = spool.Spool(str(tmp_path), max_files=2, max_bytes=1000)
    assert not few.full()
    (tmp_path / "a.jsonl").write_bytes(b"x" * 400)
    assert not few.full()
    (tmp_path / "b.jsonl").write_bytes(b"")
    assert few.full()
    assert spool.Spool(str(tmp_path), max_files=9, max_bytes=400).full()


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    create_spool(str(tmp_path))
    fd = lock_spool(str(tmp_path))
    yield tmp_path
    os.close(fd)


def test_one_exporter_reads_a_spool(locked: Path) -> None:
    """A second one is refused with a line that says what to do; the end of the first frees it."""
    with pytest.raises(SpoolError, match=r"another exporter reads the spool .*--spool\.dir"):
        lock_spool(str(locked), patience=0.05)
    code = "import sys; from model_load_exporter.journal.reader import lock_spool; lock_spool(sys.argv[1], 0.05)"
    done = subprocess.run([sys.executable, "-c", code, str(locked)], capture_output=True, text=True, check=False)
    assert "another exporter reads the spool" in done.stderr
