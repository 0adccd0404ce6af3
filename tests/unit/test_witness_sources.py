"""What the witness reads of a host: cgroups and locks on fixture trees, processes for real."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model_load_exporter.witness.cgroup import MemoryCgroup, memory_cgroup
from model_load_exporter.witness.exit_status import Process, age_of, supported
from model_load_exporter.witness.locks import lock_owner
from model_load_exporter.witness.progress import sample
from support.wait import until

V1_UNLIMITED = "9223372036854771712"


def host(tmp_path: Path, cgroup: str, files: dict[str, str]) -> tuple[str, str]:
    """(procfs, sysfs) of a host where process 7 is in `cgroup` and the cgroup file system has these files."""
    proc = tmp_path / "proc" / "7"
    proc.mkdir(parents=True)
    (proc / "cgroup").write_text(cgroup)
    for name, text in files.items():
        path = tmp_path / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(tmp_path / "proc"), str(tmp_path / "sys")


def test_a_cgroup_v2_counts_its_own_kills(tmp_path: Path) -> None:
    """memory.events.local, not the sum of all below; a limit of its own."""
    proc, sys_ = host(
        tmp_path,
        "0::/kubepods/pod1/app\n",
        {
            "kubepods/pod1/app/memory.events": "oom 9\noom_kill 9\n",
            "kubepods/pod1/app/memory.events.local": "low 0\noom 2\noom_kill 2\noom_group_kill 1\n",
            "kubepods/pod1/app/memory.max": "1073741824\n",
        },
    )
    group = memory_cgroup(7, proc, sys_)
    assert group is not None
    assert (group.v2, group.oom_kills(), group.limited()) == (True, 2, True)


def test_a_cgroup_v1_is_told_by_its_controller(tmp_path: Path) -> None:
    """The memory hierarchy's own path, beside others; oom_control; `no limit` is a very large number."""
    proc, sys_ = host(
        tmp_path,
        "12:cpu,cpuacct:/x\n11:memory:/docker/abc\n1:name=systemd:/y\n0::/z\n",
        {
            "memory/docker/abc/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
            "memory/docker/abc/memory.limit_in_bytes": V1_UNLIMITED,
        },
    )
    group = memory_cgroup(7, proc, sys_)
    assert group is not None
    assert (group.v2, group.oom_kills(), group.limited()) == (False, 3, False)
    (Path(group.folder) / "memory.limit_in_bytes").write_text("1000000\n")
    assert group.limited()


def test_the_unified_hierarchy_of_a_hybrid_host_is_found(tmp_path: Path) -> None:
    """cgroup2 below unified/; the root cgroup too."""
    proc, sys_ = host(tmp_path, "0::/app\n", {"unified/app/memory.max": "max\n"})
    group = memory_cgroup(7, proc, sys_)
    assert group is not None
    assert group.folder.endswith("/fs/cgroup/unified/app")
    assert (group.oom_kills(), group.limited()) == (None, False)


@pytest.mark.parametrize("name", [b"\x80", b"a\rb", b"\xe2\x80\xa8"])
def test_a_cgroup_may_have_any_bytes_in_its_name(tmp_path: Path, name: bytes) -> None:
    """Who may make cgroups names them: no UTF-8, and what Python takes for the end of a line."""
    proc, sys_ = host(tmp_path, "", {})
    (tmp_path / "proc/7/cgroup").write_bytes(b"0::/" + name + b"\n")
    os.makedirs(os.fsencode(tmp_path) + b"/sys/fs/cgroup/" + name)
    group = memory_cgroup(7, proc, sys_)
    assert group is not None
    assert os.fsencode(group.path) == b"/" + name
    assert group.oom_kills() is None


@pytest.mark.parametrize("cgroup", ["", "garbage\n", "0::/gone\n", "11:memory:/gone\n"])
def test_a_cgroup_that_cannot_be_told_is_none(tmp_path: Path, cgroup: str) -> None:
    """Another mount namespace, no cgroup file system, no process."""
    proc, sys_ = host(tmp_path, cgroup, {})
    assert memory_cgroup(7, proc, sys_) is None
    assert memory_cgroup(8, proc, sys_) is None


def test_odd_cgroup_files_are_survived(tmp_path: Path) -> None:
    """Text where a number should be: not known."""
    for name in ("memory.events.local", "memory.max", "memory.oom_control", "memory.limit_in_bytes"):
        (tmp_path / name).write_text("oom_kill many\n")
    for v2 in (True, False):
        group = MemoryCgroup(str(tmp_path), v2)
        assert (group.oom_kills(), group.limited()) == (None, False)


LOCKS = """1: POSIX  ADVISORY  WRITE 100 fe:00:7 0 EOF
2: FLOCK  ADVISORY  WRITE 200 fe:00:70 0 EOF
2: -> FLOCK  ADVISORY  WRITE 999 fe:00:7 0 EOF
3: FLOCK  ADVISORY  WRITE 300 fe:00:7 0 EOF
4: FLOCK  ADVISORY  WRITE 0 fe:00:8 0 EOF
5: OFDLCK ADVISORY  WRITE -1 fe:00:9 0 EOF
"""


def test_the_owner_of_a_lock_is_told_by_its_inode(tmp_path: Path) -> None:
    """flock alone, not those who wait for it; 0 is a process of another pid namespace."""
    (tmp_path / "locks").write_text(LOCKS)
    device = os.makedev(0xFE, 0)
    assert lock_owner(device, 7, str(tmp_path)) == 300
    assert lock_owner(device, 8, str(tmp_path)) is None
    assert lock_owner(device, 9, str(tmp_path)) is None
    assert lock_owner(os.makedev(0xFE, 1), 7, str(tmp_path)) is None
    with pytest.raises(FileNotFoundError):
        lock_owner(device, 7, str(tmp_path / "no"))


def test_the_owner_of_a_real_lock_is_this_process(tmp_path: Path) -> None:
    """As /proc/locks of this kernel writes device and inode."""
    with (tmp_path / "file").open("w") as file:
        status = os.fstat(file.fileno())
        assert lock_owner(status.st_dev, status.st_ino, "/proc") is None
        fcntl.flock(file, fcntl.LOCK_EX)
        assert lock_owner(status.st_dev, status.st_ino, "/proc") == os.getpid()


def test_progress_is_seen_from_outside() -> None:
    """A process that works changes what is seen of it, one that sleeps does not; one that is gone is None."""
    code = "import sys; print(flush=True); sys.stdin.read(1); sum(range(10**6)); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        # Its last page faults before it sleeps may still be under way.
        until(lambda: sample(process.pid, "/proc") == sample(process.pid, "/proc"), 5, "it sleeps")
        before = sample(process.pid, "/proc")
        assert before is not None
        assert (before.rss or 0) > (before.anonymous or 0) > 0
        process.stdin.write(b"x")
        process.stdin.flush()
        process.stdout.readline()
        after = sample(process.pid, "/proc")
        assert after is not None
        assert after.work != before.work
        process.stdin.close()
        process.wait()
    assert sample(process.pid, "/proc") is None


def test_the_age_of_a_process_is_known() -> None:
    """This one is older than a child that begins now; one that is gone has none."""
    with subprocess.Popen(["sleep", "30"]) as child:
        young, old = age_of(child.pid, "/proc"), age_of(os.getpid(), "/proc")
        child.kill()
    assert young is not None
    assert old is not None
    assert 0 <= young < 5
    assert old >= young
    assert age_of(child.pid, "/proc") is None


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import os; os._exit(3)", (3, None)),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", (None, 9)),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", (None, 11)),
    ],
)
def test_the_exit_status_of_anothers_child_is_told(code: str, expected: tuple[int | None, int | None]) -> None:
    """Not while it lives; once its parent has reaped it, to whoever held it by pidfd."""
    if not supported():
        pytest.skip("this kernel does not tell the exit status of another's child")
    quiet = "import resource, sys; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); sys.stdin.read();"
    with subprocess.Popen([sys.executable, "-c", quiet + code], stdin=subprocess.PIPE) as child:
        process = Process(child.pid)
        assert process.alive()
        assert process.exit_status() is None
    assert not process.alive()
    status = process.exit_status()
    assert status is not None
    assert (status.code, status.signal) == expected
    process.close()
    process.close()


@pytest.mark.root
def test_a_zombie_tells_its_status_too() -> None:
    """Where the parent does not reap, root reads it from /proc."""
    with subprocess.Popen(["sleep", "30"]) as child:
        process = Process(child.pid)
        child.send_signal(signal.SIGTERM)
        until(lambda: not process.alive(), 5, "it has ended")
        status = process.zombie_status("/proc")
        assert status is not None
        assert (status.signal, status.source) == (15, "zombie")
        child.wait()
        assert process.zombie_status("/proc") is None
        process.close()


def test_a_process_that_is_gone_cannot_be_held() -> None:
    """OSError, which the witness takes for `not known`."""
    with subprocess.Popen(["true"]) as child:
        pass
    with pytest.raises(OSError, match="No such process"):
        Process(child.pid)
