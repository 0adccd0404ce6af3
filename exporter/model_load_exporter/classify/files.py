"""A look at the files before their error's text is believed.

"No such file" is what safetensors says of a file that the user may not read, and "Unrecognized model" what transformers
says of a folder that it may not enter. Costs a few system calls and kilobytes for each file, with the caller's own
rights; it reads no devices or pipes, and follows the loaders' own order of preference in a folder.
"""
# os.path throughout: pathlib would be a large part of what importing this costs a service.

import errno
import os
import stat
from dataclasses import dataclass

from model_load_exporter.classify import contents
from model_load_exporter.classify.patterns import compiled

_ENTRIES = 4096
_FILES = 64
_SHARD = r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})(?P<suffix>(?:\.\w+)?)$"
_CONFIGS = ("config.json", "model_index.json", "adapter_config.json", "params.json", "modules.json")
_NEEDS_CONFIG = ("model.safetensors", "pytorch_model.bin", "model.safetensors.index.json",
                 "pytorch_model.bin.index.json")  # fmt: skip
_ALSO_READ = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "tokenizer.model", "spiece.model",
              "sentencepiece.bpe.model", "vocab.json", "saved_model.pb")  # fmt: skip
_BESIDE_ONNX = ("_data", ".data")
"""How exporters name the file of an ONNX graph's weights: model.onnx_data, model.onnx.data."""


@dataclass(frozen=True, slots=True)
class FileFinding:
    """What is wrong with a file. reason: of the closed set. path: the file. detail: one line that says it."""

    reason: str
    path: str
    detail: str


def look(path: str) -> FileFinding | None:
    """What is wrong with the model file or folder at `path`, or None where nothing is seen. Never raises."""
    try:
        return _look(path)
    except (OSError, ValueError):  # too many open files, a null byte in the name, a stale mount: nothing was seen
        return None


def _look(path: str) -> FileFinding | None:
    try:
        mode = os.stat(path).st_mode
    except PermissionError:
        return FileFinding("permission_denied", path, f"{_closed_above(path)} may not be entered by {_user()}")
    except (FileNotFoundError, NotADirectoryError):
        return _missing(path)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return FileFinding("file_missing", path, "it is a link that leads back to itself")
    if stat.S_ISDIR(mode):
        return _folder(path)
    return _file(path) if stat.S_ISREG(mode) else None


def _missing(path: str) -> FileFinding:
    shard = compiled(_SHARD).match(os.path.basename(path))
    reason = "shard_missing" if shard else "file_missing"
    if os.path.islink(path):
        # A cache's snapshots are links into its blobs: the link stays when the blob is cleaned away.
        return FileFinding(reason, path, f"it is a link to {os.readlink(path)}, which does not exist")
    above = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(above) and above != os.path.dirname(above):
        above = os.path.dirname(above)
    return FileFinding(reason, path, f"it does not exist (the nearest folder that does: {above})")


def _file(path: str) -> FileFinding | None:
    try:
        # O_NONBLOCK: the name may have become a pipe since the stat.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except PermissionError:
        return FileFinding("permission_denied", path, f"{_user()} may not read it ({_rights(os.stat(path), 4)})")
    except FileNotFoundError:
        return _missing(path)
    try:
        found = contents.problem(descriptor, os.fstat(descriptor).st_size, os.path.basename(path))
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return FileFinding("file_corrupted", path, "the disk reports an input/output error")
    finally:
        os.close(descriptor)
    if found is None:
        return _beside(path)
    return FileFinding(found[0], path, found[1])


def _beside(path: str) -> FileFinding | None:
    """What is wrong with the file that holds the weights of the graph at `path`, where there is one."""
    if not path.endswith(".onnx"):
        return None
    present = (path + ending for ending in _BESIDE_ONNX if os.path.lexists(path + ending))
    return next(filter(None, map(_look, present)), None)


def _folder(path: str) -> FileFinding | None:
    try:
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry, _ in zip(entries, range(_ENTRIES), strict=False))
    except PermissionError:
        return FileFinding(
            "permission_denied", path, f"{_user()} may not list the folder ({_rights(os.stat(path), 4)})"
        )
    if not names:
        return FileFinding("file_missing", path, "the folder is empty")
    present = set(names)
    chosen = _weights(names)
    for name in [name for name in (*_CONFIGS, *chosen, *_ALSO_READ) if name in present][:_FILES]:
        found = _look(os.path.join(path, name)) if not os.path.isdir(os.path.join(path, name)) else None
        if found is not None:
            return found
        if name in chosen and (lost := _lost_shard(path, name, present)):
            return lost
    if not present.isdisjoint(_NEEDS_CONFIG) and present.isdisjoint(_CONFIGS):
        return FileFinding(
            "file_missing", os.path.join(path, "config.json"), "the folder has weights but no config.json"
        )
    if "config.json" in present and not chosen:
        return FileFinding("file_missing", path, "the folder has a config.json but no weights")
    return None


def _weights(names: list[str]) -> list[str]:
    """The weights that a loader would take: safetensors before pickles before the rest, an index before its shards."""
    for suffix in (".safetensors", ".bin", *contents.WEIGHTS):
        index = [name for name in names if name.endswith(suffix + ".index.json")]
        files = [
            name for name in names if name.endswith(suffix) and name not in _ALSO_READ and name != "training_args.bin"
        ]
        if index or files:
            return index + files
    return []


def _lost_shard(folder: str, name: str, present: set[str]) -> FileFinding | None:
    if name.endswith(".index.json"):
        index = _index(os.path.join(folder, name))
        if index is None:
            return None  # too long to be read here: its shards' names tell
        mapping = index.get("weight_map") if isinstance(index, dict) else None
        if not mapping or not isinstance(mapping, dict):
            return FileFinding("file_corrupted", os.path.join(folder, name), "the index names no files (weight_map)")
        wanted = {value for value in mapping.values() if isinstance(value, str) and "/" not in value}
    elif shard := compiled(_SHARD).match(name):
        total = min(int(shard["total"]), _ENTRIES)
        wanted = {
            f"{shard['stem']}-{number:05d}-of-{shard['total']}{shard['suffix']}" for number in range(1, total + 1)
        }
        if int(shard["number"]) == 0:
            return None  # counted from 0: not a scheme that is known here
    else:
        return None
    lost = sorted(wanted - present)
    if not lost:
        return None
    detail = f"{len(lost)} of {len(wanted)} shards are missing, {lost[0]} first"
    return FileFinding("shard_missing", os.path.join(folder, lost[0]), detail)


def _index(path: str) -> object:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return contents.json_object(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _closed_above(path: str) -> str:
    """The uppermost folder above `path` that may not be entered, and its rights; of a link, above what it leads to."""
    above = os.path.dirname(os.path.realpath(path))
    while True:
        try:
            info = os.stat(above)
        except PermissionError:
            above = os.path.dirname(above)
        else:
            return f"{above} ({_rights(info, 1)})"


def _rights(info: os.stat_result, wanted: int) -> str:
    """Whose the file is and its mode; and a hint where the mode would allow what was `wanted` (4: read, 1: enter)."""
    mode = stat.S_IMODE(info.st_mode)
    if info.st_uid == os.geteuid():
        allowed = mode >> 6 & wanted
    elif info.st_gid == os.getegid() or info.st_gid in os.getgroups():
        allowed = mode >> 3 & wanted
    else:
        allowed = mode & wanted
    hint = ", which would allow it: see its ACL, security module or mount" if allowed else ""
    return f"mode {mode:04o}, owner {info.st_uid}:{info.st_gid}{hint}"


def _user() -> str:
    return f"uid {os.geteuid()}"
