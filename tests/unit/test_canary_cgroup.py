"""Cgroups on fixture trees: v2, where this machine may have none, containers, and names that climb out."""

from pathlib import Path

import pytest

from model_load_exporter.canary import cgroup, headroom, sandbox
from model_load_exporter.canary.group import CanaryCgroup

V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNTS = (
    "34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
)


class Host:
    """A /proc and a /sys of files."""

    def __init__(self, folder: Path) -> None:
        self.procfs = folder / "proc"
        self.sysfs = folder / "sys"
        (self.procfs / "self").mkdir(parents=True)

    def process(self, cgroups: str, mounts: str, available_kib: int = 8_000_000) -> None:
        (self.procfs / "self/cgroup").write_text(cgroups)
        (self.procfs / "self/mountinfo").write_text(mounts)
        (self.procfs / "meminfo").write_text(f"MemTotal: 16000000 kB\nMemAvailable: {available_kib} kB\n")

    def group(self, path: str, **files: str) -> Path:
        folder = self.sysfs / "fs/cgroup" / path.strip("/")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text)
        return folder

    def own(self) -> cgroup.Own:
        return cgroup.own_cgroups(str(self.procfs), str(self.sysfs))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_v2_is_found(host: Host) -> None:
    """One hierarchy has memory and cgroup.kill."""
    host.process("0::/system.slice/exporter.service\n", V2_MOUNT)
    folder = host.group("system.slice/exporter.service", cgroup__controllers="cpu memory pids\n")

    own = host.own()

    assert own.memory == own.unified
    assert own.memory is not None
    assert (own.memory.version, own.memory.folder) == (2, folder)
    assert [path.name for path in own.memory.lineage()] == ["exporter.service", "system.slice", "cgroup"]


def test_hybrid_is_found(host: Host) -> None:
    """Memory on v1, the unified hierarchy beside it."""
    host.process("4:memory:/job\n3:cpuset:/\n0::/\n", V1_MOUNTS)
    host.group("memory/job")
    host.group("unified", cgroup__controllers="\n")

    own = host.own()

    assert own.memory is not None
    assert own.unified is not None
    assert (own.memory.version, own.memory.folder.name) == (1, "job")
    assert (own.unified.version, own.unified.folder.name) == (2, "unified")


def test_a_container_sees_its_part_of_the_hierarchy(host: Host) -> None:
    """Without a cgroup namespace the mount shows only what lies below the container's own group."""
    mounts = V2_MOUNT.replace("0:26 / ", "0:26 /docker/abc ")
    host.process("0::/docker/abc/inner\n", mounts)
    folder = host.group("inner", cgroup__controllers="memory\n")

    own = host.own()

    assert own.memory is not None
    assert own.memory.folder == folder


@pytest.mark.parametrize("cgroups", ["0::/../../host\n", "0::/elsewhere\n", "", "nonsense:\n0:x"])
def test_what_cannot_be_reached_is_none(host: Host, cgroups: str) -> None:
    """Another namespace's group, a group that is not shown, no file at all."""
    host.process(cgroups, V2_MOUNT)
    host.group("", cgroup__controllers="memory\n")

    assert host.own() == cgroup.Own(None, None)


def test_the_tightest_limit_above_tells_what_is_left(host: Host) -> None:
    """Half a gigabyte below the container's limit, file pages counted as free, is less than the host has."""
    host.process("0::/pod/container\n", V2_MOUNT)
    host.group("pod/container", cgroup__controllers="memory\n", memory__max="max\n", memory__current="900000000\n")
    host.group(
        "pod",
        memory__max="1000000000\n",
        memory__current="900000000\n",
        memory__stat="anon 500000000\ninactive_file 300000000\nactive_file 100000000\n",
    )

    assert headroom.available_memory(str(host.procfs), str(host.sysfs)) == 500_000_000


def test_without_a_limit_the_host_tells_what_is_left(host: Host) -> None:
    """MemAvailable, when no group is limited."""
    host.process("0::/\n", V2_MOUNT, available_kib=4_000)
    host.group("", cgroup__controllers="memory\n")

    assert headroom.available_memory(str(host.procfs), str(host.sysfs)) == 4_096_000


def test_the_v1_number_for_no_limit_is_no_limit(host: Host) -> None:
    """9223372036854771712 bytes are not a limit."""
    folder = host.group("memory/job", memory__limit_in_bytes="9223372036854771712\n")

    assert cgroup.limit_of(folder, 1) is None


def test_a_pod_that_dies_as_one_is_not_risked(host: Host) -> None:
    """memory.oom.group of 1 and no group of its own to be had: the load is skipped, with the cause."""
    host.process("0::/pod/container\n", V2_MOUNT)
    host.group("pod/container", cgroup__controllers="memory\n", memory__oom__group="1\n", cgroup__procs="1\n7\n")

    with pytest.raises(sandbox.WouldHarmError) as caught:
        sandbox.build("x", 10**9, 4 * 10**9, str(host.procfs), str(host.sysfs))

    assert caught.value.cause == "oom_group"


def test_a_group_that_cannot_be_made_is_noted(host: Host) -> None:
    """Without memory.oom.group the load runs, watched by its guard."""
    host.process("0::/pod/container\n", V2_MOUNT)
    host.group("pod/container", cgroup__controllers="memory\n", cgroup__procs="1\n7\n", memory__max="5000000000\n")

    box = sandbox.build("x", 10**9, 4 * 10**9, str(host.procfs), str(host.sysfs))

    assert (box.group, box.limit, box.needed) == (None, 10**9, False)
    assert "not enforced by a cgroup" in box.notes[0]


@pytest.mark.parametrize(
    ("limit", "available", "expected"),
    [
        (10**9, 4 * 10**9, 10**9),
        (8 * 10**9, 4 * 10**9, 4 * 10**9 - headroom.RESERVE),
        (None, 4 * 10**9, 4 * 10**9 - headroom.RESERVE),
        (10**9, None, 10**9),
        (None, None, None),
    ],
)
def test_the_tighter_limit_holds(host: Host, limit: int | None, available: int | None, expected: int | None) -> None:
    """canary.memory_limit, or what can be had less the reserve."""
    assert sandbox.build("x", limit, available, str(host.procfs), str(host.sysfs)).limit == expected


def test_v2_counters_are_read(host: Host) -> None:
    """OOM kills of its processes, and whether it ran into its own limit."""
    folder = host.group(
        "canary", memory__events="low 0\nhigh 0\nmax 12\noom 3\noom_kill 1\n", memory__max="100\n", memory__peak="99\n"
    )
    group = CanaryCgroup(folder, 2, folder)

    assert group.oom_kills() == 1
    assert group.hit_limit()


def test_v2_limits_are_written(host: Host) -> None:
    """The limit, no swap, and one kill for the whole group."""
    folder = host.group("canary", memory__max="max", memory__swap__max="max", cgroup__kill="", cgroup__procs="")
    group = CanaryCgroup(folder, 2, folder)
    group.limit(123_456)
    group.kill()

    assert (folder / "memory.max").read_text().startswith("123456")
    assert (folder / "memory.swap.max").read_text().startswith("0")
    assert (folder / "cgroup.kill").read_text() == "1"


def test_a_group_without_the_controller_is_refused(host: Host) -> None:
    """No memory.max means that the controller was not handed down; no file is made up in its place."""
    folder = host.group("canary")
    with pytest.raises(FileNotFoundError):
        CanaryCgroup(folder, 2, folder).limit(1)

    assert list(folder.iterdir()) == []
