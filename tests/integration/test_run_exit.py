"""`run -- CMD`: how it ends, and what it hands on, is the service's own."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from support.daemon import COMMAND
from support.supervised import children, run, run_command, state, supervised
from support.wait import until


@pytest.mark.parametrize("status", [0, 1, 7, 125, 255])
def test_the_exit_status_is_the_services(status: int) -> None:
    assert run("sh", "-c", f"exit {status}").returncode == status


@pytest.mark.parametrize("name", ["SEGV", "KILL", "TERM", "ABRT", "PIPE", "INT"])
def test_a_signal_that_ends_the_service_ends_the_supervisor(name: str) -> None:
    """Whoever started it learns the signal, not a status that looks like one."""
    assert run("sh", "-c", f"kill -{name} $$").returncode == -signal.Signals[f"SIG{name}"]


def test_a_shell_reports_what_it_would_have() -> None:
    script = f"{COMMAND} run -- false; echo $?; {COMMAND} run -- sh -c 'kill -SEGV $$'; echo $?"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.splitlines() == ["1", "139"]
    assert "Segmentation fault" in done.stderr


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        (["no-such-command"], 127, "model-load-exporter: no-such-command: No such file or directory"),
        (["/etc/passwd"], 126, "model-load-exporter: /etc/passwd: Permission denied"),
        (["/"], 126, "model-load-exporter: /: Permission denied"),
    ],
)
def test_a_command_that_cannot_be_run(command: list[str], status: int, message: str) -> None:
    """As env(1) has it, whose own status is the measure."""
    done = run(*command)
    assert (done.returncode, done.stderr.splitlines(), done.stdout) == (status, [message], "")
    assert subprocess.run(["env", *command], capture_output=True, check=False).returncode == status


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to run"),
        (["--"], "say what to run"),
        (["--no-such-flag", "--", "true"], "unrecognized arguments"),
        (["--model", "m", "--", "true"], "--model needs one of"),
        (["--ready-url", "http://x/", "--", "true"], "need --model"),
        (["--model", "m", "--ready-url", "x", "--", "true"], "no http:// or https:// address"),
        (["--model", "m", "--ready-log", "(", "--", "true"], "--ready-log: missing )"),
        (["--model", "m", "--ready-log", "x", "--ready-timeout", "soon", "--", "true"], "--ready-timeout: "),
    ],
)
def test_its_own_mistakes_are_125(arguments: list[str], message: str) -> None:
    """One clear line, and nothing is started."""
    done = subprocess.run([str(COMMAND), "run", *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 125
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_script_without_a_first_line_is_the_shells(tmp_path: Path) -> None:
    script = tmp_path / "serve"
    script.write_text('echo "$0 $1"; exit 4\n')
    script.chmod(0o755)
    done = run(str(script), "one")
    assert (done.returncode, done.stdout) == (4, f"{script} one\n")


def test_the_service_gets_what_it_would_without(tmp_path: Path) -> None:
    """Signal dispositions and mask, descriptors, standard input, the process group: nothing of the supervisor's."""
    code = "ls /proc/self/fd; ps -o pgid= -p $$; exec grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status"

    def seen(command: list[str]) -> list[str]:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN),
        ) as process:  # fmt: skip
            lines = process.communicate(timeout=30)[0].splitlines()
        return ["own group" if line.strip() == str(process.pid) else line for line in lines]

    without = seen(["sh", "-c", code])
    assert seen(run_command("sh", "-c", code)) == without
    assert "own group" in without


TELLS = """
import os, signal, sys, time
got = []
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
    signal.signal(number, lambda number, _: print("got", int(number), flush=True))
print("up", flush=True)
while True:
    signal.pause()
"""


def test_every_signal_is_handed_on(tmp_path: Path) -> None:
    """Each of them once: the real-time ones, SIGWINCH, SIGTSTP and SIGCONT too."""
    with supervised(tmp_path, sys.executable, "-c", TELLS) as service:
        service.says("up")
        sent = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD})
        for number in sent:
            os.kill(service.pid, number)
            service.says(f"got {int(number)}\n")
        # One more, after which nothing else can come: each of the others has been handed on by then.
        os.kill(service.pid, signal.SIGUSR1)
        service.says(f"got {int(signal.SIGUSR1)}\n", times=2)
        got = [line for line in service.output().splitlines() if line.startswith("got")]
        assert sorted(got) == sorted([*(f"got {int(number)}" for number in sent), f"got {int(signal.SIGUSR1)}"])
        os.kill(service.service(), signal.SIGKILL)
        assert service.process.wait(10) == -signal.SIGKILL


def test_sigkill_means_the_service(tmp_path: Path) -> None:
    """Nobody can hand it on; the kernel ends the service with its supervisor."""
    with supervised(tmp_path, "sleep", "600") as service:
        child = service.service()
        assert service.end(signal.SIGKILL) == -signal.SIGKILL
        until(lambda: state(child) in ("", "Z"), 10, "the service is gone too")


def test_a_service_that_takes_its_time_to_end(tmp_path: Path) -> None:
    """SIGTERM is handed on, and the supervisor waits for as long as the service takes."""
    code = "import signal, sys\nsignal.signal(15, lambda *_: sys.exit(42))\nprint('up', flush=True)\nsignal.pause()"
    with supervised(tmp_path, sys.executable, "-c", code) as service:
        service.says("up")
        assert service.end() == 42


def test_idle_costs_nothing(tmp_path: Path) -> None:
    """It sleeps in one system call: no CPU time and no switch passes. Its memory is a bare Python's."""
    with supervised(tmp_path, "sleep", "600") as service:
        service.service()
        wait = Path(f"/proc/{service.pid}/wchan")
        until(lambda: "sigtimedwait" in wait.read_text(), 10, "it sleeps for good")

        def used() -> tuple[str, list[str]]:
            status = Path(f"/proc/{service.pid}/status").read_text().splitlines()
            cpu = Path(f"/proc/{service.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            return str(cpu), [line for line in status if line.startswith("voluntary")]

        before = used()
        time.sleep(1.0)  # the time that is measured
        assert used() == before
        assert len(os.listdir(f"/proc/{service.pid}/task")) == 1
        bare = subprocess.run(
            [sys.executable, "-I", "-S", "-c", "print(open('/proc/self/statm').read())"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        page = os.sysconf("SC_PAGE_SIZE")
        pages = int(Path(f"/proc/{service.pid}/statm").read_text().split()[1]) - int(bare.stdout.split()[1])
        assert pages * page < 3e6, f"{pages * page} bytes more than python -I -S"


def test_orphans_are_not_waited_for_and_no_zombie_stays(tmp_path: Path) -> None:
    """What the service leaves behind is no child of the supervisor's; what it does not reap is gone with it."""
    code = "sleep 600 & echo $!; exec sh -c 'echo up; read x </dev/tty 2>/dev/null; exec sleep 600'"
    with supervised(tmp_path, "sh", "-c", code) as service:
        service.says("up")
        assert children(service.pid) == [service.service()]
        orphan = int(service.output().split()[0])
        try:
            assert service.end() == -signal.SIGTERM
            assert state(orphan) in ("S", "R"), "it goes on, as it would without a supervisor"
        finally:
            os.kill(orphan, signal.SIGKILL)


UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@pytest.mark.root
@pytest.mark.parametrize(("end", "status"), [("exit 5", 5), ("kill -TERM $$", 143), ("kill -SEGV $$", 139)])
def test_as_the_first_process_of_a_container(tmp_path: Path, end: str, status: int) -> None:
    """The kernel lets no signal of its own end PID 1: 128+signal then."""
    with supervised(tmp_path, "sh", "-c", end, wrapper=UNSHARE) as container:
        assert container.process.wait(30) == status


@pytest.mark.root
def test_as_the_first_process_it_reaps_orphans_and_hands_on(tmp_path: Path) -> None:
    """Orphans fall to PID 1: none stays a zombie. SIGTERM, which PID 1 would not even get, ends the service."""
    code = textwrap.dedent("""
        trap 'echo bye; exit 9' TERM
        for i in 1 2 3 4 5; do (sh -c 'sleep 0.1 & exit' &) ; done
        echo up
        while :; do sleep 0.05; done
    """)
    with supervised(tmp_path, "bash", "-c", code, wrapper=UNSHARE) as container:
        container.says("up")
        first = until(lambda: children(container.pid), 10, "PID 1 runs")[0]
        service = until(lambda: children(first), 10, "the service runs")[0]
        until(lambda: children(first) == [service], 10, lambda: f"orphans are reaped: {children(first)}")
        os.kill(first, signal.SIGTERM)
        assert container.process.wait(20) == 9
        assert "bye" in container.output()
