"""child.py as a file: it must run where nothing of ours is installed."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model_load_exporter.canary import child
from model_load_exporter.classify.chain import describe, links_from_json
from model_load_exporter.journal.format import decode
from model_load_exporter.journal.line import MAX_LINE

SOURCE = Path(child.__file__).read_text()


def test_the_syntax_is_of_python_3_8() -> None:
    """The services' interpreters may be that old."""
    ast.parse(SOURCE, feature_version=child.OLDEST_PYTHON)


def test_only_the_standard_library_is_imported() -> None:
    """Neither this package nor anything that a service may lack, at import time."""
    imports = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(SOURCE))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }

    assert {name.partition(".")[0] for name in imports} <= sys.stdlib_module_names


def test_a_chain_is_told_as_the_classifier_reads_it() -> None:
    """Cause before context, nothing suppressed, errno, file and module kept."""
    try:
        try:
            try:
                raise FileNotFoundError(2, "No such file or directory", "/models/x")
            except OSError as error:
                raise ModuleNotFoundError("No module named 'torch'", name="torch") from error
        except ImportError:
            raise ValueError("outermost")  # noqa: B904 - the context is what is tested
    except ValueError as error:
        told, known = links_from_json(json.loads(json.dumps(child.chain_of(error)))), describe(error)
    assert told == known
    assert [link.type.rpartition(".")[2] for link in told] == ["ValueError", "ModuleNotFoundError", "FileNotFoundError"]
    assert (told[1].module, told[2].errno, told[2].filename) == ("torch", 2, "/models/x")


def test_a_hostile_exception_is_told_nevertheless() -> None:
    """Its __str__ may raise; a message may be endless; a chain may be a circle."""

    class HostileError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    first, second = HostileError(), ValueError("x" * 100_000)
    first.__cause__, second.__cause__ = second, first

    chain = child.chain_of(first)

    assert [len(link["text"]) < 3000 for link in chain] == [True, True]


def test_every_journal_line_fits(tmp_path: Path) -> None:
    """A message beyond a line's limit is cut, never the line torn."""
    journal = child.Journal({"spool": str(tmp_path), "id": "abc", "model": "m"})
    journal.write({"event": "end", "outcome": "failed", "message": "é" * 5000})
    journal.close()

    lines = (tmp_path / "abc.jsonl").read_bytes().splitlines(keepends=True)

    assert [len(line) <= MAX_LINE for line in lines] == [True, True]
    assert [type(decode(line)).__name__ for line in lines] == ["Begin", "End"]


def test_an_existing_journal_is_never_overwritten(tmp_path: Path) -> None:
    """A second writer with the same id leaves no journal and says so."""
    first = child.Journal({"spool": str(tmp_path), "id": "abc", "model": "m"})
    (tmp_path / ".abc.tmp").touch()
    second = child.Journal({"spool": str(tmp_path), "id": "abc", "model": "m"})
    first.close()

    assert second.fd == -1
    assert "journal not written" in second.notes[0]


@pytest.mark.parametrize("parent", [1])
def test_a_child_whose_parent_is_gone_does_not_load(tmp_path: Path, parent: int) -> None:
    """The daemon died between fork and prctl: nobody would end the load."""
    reader, writer = os.pipe()
    spec = {"id": "abc", "model": "m", "report_fd": writer, "parent": parent, "spool": str(tmp_path)}
    subprocess.run([sys.executable, "-I", child.__file__, json.dumps(spec)], pass_fds=(writer,), check=True)
    os.close(writer)
    with open(reader) as pipe:
        events = [json.loads(line)["event"] for line in pipe]

    assert events == ["contained"]
    assert list(tmp_path.iterdir()) == []


def test_without_its_cgroup_a_child_that_needs_one_refuses() -> None:
    """memory.oom.group is 1 above: loading outside of the group could end the daemon."""
    reader, writer = os.pipe()
    spec = {
        "id": "abc",
        "model": "m",
        "report_fd": writer,
        "parent": os.getpid(),
        "cgroups": ["/nonexistent/cgroup.procs"],
        "need_cgroup": True,
    }
    subprocess.run([sys.executable, "-I", child.__file__, json.dumps(spec)], pass_fds=(writer,), check=True)
    os.close(writer)
    with open(reader) as pipe:
        (event,) = [json.loads(line) for line in pipe]

    assert "/nonexistent/cgroup.procs" in event["refused"]
