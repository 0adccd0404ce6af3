"""Real faults for the demo service, switched on by environment: what the exporter then says is the demonstration.

    DEMO_FAIL           one of KINDS; empty: none
    DEMO_FAIL_MODEL     the model it hits; default: the first of DEMO_MODELS
    DEMO_FAIL_SECONDS   how long `slow` and `gil` last; default: 20
    DEMO_FAIL_ONCE      a file: the fault happens only while there is none, and makes it; for a restart that goes well

Damaged models are copies in a temporary folder, links where nothing is damaged: the models themselves stay as they are.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from memory_limit import memory_limit

KINDS = {
    "missing_file": "the weights, or one of their shards, are not there",
    "corrupted": "the weights end in the middle",
    "no_dependency": "the tokenizer needs a package that is not installed",
    "network": "the store that the weights come from refuses connections",
    "oom": "the load takes more memory than there is",
    "slow": "the disk is slow",
    "gil": "native code keeps the interpreter's lock: no thread of the service answers",
    "crash": "native code reads address 0",
}

_SAFE_LIMIT = 4 << 30
"""The largest memory limit that `oom` eats up; above it, it limits itself instead."""
_BLOCK = 16 << 20
_REFUSES = "http://127.0.0.1:9/model.safetensors"
"""The discard port, which nobody serves."""


class Fault:
    """A fault of one model's load."""

    def __init__(self, kind: str, seconds: float = 20.0) -> None:
        self.kind, self.seconds = kind, seconds
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def path(self, whole: str) -> str:
        """The folder to load from: a damaged copy where the fault is one of files, else `whole` itself."""
        damage = _DAMAGE.get(self.kind)
        if damage is None:
            return whole
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="demo-fault-")
            copy = Path(self._folder.name) / Path(whole).name
            copy.mkdir()
            for file in Path(whole).iterdir():
                (copy / file.name).symlink_to(file)
            damage(copy)
        return str(Path(self._folder.name) / Path(whole).name)

    def strike(self) -> None:
        """What happens before the weights are read."""
        strikes: dict[str, Callable[[], None]] = {
            "network": _fetch,
            "oom": _eat,
            "slow": lambda: _dawdle(self.seconds),
            "gil": lambda: _keep_the_lock(self.seconds),
            "crash": _crash,
        }
        strikes.get(self.kind, lambda: None)()


def from_environment(environment: Mapping[str, str], models: list[str]) -> dict[str, Fault]:
    """The fault by the model it hits. Raises ValueError with a line that says what to write."""
    kind = environment.get("DEMO_FAIL", "")
    if not kind:
        return {}
    if kind not in KINDS:
        raise ValueError(f"DEMO_FAIL={kind}: write one of {', '.join(KINDS)}")
    model = environment.get("DEMO_FAIL_MODEL") or models[0]
    if model not in models:
        raise ValueError(f"DEMO_FAIL_MODEL={model}: the service loads {', '.join(models)}")
    try:
        seconds = float(environment.get("DEMO_FAIL_SECONDS") or 20)
    except ValueError:
        raise ValueError(f"DEMO_FAIL_SECONDS={environment['DEMO_FAIL_SECONDS']}: write a number of seconds") from None
    once = environment.get("DEMO_FAIL_ONCE")
    if once:
        try:
            os.close(os.open(once, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError:
            return {}
        except OSError as error:
            raise ValueError(f"DEMO_FAIL_ONCE={once}: {error.strerror}; name a file that can be made") from None
    return {model: Fault(kind, seconds)}


def _weights(copy: Path) -> Path:
    """The largest file of weights."""
    return max(copy.glob("*.safetensors"), key=lambda file: file.stat().st_size)


def _remove_weights(copy: Path) -> None:
    _weights(copy).unlink()


def _truncate_weights(copy: Path) -> None:
    weights = _weights(copy)
    whole = weights.resolve()
    weights.unlink()
    with whole.open("rb") as source, weights.open("wb") as part:
        part.write(source.read(whole.stat().st_size // 3))


def _need_fugashi(copy: Path) -> None:
    # A tokenizer of transformers whose words are cut by MeCab, by way of a package that this service does not have.
    for name in ("tokenizer_config.json", "tokenizer.json", "vocab.txt"):
        (copy / name).unlink(missing_ok=True)
    settings = {"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "mecab"}
    (copy / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (copy / "vocab.txt").write_text("[UNK]\n[PAD]\n[CLS]\n[SEP]\n[MASK]\n", encoding="utf-8")


_DAMAGE: dict[str, Callable[[Path], None]] = {
    "missing_file": _remove_weights,
    "corrupted": _truncate_weights,
    "no_dependency": _need_fugashi,
}


def _fetch() -> None:
    with (
        urllib.request.urlopen(_REFUSES, timeout=10) as answer,
        tempfile.TemporaryFile() as file,
    ):
        shutil.copyfileobj(answer, file)


def _eat() -> None:
    """Takes memory until the kernel kills the process for it, inside a limit that is the service's own."""
    limit = memory_limit()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if limit is None or limit > _SAFE_LIMIT:
        # Without a limit of its own it would take the host's memory, and somebody else would be killed for it.
        now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + (256 << 20), hard))
    try:
        hoard = []
        while True:
            hoard.append(b"\x01" * _BLOCK)
    finally:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _dawdle(seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        time.sleep(0.1)


def _keep_the_lock(seconds: float) -> None:
    # PyDLL calls without releasing the GIL, as a native tokenizer or a custom operator may.
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def _crash() -> None:
    # A core file of all that torch has mapped would only delay the end.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)
