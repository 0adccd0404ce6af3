"""track_load on hosts where the witness has no place: the load never fails or waits on its account."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.recording import attempts

IMPORT = "import os, signal, sys\nfrom model_load_exporter import track_load, unloaded\n"


def run(spool: Path, code: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", IMPORT + code, *arguments], capture_output=True, text=True, timeout=30, check=False,
        env={**os.environ, "MODEL_LOAD_EXPORTER_SPOOL": str(spool), **environment},
    )  # fmt: skip


def test_a_host_without_a_spool_warns_once(tmp_path: Path) -> None:
    """One line in the life of the process; the loads say that nobody witnesses them. A spool that comes is used."""
    code = """
import logging
logging.basicConfig(format="%(name)s %(levelname)s %(message)s")
for _ in range(3):
    with track_load("nllb") as load:
        assert not load.witnessed
from model_load_exporter.journal.reader import create_spool
create_spool(os.environ["MODEL_LOAD_EXPORTER_SPOOL"])
with track_load("nllb") as load:
    assert load.witnessed
"""
    spool = tmp_path / "none"
    done = run(spool, code, HOME=str(tmp_path), XDG_STATE_HOME="")
    assert done.returncode == 0, done.stderr
    [warning] = done.stderr.splitlines()
    assert warning.startswith("model_load_exporter WARNING model loads of this process are not witnessed: ")
    assert str(spool) in warning
    assert [attempt.outcome for attempt in attempts(spool)] == ["loaded"]


@pytest.mark.parametrize(
    ("change", "witnessed"),
    [
        ("os.chdir(sys.argv[1]); os.rmdir(sys.argv[1])", True),
        ("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))", False),
        (
            "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); signal.signal(25, signal.SIG_IGN)",
            False,
        ),
        ("os.environ['MODEL_LOAD_EXPORTER_SPOOL'] = '/dev/null'", False),
        ("os.environb[b'MODEL_LOAD_EXPORTER_SPOOL'] = b'/\\xff'", False),
    ],
)
def test_whatever_is_wrong_with_the_process_the_load_goes_on(
    spool: Path, tmp_path: Path, change: str, witnessed: bool
) -> None:
    """Its folder gone, no descriptors left, no file may grow, a spool that is none: twice, the same load."""
    code = f"""
import model_load_exporter.classify.exceptions
{change}
for _ in range(2):
    with track_load("nllb", path="relative/path") as load, load.stage("weights"):
        assert load.witnessed is {witnessed}
        load.holds({{1}})
    try:
        with track_load("nllb", path="relative/path"):
            raise ValueError("the load's own")
    except ValueError as error:
        assert str(error) == "the load's own"
"""
    (tmp_path / "folder").mkdir()
    done = run(spool, code, str(tmp_path / "folder"), HOME=str(tmp_path), XDG_STATE_HOME="")
    assert done.returncode == 0, done.stderr
    assert len(attempts(spool)) == (4 if witnessed else 0)


def test_an_import_pulls_in_the_standard_library_alone() -> None:
    """A service installs it with --no-deps: import, a load, a failure and its classification, on a bare interpreter."""
    source = Path(sys.modules["model_load_exporter"].__file__ or "").parents[1]
    code = f"""
import sys
sys.path.insert(0, {str(source)!r})
before = set(sys.modules)
from model_load_exporter import track_load, unloaded
try:
    with track_load("nllb"):
        raise FileNotFoundError("x")
except FileNotFoundError:
    pass
with track_load("nllb"):
    pass
unloaded("nllb")
allowed = set(sys.stdlib_module_names) | {{"model_load_exporter"}}
print(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}} - allowed))
print(sorted(name for name in sys.modules if name.startswith("model_load_exporter")))
"""
    done = subprocess.run([sys.executable, "-S", "-E", "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    third_party, own = done.stdout.splitlines()
    assert third_party == "[]"
    for above in ("collectors", "web", "config", "ledger", "loads", "recorder", "witness"):
        assert f"model_load_exporter.{above}" not in own, "imports point down"


def test_a_spool_that_nobody_reads_stays_bounded(spool: Path) -> None:
    """Loads by the hundred: files up to the limit, then none; the service notices nothing but one warning."""
    (spool / "spool.json").write_text('{"format": 1, "max_files": 20, "max_bytes": 1000000}')
    done = run(spool, "for _ in range(200):\n    with track_load('nllb'):\n        pass\nunloaded('nllb')\n")
    assert done.returncode == 0
    assert len(list(spool.glob("*.jsonl"))) <= 20
    assert "is full and no daemon reads it" in done.stderr
    assert done.stderr.count("\n") == 1
