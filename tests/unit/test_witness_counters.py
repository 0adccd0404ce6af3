"""What is only counted: OOM kills of the host and of cgroups, systemd-oomd; and when a count means this process."""

import os
from pathlib import Path

import pytest

from model_load_exporter.witness import oomd
from model_load_exporter.witness.attachment import Attachment, Origin, Standing, standing
from model_load_exporter.witness.cgroup import MemoryCgroup
from model_load_exporter.witness.evidence import Counters
from model_load_exporter.witness.vmstat import oom_kills

NOBODY = frozenset[str]()


def v2(tmp_path: Path, **files: str) -> MemoryCgroup:
    """/slice/app of a cgroup v2 tree, with these files in app."""
    app = tmp_path / "root" / "slice" / "app"
    app.mkdir(parents=True)
    for folder in (app, app.parent, app.parent.parent):
        (folder / "cgroup.procs").write_text("")
    for name, text in files.items():
        (app / name.replace("_", ".", 1).replace("events_local", "events.local")).write_text(text)
    return MemoryCgroup(str(app), v2=True, path="/slice/app")


def attached(cgroup: MemoryCgroup, **keys: object) -> Attachment:
    origin = Origin("/spool", "a-1", 1, 2, 0, 7, None, "", 0.0, 0.0)
    return Attachment(origin, pid=7, cgroup=cgroup, **keys)  # type: ignore[arg-type]  # handed on as they are


def test_vmstat_tells_the_hosts_oom_kills(tmp_path: Path) -> None:
    """The line of that name alone; an older kernel has none."""
    vmstat = tmp_path / "vmstat"
    assert oom_kills(str(tmp_path)) is None
    vmstat.write_text("nr_free_pages 1\noom_kill_x 9\n")
    assert oom_kills(str(tmp_path)) is None
    vmstat.write_text("nr_free_pages 1\noom_kill 4\n")
    assert oom_kills(str(tmp_path)) == 4
    vmstat.write_text("oom_kill many\n")
    assert oom_kills(str(tmp_path)) is None
    assert (oom_kills("/proc") or 0) >= 0


@pytest.mark.parametrize("where", ["app", "slice"])
@pytest.mark.parametrize("name", ["user.oomd_ooms", "user.oomd_kill"])
def test_systemd_oomd_counts_in_attributes(tmp_path: Path, where: str, name: str) -> None:
    """It ends the cgroup that it chose with all below; it has no attribute before its first kill."""
    group = v2(tmp_path)
    assert oomd.kills(group) == 0
    before = standing(group, str(tmp_path), NOBODY)
    folder = group.folder if where == "app" else os.path.dirname(group.folder)
    try:
        os.setxattr(folder, name, b"1")
    except OSError:
        pytest.skip("this file system has no extended attributes for users")
    after = standing(group, str(tmp_path), NOBODY)
    attachment = attached(group, before=before)
    assert attachment.counted(after, alone=False).oomd
    assert not attachment.counted(before, alone=False).oomd
    assert standing(group, str(tmp_path), frozenset({"systemd_oomd"})).oomd is None
    assert oomd.kills(MemoryCgroup(group.folder, v2=False)) is None


@pytest.mark.parametrize("where", ["app", "slice"])
def test_a_cgroup_that_is_ended_as_a_whole(tmp_path: Path, where: str) -> None:
    """memory.oom.group of its own cgroup or of one above: Kubernetes sets it on cgroup v2."""
    group = v2(tmp_path)
    before = standing(group, str(tmp_path), NOBODY)
    folder = Path(group.folder if where == "app" else os.path.dirname(group.folder))
    (folder / "memory.events.local").write_text("oom 1\noom_kill 3\noom_group_kill 1\n")
    after = standing(group, str(tmp_path), NOBODY)
    assert attached(group, before=before).counted(after, alone=False).group
    assert standing(group, str(tmp_path), frozenset({"cgroup"})) == Standing(oomd=0)


def test_what_a_process_outlived_was_not_its_end(tmp_path: Path) -> None:
    """A count that rose while it was seen alive later is a sibling's; the look before the last counts, as the kernel
    counts a kill before the victim can be seen to die of it.
    """
    group = v2(tmp_path)
    attachment = attached(group, before=Standing(cgroup=0, host=5), recent=Standing(cgroup=0, host=5))
    attachment.lives_on(Standing(cgroup=1, host=6))
    assert attachment.counted(Standing(cgroup=1, host=6), alone=False).cgroup == 1
    attachment.lives_on(Standing(cgroup=1, host=6))
    attachment.lives_on(Standing(cgroup=1, host=6))
    assert attachment.outlived == 1
    assert attachment.counted(Standing(cgroup=1, host=6), alone=False) == Counters(cgroup=0, host=0)
    assert attachment.counted(Standing(), alone=False) == Counters()


@pytest.mark.parametrize(
    ("left", "last_pid", "anonymous", "alone"),
    [
        ("8\n", 100, None, True),
        ("8\n", 101, None, False),
        ("8\n", 101, 600, True),
        ("8\n", 101, 400, False),
        ("", 100, 600, False),
        ("8\n9\n", 100, None, True),
        ("garbage\n", 100, 600, False),
        ("8\n", None, None, False),
    ],
)
def test_a_count_means_a_process_that_was_alone(
    tmp_path: Path, left: str, last_pid: int | None, anonymous: int | None, alone: bool
) -> None:
    """All others of the cgroup live on; and none came since, or this one had more than half of the limit."""
    group = v2(tmp_path, memory_max="1000\n")
    (Path(group.folder) / "cgroup.procs").write_text("7\n8\n")
    attachment = attached(group)
    attachment.note_members(100)
    attachment.anonymous = anonymous
    (Path(group.folder) / "cgroup.procs").write_text(left)
    assert attachment.alone(last_pid) is alone


def test_nobody_is_alone_where_nothing_is_seen(tmp_path: Path) -> None:
    """No cgroup, or members that were never listed."""
    attachment = attached(v2(tmp_path))
    assert not attachment.alone(100)
    attachment.cgroup = None
    attachment.note_members(100)
    assert not attachment.alone(100)
