"""The runbooks: complete, linked, and with commands that run and show what their section says."""

import json
import os
import pwd
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from alerts_folder import ALERTS, RUNBOOKS, Block, blocks, headings, links

from model_load_exporter.reasons import REASONS, RUNBOOK

FAILURE = ALERTS / "runbooks" / f"{RUNBOOK}.md"
BLOCKS = blocks()
KINDS = {"", "setup", "exporter", "host", "kubernetes", "network", "prometheus", "gpu"}
VERBS = {"probe", "check-config", "verify"}
"""Verbs that a runbook may cite: those that exist."""

# Debian packages that a slim container may lack: a command that is missing for want of one is not the runbook's fault.
OPTIONAL = {"ss": "iproute2", "ps": "procps", "free": "procps", "uptime": "procps", "curl": "curl", "lsof": "lsof"}


def of_kind(kind: str) -> list[Block]:
    return [block for block in BLOCKS if block.kind == kind]


def identify(block: Block) -> str:
    return f"{block.runbook}-{block.section}".replace(" ", "_")


def anchor(heading: str) -> str:
    """The id of a heading, by GitHub's rule: lower case, punctuation dropped, spaces as hyphens."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_a_section_for_each_reason() -> None:
    """ModelLoadFailure has a section for each reason of reasons.py, in its order and called exactly so; no other."""
    assert headings(FAILURE, 3) == list(REASONS)


@pytest.mark.parametrize("reason", REASONS)
def test_section_says_what_to_do(reason: str) -> None:
    """Each reason's section has what one sees, a check with a command, a fix in steps, and how long it takes."""
    text = FAILURE.read_text().split(f"\n### {reason}\n")[1].split("\n## ")[0].split("\n### ")[0]
    assert "**You see**" in text
    assert "**Check**" in text
    assert "```sh" in text
    assert re.search(r"\*\*Fix\*\*\n\n1\. ", text)
    assert re.search(r"\*\*Takes\*\* .*\w", text)


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda runbook: runbook.stem)
def test_runbook_covers_the_way_to_the_end(runbook: Path) -> None:
    """Each runbook says what the alert means, whom it hurts, the first five minutes, and what comes after the fix."""
    have = headings(runbook, 2)
    assert headings(runbook, 1) == [runbook.stem]
    assert have[:3] == ["What it means", "Impact", "First five minutes"]
    assert "Escalate" in have
    assert have[-1] in {"Afterwards", "After the incident"}
    assert not re.search(r"\b(TODO|FIXME|TBD)\b", runbook.read_text())


def test_failure_runbook_has_every_part() -> None:
    """The runbook of the page has files, resources, classification, reasons, validation, fallback and prevention."""
    assert headings(FAILURE, 2) == [
        "What it means",
        "Impact",
        "First five minutes",
        "Verify the files",
        "Check the resources",
        "Classify the error",
        "By reason",
        "Validate the fix",
        "Fallback and rollback",
        "Prevent it",
        "Escalate",
        "After the incident",
    ]


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda runbook: runbook.stem)
def test_links_lead_somewhere(runbook: Path) -> None:
    """Each link leads to a heading of the same runbook."""
    have = {f"#{anchor(heading)}" for heading in headings(runbook)}
    assert set(links(runbook)) <= have


def test_kinds_of_blocks() -> None:
    """Each shell block says what it needs in a word that is known; most need nothing but the host."""
    assert {block.kind for block in BLOCKS} <= KINDS
    assert len(of_kind("")) > 40


@pytest.mark.parametrize("runbook", RUNBOOKS, ids=lambda runbook: runbook.stem)
def test_only_verbs_that_exist(runbook: Path) -> None:
    """A runbook cites no verb of the command line that is not there yet."""
    cited = set(re.findall(r"(?<![\w/-])model-load-exporter ([a-z-]+) [\"$A-Z/.-]", runbook.read_text()))
    assert cited <= VERBS


def variables(script: str) -> set[str]:
    return set(re.findall(r"^([A-Z_]+)=", script, re.MULTILINE))


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind != "setup"], ids=identify)
def test_block_is_shell_and_its_variables_are_set(block: Block) -> None:
    """Each command parses, and uses only variables that its runbook sets first."""
    parsed = subprocess.run(["bash", "-n"], input=block.script, capture_output=True, text=True, check=False)
    assert parsed.stderr == ""
    known = set().union(*(variables(b.script) for b in of_kind("setup") if b.runbook == block.runbook))
    unquoted = re.sub(r"'[^'\n]*'", "", block.script)
    assert set(re.findall(r"\$\{?([A-Z_]{2,})\b(?!-)", unquoted)) <= known


@dataclass(frozen=True)
class Host:
    """A host with a model of real files, and the variables that a person on call would set."""

    model: Path
    environment: dict[str, str]

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-u", "-c", script],
            # /usr/sbin: root's commands are there, and an ordinary user's PATH may lack it.
            env=os.environ | self.environment | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


def write_safetensors(path: Path, shapes: dict[str, list[int]]) -> None:
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * shape[1]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(at))


def write_checkpoint(path: Path, pickle: bytes) -> None:
    with zipfile.ZipFile(path, "w") as checkpoint:
        checkpoint.writestr("archive/data.pkl", pickle)
        checkpoint.writestr("archive/data/0", bytes(4096))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, as /models is; pytest's own tmp_path is closed to the others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def host(folder: Path) -> Host:
    """A healthy model: config, tokenizer, two safetensors shards with their index, one zip checkpoint."""
    model = folder / "models" / "nllb-200"
    model.mkdir(parents=True)
    config = {
        "architectures": ["M2M100ForConditionalGeneration"],
        "model_type": "m2m_100",
        "vocab_size": 64,
        "d_model": 8,
    }
    (model / "config.json").write_text(
        json.dumps(config | {"torch_dtype": "float32", "transformers_version": "5.23.0"}, indent=2)
    )
    (model / "tokenizer.json").write_text("{}")
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    for shard in shards:
        write_safetensors(model / shard, {f"{shard}.weight": [64, 8]})
    weight_map = {f"{shard}.weight": shard for shard in shards}
    (model / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    write_checkpoint(model / "pytorch_model.bin", b"\x80\x02ccollections\nOrderedDict\n)R.")
    versions = folder / "versions"
    for version in ("v1", "v2"):
        (versions / version).mkdir(parents=True)
    (versions / "current").symlink_to("v2")
    return Host(
        model,
        {
            "EXPORTER": "http://127.0.0.1:9877",
            "MODEL": "nllb-200",
            "MODEL_DIR": str(model),
            "SERVICE": "app-prod",
            "SERVICE_USER": "nobody",
            "PYTHON": sys.executable,
            "CANARY_PYTHON": sys.executable,
            "PID": str(os.getpid()),
            "PORT": "9877",
            "VERSIONS": str(versions),
            "PREVIOUS": "v1",
            "CONFIG": str(folder / "config.yml"),
            "STATE": str(folder),
        },
    )


@pytest.mark.parametrize("block", of_kind(""), ids=identify)
def test_block_runs_on_a_healthy_host(block: Block, host: Host) -> None:
    """Each command runs as it is printed, and finds no fault in a healthy model."""
    done = host.run(block.script)
    for missing in re.findall(r"(\S+): command not found", done.stderr):
        assert missing in OPTIONAL, done.stderr
        pytest.skip(f"{missing} is not installed here (package {OPTIONAL[missing]})")
    if re.search(r"[Pp]ermission denied|not permitted|non-root", done.stderr):
        assert os.geteuid() != 0, done.stderr
    else:
        assert done.stderr == ""
        assert done.returncode in (0, 1), done.stdout
    assert not re.search(r"\b(BAD|MISSING|Traceback)\b", done.stdout)


def no_fault(model: Path) -> None:
    pass


def remove_config(model: Path) -> None:
    (model / "config.json").unlink()


def empty_shard(model: Path) -> None:
    (model / "model-00002-of-00002.safetensors").write_bytes(b"")


def cut_shard(model: Path) -> None:
    os.truncate(model / "model-00002-of-00002.safetensors", 1000)


def cut_checkpoint(model: Path) -> None:
    os.truncate(model / "pytorch_model.bin", 4000)


def flip_checkpoint(model: Path) -> None:
    whole = (model / "pytorch_model.bin").read_bytes()
    (model / "pytorch_model.bin").write_bytes(whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:])


def html_instead(model: Path) -> None:
    (model / "pytorch_model.bin").write_text("<html><body>502 Bad Gateway</body></html>")


def pointer_instead(model: Path) -> None:
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4912345678\n"
    (model / "model-00001-of-00002.safetensors").write_text(text)


def remove_shard(model: Path) -> None:
    (model / "model-00002-of-00002.safetensors").unlink()
    (model / "model-00002-of-00002.safetensors.incomplete").write_bytes(bytes(100))


def hide_shard(model: Path) -> None:
    (model / "model-00001-of-00002.safetensors").chmod(0o600)


def evil_pickle(model: Path) -> None:
    write_checkpoint(model / "pytorch_model.bin", b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.")


def evil_pickle_protocol_4(model: Path) -> None:
    write_checkpoint(model / "pytorch_model.bin", b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.")


def break_config(model: Path) -> None:
    (model / "config.json").write_text('{"model_type": "m2m_100",')


def custom_code(model: Path) -> None:
    (model / "modeling_own.py").write_text("")
    (model / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "modeling_own.Own"}}, indent=2))


@pytest.mark.parametrize(
    ("section", "fault", "shows"),
    [
        ("Verify the files", empty_shard, r"model-00002-of-00002.safetensors"),
        ("Verify the files", pointer_instead, r"model-00001-of-00002.safetensors"),
        ("Verify the files", cut_shard, r"BAD 1000 bytes, its header promises 2\d\d\d: .*00002"),
        ("Verify the files", cut_checkpoint, r"BadZipFile"),
        ("Verify the files", flip_checkpoint, r"Bad CRC-32|corrupted"),
        ("Verify the files", remove_shard, r"MISSING model-00002-of-00002.safetensors"),
        ("file_missing", remove_config, r"config.json - No such file"),
        ("file_empty", empty_shard, r" 0 .*model-00002-of-00002.safetensors"),
        ("file_corrupted", html_instead, r"<   h   t   m   l"),
        ("file_corrupted", no_fault, r"P   K 003 004"),
        ("file_corrupted", no_fault, r'\\0   \{   "'),
        ("lfs_pointer", pointer_instead, r"size 4912345678"),
        ("shard_missing", remove_shard, r"\.incomplete"),
        pytest.param("permission_denied", hide_shard, r"model-00001-of-00002.safetensors", marks=pytest.mark.root),
        ("unsafe_pickle", evil_pickle, r"\n  posix system"),
        ("unsafe_pickle", evil_pickle_protocol_4, r"\n  posix system"),
        ("unsafe_pickle", no_fault, r"\n  collections OrderedDict\n$"),
        ("config_invalid", break_config, r"BAD .*config.json"),
        ("architecture_mismatch", no_fault, r"\[64, 8\]"),
        ("trust_remote_code_required", custom_code, r"modeling_own.py(.|\n)*modeling_own.Own"),
        ("Fallback and rollback", no_fault, r"v1\n$"),
    ],
)
def test_commands_show_the_fault(section: str, fault: Callable[[Path], None], shows: str, host: Host) -> None:
    """The commands of a section, run on a model with that fault, print what the section tells people to look for."""
    if section == "permission_denied" and os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    healthy = "".join(host.run(block.script).stdout for block in of_kind("") if block.section == section)
    fault(host.model)
    done = [host.run(block.script) for block in of_kind("") if block.section == section and block.runbook == RUNBOOK]
    printed = "".join(one.stdout + one.stderr for one in done)
    assert re.search(shows, printed), printed
    assert fault is no_fault or printed != healthy


def test_memory_limit_is_found(host: Host) -> None:
    """The command for the tightest memory limit prints what the controller's own files say, where there are any."""
    block = next(b for b in of_kind("") if b.section == "Check the resources" and "cgroup" in b.script)
    printed = host.run(block.script).stdout
    table = Path("/proc/self/cgroup").read_text()
    memory = re.search(r"^\d+:memory:(.*)$", table, re.MULTILINE)
    unified = re.search(r"^0::(.*)$", table, re.MULTILINE)
    group = (
        Path(f"/sys/fs/cgroup/memory{memory[1]}") if memory else Path(f"/sys/fs/cgroup{unified[1] if unified else ''}")
    )
    for name in ("memory.limit_in_bytes", "memory.max"):
        if (group / name).exists():
            assert f"{name}: {(group / name).read_text().strip()}" in printed


def test_permission_user_exists() -> None:
    """The user nobody, whom the tests become, is there: else the permission test would show nothing."""
    assert pwd.getpwnam("nobody").pw_uid > 0
    assert shutil.which("runuser") or os.geteuid() != 0
