"""The doctor: real interpreters with packages that do not fit, and what each finding tells to do."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from model_load_exporter import cli
from model_load_exporter.collectors.environment import EnvironmentCollector, interpreters
from model_load_exporter.config import Canary, Config, Model, Service
from model_load_exporter.doctor import compatibility, disk, limits, memory, rights
from model_load_exporter.doctor.examination import examine
from model_load_exporter.doctor.finding import SEVERITIES, Finding
from model_load_exporter.doctor.inspection import InspectionError, Interpreter, Package, inspect
from model_load_exporter.doctor.known_pairs import PAIRS
from model_load_exporter.doctor.memory import Need
from model_load_exporter.doctor.report import markdown, text

Install = Callable[..., None]


class Environment:
    """A virtual environment in which packages are claimed, not installed: their metadata is all that is read."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        self.python = str(folder / "bin/python")
        [self.packages] = folder.glob("lib/python*/site-packages")

    def install(self, name: str, version: str, *requires: str, python: str = "") -> None:
        folder = self.packages / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
        lines += [f"Requires-Python: {python}"] if python else []
        lines += [f"Requires-Dist: {one}" for one in requires]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")

    def findings(self) -> list[Finding]:
        return compatibility.check(inspect(self.python))


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "venv")


def bad(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(one.severity, one.what) for one in findings if one.severity != "fine"]


def test_packages_that_fit(environment: Environment) -> None:
    """One line that names them."""
    environment.install("torch", "2.13.0+cpu", "numpy>=1.26; extra == 'opt'")
    environment.install("transformers", "5.23.0", "tokenizers<=0.24,>=0.22", "safetensors>=0.4", python=">=3.8")
    environment.install("tokenizers", "0.23.3")
    environment.install("safetensors", "0.8.0")
    [finding] = environment.findings()
    assert finding.severity == "fine"
    assert "torch 2.13.0+cpu, transformers 5.23.0" in finding.what


def test_a_version_that_is_not_asked_for(environment: Environment) -> None:
    """By the package's own requirement; the fix is a command for that interpreter."""
    environment.install("transformers", "5.23.0", "tokenizers<=0.24,>=0.22")
    environment.install("tokenizers", "0.19.1")
    [finding] = environment.findings()
    assert bad([finding]) == [
        ("problem", "transformers 5.23.0 requires tokenizers<=0.24,>=0.22; installed is 0.19.1")
    ]  # fmt: skip
    assert finding.fix == f"{environment.python} -m pip install 'tokenizers<=0.24,>=0.22'"
    assert compatibility.incompatible([finding]) == {"transformers"}


def test_a_requirement_that_is_not_there(environment: Environment) -> None:
    """One whose marker is not met is none; an extra that nobody has is none."""
    environment.install(
        "transformers", "5.23.0", "safetensors>=0.4", "nothing>=1; sys_platform == 'win32'",
        "nothing>=1; python_version < '3.8'", "accelerate>=1.1; extra == 'torch'", "what is this",
    )  # fmt: skip
    assert bad(environment.findings()) == [
        ("problem", "transformers 5.23.0 requires safetensors>=0.4, which is not installed")
    ]  # fmt: skip


def test_an_extra_still_says_which_versions_work(environment: Environment) -> None:
    """accelerate is installed, for transformers' extra it is too old: a warning."""
    environment.install("transformers", "5.23.0", "accelerate>=1.1; extra == 'torch'")
    environment.install("accelerate", "0.20.0")
    assert bad(environment.findings()) == [
        ("warning", "transformers 5.23.0 requires accelerate>=1.1 (for its extra torch); installed is 0.20.0")
    ]  # fmt: skip


def test_a_package_for_another_python(environment: Environment) -> None:
    """By Requires-Python, which pip checks at its own time only."""
    environment.install("torch", "1.4.0", python="<3.9")
    environment.install("safetensors", "0.8.0")
    assert [what for severity, what in bad(environment.findings()) if severity == "problem"] == [
        f"torch 1.4.0 requires Python <3.9; this is {inspect(environment.python).python}"
    ]  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.first[0]}-{pair.second[0]}")
def test_each_known_pair_is_found(environment: Environment, pair: object) -> None:
    """With versions that it is about; with its source; not where one side is another."""
    assert pair in PAIRS
    row = next(one for one in PAIRS if one == pair)
    versions = {
        "<2.3": "2.2.2", ">=2": "2.1.0", ">=4.52": "4.52.3", "<2.6": "2.5.1", "<5": "4.49.0", ">=3": "3.8.0",
    }  # fmt: skip
    for name, specifier in (row.first, row.second):
        if specifier is not None:
            environment.install(name, versions[specifier])
    if row.second[0] != "safetensors":
        environment.install("safetensors", "0.8.0")
    found = [one for one in environment.findings() if row.what in one.what]
    assert [(one.severity, one.why) for one in found] == [(row.severity, f"known: {row.source}")]
    if row.unless:
        environment.install(row.unless, "2.18.0")
        assert [one for one in environment.findings() if row.what in one.what] == []


def test_an_interpreter_without_libraries(environment: Environment) -> None:
    """Perhaps not the service's: the finding says how to name it."""
    [finding] = environment.findings()
    assert finding.severity == "problem"
    assert "--python" in finding.fix


def test_a_broken_package_breaks_nothing(environment: Environment) -> None:
    """Metadata of a package that was removed by half, and a version that is none."""
    (environment.packages / "half-1.0.dist-info").mkdir()
    environment.install("torch", "not.a.version")
    environment.install("transformers", "5.23.0", "torch>=2")
    environment.install("safetensors", "0.8.0")
    assert bad(environment.findings()) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "cannot be run: No such file or directory"),
        (lambda path: path.write_text(""), "cannot be run: Permission denied"),
        (lambda path: path.mkdir(), "is no interpreter but a folder"),
        (lambda path: (path.write_text("#!/bin/sh\nexit 3\n"), path.chmod(0o755)), "it ended with status 3"),
        (lambda path: (path.write_text("#!/bin/sh\necho hello\n"), path.chmod(0o755)), "it answered something else"),
    ],
)
def test_what_is_no_interpreter_is_told(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    """One line, with its path."""
    path = tmp_path / "python"
    make(path)
    with pytest.raises(InspectionError, match=message):
        inspect(str(path))


def test_memory_that_is_too_little(tmp_path: Path) -> None:
    """Of the host; each model that does not fit, and all of them together."""
    (tmp_path / "meminfo").write_text(
        "MemTotal: 8000000 kB\nMemFree: 1 kB\nMemAvailable: 4000000 kB\nSwapTotal: 1000 kB\nSwapFree: 100 kB\n"
    )
    found = memory.check([Need("nllb", "/m/nllb", 5_000_000_000)], str(tmp_path), str(tmp_path))
    assert [one.what for one in found if one.severity == "problem"] == [
        "nllb needs about 5GB to load; the host has 4.09GB"
    ]  # fmt: skip
    assert [one.area for one in found if one.severity == "warning"] == ["swap"]
    both = [Need("nllb", "/m/nllb", 3_000_000_000), Need("aya", "/m/aya", 3_000_000_000)]
    found = memory.check(both, str(tmp_path), str(tmp_path))
    assert any("all 2 models together need about 6GB" in one.what for one in found)
    assert memory.check(both, str(tmp_path / "nowhere"))[0].severity == "warning"


def test_a_disk_that_is_too_small(tmp_path: Path) -> None:
    """For the largest model."""
    [finding] = disk.check([str(tmp_path), str(tmp_path / "later")], [Need("nllb", "/m", None, disk=2**60)])
    assert finding.severity == "problem"
    assert "a download of the largest model needs" in finding.what
    [finding] = disk.check([str(tmp_path)], [Need("nllb", "/m", None, disk=1)])
    assert finding.severity == "fine"


def test_limits_are_the_processes_own() -> None:
    """A shell that limits address space and open files; 2 for overcommit and no /dev/shm are settings of the host."""
    code = "from model_load_exporter.doctor.limits import check; print(*(one.what for one in check()), sep='\\n')"
    told = subprocess.run(
        ["bash", "-c", f'ulimit -n 256 -v 4000000; exec {sys.executable} -c "{code}"'],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "at most 256 open files (ulimit -n)" in told
    assert "address space is limited to 4096000000 (ulimit -v)" in told


def test_settings_of_the_host(tmp_path: Path) -> None:
    """Read from a /proc that has them."""
    (tmp_path / "sys/vm").mkdir(parents=True)
    (tmp_path / "sys/vm/overcommit_memory").write_text("2\n")
    found = limits.check(str(tmp_path), str(tmp_path / "no-shm"))
    assert {one.area for one in found if one.severity == "warning"} >= {"overcommit", "/dev/shm"}


@pytest.mark.root
def test_files_are_looked_at_with_the_services_rights(tmp_path: Path) -> None:
    """Root reads everything; nobody does not."""
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/tmp"):
            parent.chmod(0o755)
    weights = tmp_path / "model.pth"
    weights.write_bytes(b"PK\x03\x04" + bytes(64) + b"PK\x05\x06" + bytes(18))
    weights.chmod(0o600)
    [finding] = rights.check([("nllb", str(weights))], "nobody")
    assert (finding.severity, finding.why) == ("problem", "its load fails: permission_denied")
    assert finding.fix.startswith(f"chmod a+rX {weights}")
    [finding] = rights.check([("nllb", str(weights))], None)
    assert finding.severity == "fine"
    [finding] = rights.check([("nllb", str(weights))], "no-such-user")
    assert finding.what == "there is no user no-such-user on this host"


@pytest.mark.root
def test_what_to_do_about_a_folder_can_be_pasted(tmp_path: Path) -> None:
    """The command mends it, whatever the folder is called."""
    folder = tmp_path / "we ird$(x)"
    folder.mkdir(mode=0o700)
    for parent in (tmp_path, *list(tmp_path.parents)[:2]):
        parent.chmod(0o755)
    (folder / "model.pth").write_bytes(b"PK\x03\x04" + bytes(64) + b"PK\x05\x06" + bytes(18))
    [finding] = rights.check([("nllb", str(folder))], "nobody")
    assert finding.why == "its load fails: permission_denied"
    subprocess.run(["sh", "-c", finding.fix.partition(", ")[0]], check=True)
    [finding] = rights.check([("nllb", str(folder))], "nobody")
    assert finding.severity == "fine"


def test_the_exporters_own_interpreter_needs_no_library() -> None:
    """Nobody named another one: that it loads nothing is as it should be."""
    own = Interpreter("/venv/bin/python3", "3.11.2", "x86_64", "linux", {})
    [finding] = compatibility.check_own(own)
    assert (finding.severity, "--python" in finding.what) == ("fine", True)
    own.packages["torch"] = Package("torch", "2.13.0")
    assert "torch 2.13.0" in compatibility.check_own(own)[0].what


def test_a_user_that_is_not_there_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--user", "no-such-user"]) == 2
    assert capsys.readouterr().err == "model-load-exporter: --user no-such-user: there is no such user on this host\n"


def test_a_report_for_each_reader(tmp_path: Path, environment: Environment) -> None:
    """Text with the worst first, Markdown as a table, JSON with its schema; each has every finding."""
    environment.install("transformers", "5.23.0", "safetensors>=0.4")
    config = Config(models=(Model("nllb", path=str(tmp_path / "nowhere")),), cache_paths=(str(tmp_path),))
    said: list[str] = []
    found = examine(config, [environment.python, "/nowhere/python"], progress=said.append)
    assert said[0] == f"packages of {environment.python}"
    assert [SEVERITIES.index(one.severity) for one in found.findings] == sorted(
        SEVERITIES.index(one.severity) for one in found.findings
    )
    assert not found.healthy
    plain = text(found)
    assert plain.startswith("PROBLEM ")
    assert "\x1b" not in plain
    assert "\x1b[31mPROBLEM" in text(found, terminal=True)
    for one in found.findings:
        assert one.what in plain
        if one.severity != "fine":
            assert one.why
    assert "nllb: " in plain
    assert markdown(found).count("\n| ") == len(found.findings) + 2
    document = json.loads(json.dumps(found.to_json()))
    assert (document["schema"], document["healthy"]) == (1, False)
    assert len(document["findings"]) == len(found.findings)
    assert document["interpreters"][0]["packages"] == {"transformers": "5.23.0"}


def test_the_environment_as_series(environment: Environment) -> None:
    """By target; a package whose requirements are not met is 0; asked again after an hour only."""
    environment.install("transformers", "5.23.0", "tokenizers>=0.22")
    environment.install("tokenizers", "0.19.1")
    environment.install("safetensors", "0.8.0")
    config = Config(
        models=(Model("nllb", path="/m", canary=Canary(python=environment.python)), Model("aya", path="/m")),
        services=(Service("app", models={"nllb": 1}),),
    )
    assert interpreters(config) == [("app", environment.python)]
    now = [0.0]
    collector = EnvironmentCollector(lambda: config, lambda: now[0])
    info, fits = collector.collect()
    [sample] = info.samples
    assert (sample.labels["target"], sample.labels["transformers"], sample.labels["torch"]) == ("app", "5.23.0", "")
    assert {one.labels["package"]: one.value for one in fits.samples} == {
        "transformers": 0, "tokenizers": 1, "safetensors": 1,
    }  # fmt: skip
    environment.install("accelerate", "1.4.0")
    assert len(list(collector.collect())[1].samples) == 3
    now[0] = 3601.0
    assert len(list(collector.collect())[1].samples) == 4
