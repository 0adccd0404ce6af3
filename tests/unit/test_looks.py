"""Looks that another process makes: what comes back, what hangs, and what happens when that process dies."""

import contextlib
import errno
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_load_exporter.looks.answers import LOOKS, look_here
from model_load_exporter.looks.looker import Looker
from support.hung import children_of, state_of
from support.wait import until


@pytest.fixture
def looker() -> Iterator[Looker]:
    with contextlib.closing(Looker(seconds=20)) as looker:
        yield looker


def process() -> int:
    """The pid of the process that looks: the one child of this one that does."""
    (found,) = [
        pid for pid in children_of(os.getpid()) if b"looks.process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return found


def test_it_answers_as_a_look_from_here(looker: Looker, tmp_path: Path) -> None:
    """Values come back, and so do errors; one ask beside another."""
    (tmp_path / "link").symlink_to(tmp_path)
    config = tmp_path / "config.yml"
    config.write_text(f"models: [{{name: one, path: {tmp_path}/nowhere}}]")
    asks = [
        ("link", str(tmp_path / "link")), ("located", str(tmp_path)), ("located", "/nowhere"), ("wrong", "/nowhere"),
        ("predicted", str(tmp_path), "torch"), ("advice", str(config)), ("space", "/proc"),
    ]  # fmt: skip
    assert {what for what, *_ in asks} == set(LOOKS)
    for ask in asks:
        assert looker.ask(*ask) == look_here(*ask), ask


def test_a_look_that_fails_is_an_os_error(looker: Looker) -> None:
    """Whatever it raises, and the next look goes on."""
    with pytest.raises(OSError, match="null") as failed:
        looker.ask("link", "/a\0b")
    assert failed.value.errno == errno.EIO
    with pytest.raises(OSError, match="does not exist"):
        looker.ask("advice", "/nowhere.yml")
    assert looker.ask("link", "/") == "/"


def test_names_need_not_be_utf8(looker: Looker, tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    Path(path).mkdir()
    assert looker.ask("link", path) == path


def test_who_hangs_is_told_as_that_and_asked_once(looker: Looker) -> None:
    """A process that does not answer costs the first asker the limit, the next one nothing; late answers are let go."""
    assert looker.ask("link", "/") == "/"
    os.kill(process(), signal.SIGSTOP)
    with pytest.raises(TimeoutError, match="/usr does not answer"):
        looker.ask("link", "/usr", seconds=0.05)
    with pytest.raises(TimeoutError):
        looker.ask("link", "/usr", seconds=3600)
    os.kill(process(), signal.SIGCONT)
    until(lambda: _answers(looker, "/usr"), 10, "it answers again")


def _answers(looker: Looker, path: str) -> bool:
    with contextlib.suppress(TimeoutError):
        return bool(looker.ask("link", path) == path)
    return False


def test_a_process_that_dies_is_started_again(looker: Looker) -> None:
    """Who waits for it hears so at once."""
    assert looker.ask("link", "/") == "/"
    pid = process()
    os.kill(pid, signal.SIGSTOP)
    failed: list[int] = []
    waiting = [threading.Thread(target=_refused, args=(looker, path, failed)) for path in ("/", "/usr")]
    for thread in waiting:
        thread.start()
    until(lambda: len(looker._open) == 2, 10, "both wait")
    os.kill(pid, signal.SIGKILL)
    for thread in waiting:
        thread.join(10)
    assert failed == [errno.EIO, errno.EIO]

    def again() -> bool:
        with contextlib.suppress(OSError):
            return bool(looker.ask("link", "/") == "/")
        return False

    until(again, 10, "another process looks")
    assert process() != pid


def _refused(looker: Looker, path: str, failed: list[int]) -> None:
    try:
        looker.ask("link", path)
    except OSError as error:
        failed.append(error.errno or 0)


def test_closing_lets_everybody_go() -> None:
    """Nobody waits on, and no process is left."""
    looker = Looker(seconds=3600)
    assert looker.ask("link", "/") == "/"
    pid = process()
    os.kill(pid, signal.SIGSTOP)
    failed: list[int] = []
    waiting = threading.Thread(target=_refused, args=(looker, "/usr", failed))
    waiting.start()
    until(lambda: looker._open, 10, "it waits")
    looker.close()
    waiting.join(10)
    assert failed == [errno.ECANCELED]
    until(lambda: state_of(pid) in ("", "Z"), 10, "the process is gone")
    with pytest.raises(OSError, match="has ended"):
        looker.ask("link", "/")


def test_the_process_ends_with_its_asker(looker: Looker) -> None:
    """Its input ends with us, and it ends with its input."""
    looker.ask("link", "/")
    pid = process()
    assert looker._process is not None
    assert looker._process.stdin is not None
    looker._process.stdin.close()
    until(lambda: state_of(pid) in ("", "Z"), 10, "the process is gone")
