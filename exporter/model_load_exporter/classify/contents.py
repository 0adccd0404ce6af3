"""What a model file's first and last kilobytes say about it: a pointer, a web page, a truncated download.

Nothing is loaded or unpickled; each check reads a few kilobytes, and answers None where it sees nothing wrong.
"""
# os.path throughout: pathlib would be a large part of what importing this costs a service.

import json
import os

from model_load_exporter.classify.patterns import compiled

HEAD = 4096
_JSON_LIMIT = 256 * 1024
_END_RECORD = 22
_TAIL = _END_RECORD + 65_535
"""The record that ends a zip, and the longest comment behind it."""
_HEADER_LIMIT = 100_000_000
"""safetensors refuses longer headers."""

WEIGHTS = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".gguf", ".onnx", ".h5", ".keras", ".tflite", ".pkl",
           ".model")  # fmt: skip
_ZIPS = (".pth", ".pt", ".bin", ".ckpt", ".keras", ".npz")
_SERVED = (*WEIGHTS, ".npy", ".npz", ".joblib", ".pickle", ".spm", ".txt")
"""Suffixes of files that never are a web page."""
_HDF = b"\x89HDF\r\n\x1a\n"
_HDF_STARTS = (0, 512, 1024, 2048)
_PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")
_ANSWERS = r'\s*\{\s*"(?:error|message|detail|code|errors|status)"\s*:'
"""How a server's refusal in JSON begins; a .bin or .model file may rightly be another JSON document."""
_POINTERS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")

Problem = tuple[str, str]
"""(reason, detail): detail is one line without the path."""


def problem(descriptor: int, size: int, name: str) -> Problem | None:
    """What is wrong with the open file of `size` bytes called `name`. OSError is the caller's."""
    if size == 0:
        return "file_empty", "the file has no bytes"
    head = os.pread(descriptor, HEAD, 0)
    if head.startswith(_POINTERS):
        return "lfs_pointer", f"the file is a Git LFS pointer of {size} bytes"
    suffix = os.path.splitext(name)[1].lower()
    if suffix == ".json":
        return _json(descriptor, size, head, name)
    if suffix not in _SERVED:
        return None
    if head.lstrip()[:16].lower().startswith(_PAGES):
        return "file_corrupted", "the file is a web page, not weights: a download that got an error page"
    if size <= HEAD and compiled(_ANSWERS).match(head.decode("latin-1")):
        return "file_corrupted", "the file is a server's answer, not weights: a download that was refused"
    if len(head) >= 512 and not head.strip(b"\0"):
        return "file_corrupted", f"the file begins with {len(head)} zero bytes: it was never written to its end"
    if suffix == ".safetensors":
        return _safetensors(descriptor, size, head)
    if suffix in _ZIPS and head.startswith(b"PK\x03\x04"):
        return _zip(descriptor, size)
    return _magic(suffix, head)


def _magic(suffix: str, head: bytes) -> Problem | None:
    """Whether the file begins as all of its kind do. Only kinds that have no second form: a .pt may be many things."""
    if suffix == ".gguf" and not head.startswith(b"GGUF"):
        return "file_corrupted", "the file does not begin with GGUF"
    if suffix == ".h5" and not any(head[start : start + len(_HDF)] == _HDF for start in _HDF_STARTS):
        return "file_corrupted", "the file has no HDF5 signature"
    if suffix == ".tflite" and head[4:8] != b"TFL3":
        return "file_corrupted", "the file has no TFL3 identifier"
    if suffix == ".npy" and not head.startswith(b"\x93NUMPY"):
        return "file_corrupted", "the file does not begin with NUMPY"
    if suffix == ".npz" and not head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "file_corrupted", "the file is no zip archive"
    return None


def json_object(descriptor: int, size: int) -> object:
    """The JSON document, or None if it is too long to be read here. ValueError where it is none."""
    return json.loads(os.pread(descriptor, size, 0)) if size <= _JSON_LIMIT else None


def _json(descriptor: int, size: int, head: bytes, name: str) -> Problem | None:
    # An index is written with the weights and stands for them; every other JSON file is configuration.
    reason = "file_corrupted" if name.endswith(".index.json") else "config_invalid"
    if head.lstrip()[:16].lower().startswith(_PAGES):
        return "file_corrupted", "the file is a web page, not JSON: a download that got an error page"
    if not head.strip(b"\0"):
        return "file_corrupted", "the file holds zero bytes only"
    try:
        tail = os.pread(descriptor, HEAD, max(size - HEAD, 0)).rstrip()
        if json_object(descriptor, size) is None and not tail.endswith((b"}", b"]")):
            return reason, "the JSON document breaks off"
    except (ValueError, RecursionError) as error:
        return reason, f"the file is not valid JSON: {str(error)[:120]}"
    return None


def _safetensors(descriptor: int, size: int, head: bytes) -> Problem | None:
    length = int.from_bytes(head[:8], "little")
    if size < 8 or length > min(size - 8, _HEADER_LIMIT):
        return "file_corrupted", f"its header would be {length} bytes long, and the file has {size}"
    # The header lists the tensors in the order of their data: the last entries tell how long the file should be.
    tail = os.pread(descriptor, min(HEAD, length), 8 + max(length - HEAD, 0)).decode("utf-8", "replace")
    ends = compiled(r'"data_offsets"\s*:\s*\[\s*\d{1,18}\s*,\s*(\d{1,18})\s*\]').findall(tail)
    needed = 8 + length + max(map(int, ends), default=0)
    if size < needed:
        return "file_corrupted", f"the file is truncated: {size} of {needed} bytes"
    return None


def _zip(descriptor: int, size: int) -> Problem | None:
    for length in (HEAD, _TAIL):  # archives of weights have no comment: the first look nearly always finds it
        tail = os.pread(descriptor, length, max(size - length, 0))
        at = tail.rfind(b"PK\x05\x06")
        if at >= 0:
            missing = at + _END_RECORD + int.from_bytes(tail[at + 20 : at + 22], "little") - len(tail)
            if missing <= 0:
                return None
            return "file_corrupted", f"the archive is truncated: {size} of {size + missing} bytes"
    return "file_corrupted", f"the archive is truncated: its directory is missing at the end of {size} bytes"
