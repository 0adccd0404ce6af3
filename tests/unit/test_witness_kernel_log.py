"""The kernel log: only the kernel's own records count, each once, over restarts and boots."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_load_exporter.witness import kernel_log
from model_load_exporter.witness.kernel_log import Cursor, KernelLog, Span

BOOT = "0f0e0d0c-0b0a-0908-0706-050403020100"


class Kmsg:
    """Stands for /dev/kmsg: a socket that keeps records apart as the device does, one a read."""

    def __init__(self) -> None:
        self.writer, self._reader = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._reader.setblocking(False)

    def open(self, boot: str = BOOT, cursor: Cursor | None = None) -> KernelLog:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("model_load_exporter.witness.kernel_log.os.open", lambda *_: os.dup(self._reader.fileno()))
            return KernelLog("/dev/kmsg", boot, cursor)

    def say(self, sequence: int, text: str, priority: int = 4, seconds: float = 100.0) -> None:
        self.writer.send(f"{priority},{sequence},{int(seconds * 1e6)},-;{text}\n SUBSYSTEM=x\n".encode())

    def close(self) -> None:
        self.writer.close()
        self._reader.close()


@pytest.fixture
def kmsg() -> Iterator[Kmsg]:
    made = Kmsg()
    yield made
    made.close()


@pytest.fixture
def log(kmsg: Kmsg) -> Iterator[KernelLog]:
    opened = kmsg.open()
    yield opened
    opened.close()


CGROUP = "Memory cgroup out of memory: Killed process 42 (python3) total-vm:9kB, anon-rss:8kB, UID:0 oom_score_adj:0"
HOST = "Out of memory: Killed process 43 (python3) total-vm:9kB"
HOST_ASKED = "Out of memory (oom_kill_allocating_task): Killed process 44 (python3) total-vm:9kB"


def test_oom_kills_are_counted_by_scope_and_found_by_pid(kmsg: Kmsg, log: KernelLog) -> None:
    """Both wordings of the kernel; `oom-kill:` lines are rate-limited and do not count."""
    kmsg.say(1, "oom-kill:constraint=CONSTRAINT_MEMCG,task=python3,pid=42,uid=0")
    kmsg.say(2, CGROUP)
    kmsg.say(3, HOST)
    kmsg.say(4, HOST_ASKED)
    assert log.read() == {"host": 2, "cgroup": 1}
    assert log.read() == {"host": 0, "cgroup": 0}
    kill = log.oom_kill(42, Span(-1, 0.0))
    assert kill is not None
    assert (kill.scope, kill.sequence, kill.text) == ("cgroup", 2, CGROUP)
    assert log.oom_kill(99, Span(-1, 0.0)) is None


def test_the_victims_cgroup_is_told_by_the_line_before(kmsg: Kmsg, log: KernelLog) -> None:
    """Of that pid alone; without that line, which is rate-limited, the cgroup is not known."""
    line = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),oom_memcg=/a,task_memcg=/a/b,task=python3,pid=42,uid=0"
    kmsg.say(1, line)
    kmsg.say(2, CGROUP)
    kmsg.say(3, HOST)
    log.read()
    assert [(kill.pid, kill.cgroup) for kill in log.oom_kills(Span(-1, 0.0))] == [(42, "/a/b"), (43, "")]
    assert [kill.pid for kill in log.oom_kills(Span(2, 0.0))] == [43]


def test_records_that_users_wrote_do_not_count(kmsg: Kmsg, log: KernelLog) -> None:
    """Anybody who may open the device can write the text; not with the kernel's facility."""
    kmsg.say(1, CGROUP, priority=(1 << 3) | 4)
    kmsg.say(2, HOST, priority=12)
    assert log.read() == {"host": 0, "cgroup": 0}
    assert log.oom_kill(42, Span(-1, 0.0)) is None


def test_a_kill_before_the_process_was_seen_is_another_process(kmsg: Kmsg, log: KernelLog) -> None:
    """Pids come again: by the record's number for one that was seen alive, by its time for one that was not."""
    kmsg.say(5, CGROUP, seconds=100.0)
    log.read()
    assert log.oom_kill(42, Span(5, 0.0)) is None
    assert log.oom_kill(42, Span(4, 0.0)) is not None
    assert log.oom_kill(42, Span(-1, 100.5)) is None
    kmsg.say(6, CGROUP, seconds=200.0)
    log.read()
    last = log.oom_kill(42, Span(-1, 0.0))
    assert last is not None
    assert last.sequence == 6, "the last one"


def test_a_record_after_the_death_is_another_process(kmsg: Kmsg, log: KernelLog) -> None:
    """The pid was given again, to one that was killed or faulted too."""
    kmsg.say(5, CGROUP)
    kmsg.say(6, "python3[42]: segfault at 0 ip 0 sp 0 error 4")
    log.read()
    assert log.oom_kill(42, Span(until=4)) is None
    assert log.oom_kill(42, Span(until=5)) is not None
    assert log.oom_kills(Span(until=4)) == []
    assert log.fault({42}, Span(until=5)) is None
    assert log.fault({42}, Span(until=6)) is not None


def test_a_restart_counts_no_kill_twice(kmsg: Kmsg) -> None:
    """From the cursor of the ledger on; the kills before it are still evidence. Another boot begins anew."""
    log = kmsg.open(BOOT, Cursor(BOOT, 2))
    for sequence in (1, 2, 3):
        kmsg.say(sequence, CGROUP)
    assert log.read() == {"host": 0, "cgroup": 1}
    assert log.cursor == Cursor(BOOT, 3)
    assert log.oom_kill(42, Span(-1, 0.0)) is not None
    log.close()
    rebooted = kmsg.open("another-boot", Cursor(BOOT, 900))
    kmsg.say(1, HOST)
    assert rebooted.read() == {"host": 1, "cgroup": 0}
    rebooted.close()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("python3[77]: segfault at 0 ip 00007f sp 00007f error 4 in libc.so.6[7f+1]", "segfault"),
        ("python3 (deleted)[77]: segfault at 10 ip 0 sp 0 error 4", "segfault"),
        ("traps: python3[77] trap invalid opcode ip:7f sp:7f error:0 in _C.so[7f+1]", "illegal_instruction"),
        ("traps: python3[77] trap divide error ip:7f sp:7f error:0", "other"),
        ("traps: python3[77] general protection fault ip:7f sp:7f error:0", None),
        ("usb 1-1: new device found", None),
    ],
)
def test_faults_are_found_by_thread(kmsg: Kmsg, log: KernelLog, text: str, kind: str | None) -> None:
    """The kernel names the thread that faulted."""
    kmsg.say(1, text, priority=6)
    log.read()
    fault = log.fault({5, 77}, Span(-1, 0.0))
    assert (fault.kind if fault else None) == kind


def test_odd_records_are_passed_over(kmsg: Kmsg, log: KernelLog) -> None:
    """Cut, empty of fields, not UTF-8, with control characters: the next one counts."""
    for bad in (b"x", b"a,b,c;text", b"4,1;text", b";", b"\xff\xfe,1,1,-;\xff", b",,,;"):
        kmsg.writer.send(bad)
    kmsg.say(7, CGROUP)
    assert log.read() == {"host": 0, "cgroup": 1}
    assert log.oom_kill(42, Span(-1, 0.0)) is not None


def test_memory_is_bounded_over_thousands_of_kills(kmsg: Kmsg, log: KernelLog) -> None:
    """An OOM loop of a host costs a fixed number of records; each is counted."""
    total = 0
    for sequence in range(3000):
        kmsg.say(sequence, CGROUP)
        total += log.read()["cgroup"]
    assert total == 3000
    assert len(log._oom_kills) == kernel_log.KEPT


@pytest.mark.root
def test_the_real_log_can_be_read(tmp_path: Path) -> None:
    """On this host's own device: the sequence goes up, and a log that is not there is an OSError."""
    if not os.path.exists("/dev/kmsg"):
        pytest.skip("this host has no /dev/kmsg")
    with pytest.raises(FileNotFoundError):
        KernelLog(str(tmp_path / "kmsg"), BOOT, None)
    log = KernelLog("/dev/kmsg", BOOT, None)
    log.read()
    assert log.sequence >= 0
    log.close()
