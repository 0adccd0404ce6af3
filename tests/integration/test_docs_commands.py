"""The commands in README.md and docs/: every verb and flag exists, and those that are cheap and safe are run."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from support.daemon import COMMAND

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
NAME = "model-load-exporter"

_BLOCK = re.compile(
    r"^(?:```(?:sh|shell|bash|console|text)?\n(.*?)^```|((?:(?: {4}|\t)\S.*\n)+))", re.MULTILINE | re.DOTALL
)
_INLINE = re.compile(rf"`({NAME} [^`\n]+)`")


def commands(text: str) -> list[str]:
    """Each command line of ours in a page's code blocks and code spans; a line that goes on is one with the next."""
    found = _INLINE.findall(text)
    for fenced, indented in _BLOCK.findall(text):
        for line in re.sub(r"\\\n\s*", "", fenced or indented).splitlines():
            plain = line.strip().removeprefix("$ ").removeprefix("sudo ")
            found += [part.strip() for part in re.split(r"\||&&", plain) if part.strip().startswith(NAME + " ")]
    return found


def words(command: str) -> list[str]:
    """As a shell would split it; a comment is none, and of `run -- CMD` only our own part stays."""
    try:
        split = shlex.split(command, comments=True)
    except ValueError:
        split = command.split("  #")[0].split()
    return split[1 : split.index("--")] if "--" in split else split[1:]


ALL = [pytest.param(page, command, id=f"{page.relative_to(ROOT)}: {command}") for page in PAGES
       for command in dict.fromkeys(commands(page.read_text()))]  # fmt: skip


def help_of(*verb: str) -> str:
    """What the command line's own parser says of itself."""
    done = subprocess.run([COMMAND, *verb, "--help"], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, f"there is no {' '.join(verb)}: {done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """The help of each verb, asked for once."""
    listed = re.findall(r"^ {4}([a-z][a-z-]+)(?: |$)", help_of(), re.MULTILINE)
    return {verb: help_of(verb) for verb in listed}


def test_the_pages_have_commands() -> None:
    """The reader of the pages finds what is there: the checks below are not empty."""
    assert any(command.startswith(f"{NAME} serve") for command in commands((ROOT / "README.md").read_text()))
    assert len(ALL) > 20


@pytest.mark.parametrize(("page", "command"), ALL)
def test_verb_and_flags_exist(helps: dict[str, str], page: Path, command: str) -> None:
    """What a page tells people to type is known to the parser."""
    verb, *rest = [word for word in words(command) if word not in ("...", "[...]")] or [""]
    if verb.startswith("-"):
        assert verb in ("--version", "--help", "-h")
        return
    if verb.isupper():
        return  # a placeholder: `model-load-exporter VERB`
    assert verb in helps, f"{page.name}: no verb {verb}"
    for word in rest:
        flag = word.partition("=")[0].strip("[],")
        if flag.startswith("--no-collector."):
            assert flag.removeprefix("--no-collector.") in re.split(r"[\s,.]+", helps[verb]), command
        elif flag.startswith("--"):
            assert re.search(rf"{re.escape(flag)}(?![\w.-])", helps[verb]), f"{page.name}: {verb} has no {flag}"


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    """What the pages' examples name: a model folder, logs and a config, under the names that they use."""
    (tmp_path / "service.log").write_text(
        "2026-01-31T10:00:00.000Z INFO Loading model nllb-200: weights\n"
        "2026-01-31T10:00:01.000Z ERROR OSError: Error no file named model.safetensors found in /models/nllb\n"
    )
    (tmp_path / "client.log").write_text("2026-01-31T10:00:02.000Z ERROR ConnectionResetError: [Errno 104] reset\n")
    (tmp_path / "kernel.log").write_text("")
    shutil.copy(ROOT / "examples/config.yml", tmp_path / "config.yml")
    return tmp_path


CHEAP = ("analyze", "check-config")


@pytest.mark.parametrize(
    "command",
    sorted(
        command
        for command in {param.values[1] for param in ALL}
        if isinstance(command, str) and words(command)[:1] and words(command)[0] in CHEAP
        and all(w.startswith("-") or w in (*CHEAP, "service.log", "client.log", "kernel.log", "config.yml", "host")
                for w in words(command))
    ),
)  # fmt: skip
def test_cheap_commands_run(sandbox: Path, command: str) -> None:
    """Those that only read, on files of the names that the page uses: they answer, and not with a usage error."""
    done = subprocess.run(
        [COMMAND, *words(command)], cwd=sandbox, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout
    assert "internal error" not in done.stderr
