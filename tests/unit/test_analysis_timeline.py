"""The timeline: several sources in one order, folded and bounded."""

from datetime import UTC, datetime
from pathlib import Path

from model_load_exporter.analysis.analyze import Options
from model_load_exporter.analysis.timeline import LENGTH
from support.logs import told

SERVICE = """\
2026-01-31T10:00:01Z INFO loading file tokenizer.json
2026-01-31T10:00:05Z INFO Loading checkpoint shards:  50%
"""
CLIENT = "2026-01-31T10:00:20.500Z curl: (56) Recv failure: Connection reset by peer\n"
KILLED = "Memory cgroup out of memory: Killed process 50624 (python3) total-vm:1kB\n"


def test_the_load_the_kill_and_the_reset_stand_in_order(tmp_path: Path) -> None:
    """The load's last stage, then the kernel's OOM line, then the client's reset, whatever file they came from."""
    kernel = f"2026-01-31T10:00:20,000000+00:00 {KILLED}"
    entries = told(tmp_path, CLIENT, kernel, SERVICE).timeline
    assert [(entry.speaker, entry.what) for entry in entries] == [
        ("service", "stage tokenizer"),
        ("service", "stage weights"),
        ("kernel", "cause: cgroup_oom_killed"),
        ("client", "client"),
    ]
    assert [entry.time for entry in entries] == [
        "2026-01-31T10:00:01.000Z",
        "2026-01-31T10:00:05.000Z",
        "2026-01-31T10:00:20.000Z",
        "2026-01-31T10:00:20.500Z",
    ]


def test_seconds_since_boot_without_a_tie_stay_without_a_time(tmp_path: Path) -> None:
    """The kernel's line takes the place of its kind, before the complaint, and says that its time is not known."""
    entries = told(tmp_path, SERVICE, f"[15620.100100] {KILLED}", CLIENT).timeline
    assert [entry.speaker for entry in entries] == ["service", "service", "kernel", "client"]
    assert (entries[2].time, entries[2].clock) == (None, "[15620.100100] since boot")


def test_the_reader_is_told_of_the_missing_tie(tmp_path: Path) -> None:
    """A note says how to get the kernel's lines dated."""
    notes = told(tmp_path, SERVICE, f"[15620.100100] {KILLED}").missing
    assert any("--boot-time" in note for note in notes)


def test_a_boot_time_dates_the_kernels_lines(tmp_path: Path) -> None:
    """With --boot-time they get a time and their place by it."""
    boot = datetime(2026, 1, 31, 9, tzinfo=UTC).timestamp()
    early = told(tmp_path, SERVICE, f"[ 3603.500000] {KILLED}", options=Options(zone=UTC, boot=boot))
    assert [entry.speaker for entry in early.timeline] == ["service", "kernel", "service"]
    assert early.timeline[1].time == "2026-01-31T10:00:03.500Z"


def test_syslogs_stamp_beside_the_kernels_ties_other_kernel_lines(tmp_path: Path) -> None:
    """One line with both clocks dates a dmesg that has only seconds."""
    syslog = "Jan 31 10:00:00 h kernel: [ 3600.000000] oom_reaper: reaped process 1 (x), now anon-rss:0kB\n"
    entries = told(tmp_path, SERVICE, syslog, f"[ 3620.000000] {KILLED}").timeline
    assert "2026-01-31T10:00:20.000Z" in [entry.time for entry in entries if entry.speaker == "kernel"]


def test_ages_of_kubernetes_go_from_old_to_new(tmp_path: Path) -> None:
    """kubectl's ages have no date: the oldest first, and the age is told."""
    events = (
        "  Normal   Killing  41s  kubelet  Container x failed liveness probe, will be restarted\n"
        "  Warning  Unhealthy  61s (x3 over 81s)  kubelet  Liveness probe failed: EOF\n"
    )
    entries = told(tmp_path, events).timeline
    assert [entry.clock for entry in entries] == ["61s before the log was taken", "41s before the log was taken"]


def test_lines_without_times_keep_their_order(tmp_path: Path) -> None:
    """A source that tells no time stays as it is, and no time is made up."""
    entries = told(tmp_path, "loading file tokenizer.json\nLoading checkpoint shards: 5%\nKilled\n").timeline
    assert [entry.line for entry in entries] == [1, 2, 3]
    assert {entry.time for entry in entries} == {None}


def test_an_exception_has_the_time_of_its_tracebacks_head(tmp_path: Path) -> None:
    """The last line of a traceback has no stamp of its own."""
    text = (
        "2026-01-31T10:00:05Z ERROR load failed\n"
        "2026-01-31T10:00:06Z ERROR Traceback (most recent call last):\n"
        '  File "/app/main.py", line 1, in <module>\n'
        "ModuleNotFoundError: No module named 'x'\n"
    )
    assert told(tmp_path, text).time == "2026-01-31T10:00:06.000Z"


def test_local_times_are_shown_as_they_were_written(tmp_path: Path) -> None:
    """Where no line names a zone, none is made up."""
    text = "2026-01-31 10:00:05,250 ERROR ModuleNotFoundError: No module named 'x'\n"
    assert told(tmp_path, text).time == "2026-01-31T10:00:05.250"


def test_repeated_lines_are_folded_with_their_count(tmp_path: Path) -> None:
    """A client that tries a thousand times takes one line, with the first and the last time."""
    client = "".join(
        f"2026-01-31T10:{n // 60:02}:{n % 60:02}Z curl: (7) Failed to connect to localhost port 8000\n"
        for n in range(1000)
    )
    entries = told(tmp_path, client).timeline
    assert sum(entry.count for entry in entries) == 1000
    assert len(entries) <= 3
    assert entries[-1].until == "2026-01-31T10:16:39.000Z"


def test_a_timeline_is_bounded_and_keeps_the_cause(tmp_path: Path) -> None:
    """Hundreds of different lines leave the cause, and those that tell most."""
    noise = "".join(f"Jan 31 10:00:{n % 60:02} h systemd[1]: Started unit-{n} of many.\n" for n in range(500))
    stages = "".join(f"loading file tokenizer_{n}.json\nLoading checkpoint shards: {n}%\n" for n in range(200))
    entries = told(tmp_path, noise + stages + "ModuleNotFoundError: No module named 'x'\n" + noise).timeline
    assert len(entries) <= LENGTH
    assert [entry.what for entry in entries].count("cause: dependency_missing") == 1


def test_newest_first_logs_are_turned_round(tmp_path: Path) -> None:
    """Consoles give the newest line first; the timeline begins with the oldest."""
    text = "".join(
        f"2026-01-31T10:00:0{second}Z {what}\n"
        for second, what in (
            (9, "[ERROR] Worker (pid:16) was sent SIGKILL! Perhaps out of memory?"),
            (7, "Loading checkpoint shards:  50%"),
            (5, "loading file tokenizer.json"),
            (3, "Fetching 12 files"),
        )
    )
    analysis = told(tmp_path, text)
    assert [entry.line for entry in analysis.timeline] == [4, 3, 2, 1]
    assert analysis.stage == "weights"


def test_a_journal_of_the_spool_is_a_log_too(tmp_path: Path) -> None:
    """A load's journal tells its stages, and when the kernel's line fell."""
    journal = (
        '{"event":"begin","v":1,"id":"7d","time":1769853600.0,"monotonic":3600.0,"kind":"service","model":"m","pid":5}\n'
        '{"event":"stage_begin","time":1769853601.0,"monotonic":3601.0,"stage":"weights"}\n'
    )
    analysis = told(tmp_path, journal, f"[ 3620.000000] {KILLED}")
    assert analysis.stage == "weights"
    assert analysis.time == "2026-01-31T10:00:20.000Z"
