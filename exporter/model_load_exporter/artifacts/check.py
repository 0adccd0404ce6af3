"""One file: there, readable, of its format, and what its checksums say."""

import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from model_load_exporter.artifacts import hub_cache, json_files
from model_load_exporter.artifacts.format import FolderFormat, Format
from model_load_exporter.artifacts.hashing import Digests, ShrankError, digests
from model_load_exporter.artifacts.registry import LONGEST_MAGIC, format_of
from model_load_exporter.artifacts.report import FileReport
from model_load_exporter.artifacts.summary import ArtifactError, Summary
from model_load_exporter.classify import contents, files

Advance = Callable[[Path, int], None]
"""advance(path, bytes read since the last call); may sleep, or raise to end the verification."""

UNKNOWN = "unknown"

_PARTS = (".onnx_data", ".onnx.data")
"""Weights that another file refers to; they have no form of their own."""

_SPARSE_FROM = 16 * 2**30
_SPARSE_RATIO = 256
_MAX_EXTENTS = 4096
_REASONS = {
    errno.EACCES: "permission_denied", errno.EPERM: "permission_denied", errno.ENOENT: "file_missing",
    errno.ENOTDIR: "file_missing", errno.ELOOP: "file_missing", errno.ENAMETOOLONG: "file_missing",
    errno.ENXIO: "file_missing", errno.EIO: "file_corrupted", errno.EMFILE: "resource_limit",
    errno.ENFILE: "resource_limit", errno.ENOMEM: "resource_limit",
}  # fmt: skip


class Checker:
    """Checks files at one level. A file with several names is hashed once. May be shared by threads."""

    def __init__(self, level: str, advance: Advance) -> None:
        self._level = level
        self._advance = advance
        self._hashed: dict[tuple[int, int, int, int], Digests] = {}
        self._lock = threading.Lock()

    def file(self, path: Path, *, required: bool, part: bool = False) -> FileReport | None:
        """What is found. required: whether somebody counts on the file; else an unknown one may be empty or a socket.

        part: it belongs to a format that is a whole folder, which judges it.

        None for what is neither a model file nor asked for, such as a socket.
        """
        try:
            state = path.stat()
            if not stat.S_ISREG(state.st_mode):
                return _special(path, state.st_mode) if required or format_of(path) else None
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            return failed(path, error)
        try:
            return self._opened(path, descriptor, required, part)
        except OSError as error:
            return failed(path, error)
        finally:
            os.close(descriptor)

    def folder(self, path: Path, form: FolderFormat) -> FileReport:
        """A format that is a whole folder."""
        try:
            state = path.stat()
            if form.present:
                form.present(path)
            summary = form.read(path) if self._level != "stat" else None
            if self._level == "checksum" and form.deep:
                form.deep(path, lambda count: self._advance(path, count))
        except ArtifactError as error:
            return FileReport(path, form.name, False, error.reason, _without(path, str(error)))
        except OSError as error:
            return failed(path, error)
        return FileReport(path, form.name, True, metadata=_metadata(summary), modified=state.st_mtime)

    def _opened(self, path: Path, descriptor: int, required: bool, part: bool) -> FileReport:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return _special(path, before.st_mode)
        form = None if part else format_of(path, os.pread(descriptor, LONGEST_MAGIC, 0))
        if form is json_files.FORMAT and path.name not in json_files.JUDGED and not required:
            form = None
        name = form.name if form else UNKNOWN
        problem, summary = None, None
        try:
            problem = self._problem(path, descriptor, before.st_size, form, required)
            if problem is None and form and self._level != "stat":
                summary = form.read(path)
                name = summary.format
            elif problem is None and form and form.present:
                form.present(path)
        except ArtifactError as error:
            problem = error.reason, _without(path, str(error))
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            MemoryError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            # A reader's own mistake must not cost the verdict over all other files.
            problem = "unknown", f"could not be checked, {type(error).__name__}: this is a bug, please report it"
        sha256 = None
        if self._level == "checksum" and not _is_hole(descriptor, before.st_size):
            try:
                sha256, wrong = self._checksums(path, descriptor, before, None if problem else form)
                problem = problem or wrong
            except (ArtifactError, ShrankError) as error:
                problem = getattr(error, "reason", "file_corrupted"), _without(path, str(error))
        elif self._level != "stat" and problem is None and _is_hole(descriptor, before.st_size):
            problem = "file_corrupted", f"is a hole of {before.st_size} bytes: it was never written"
        after = os.fstat(descriptor)
        if (after.st_mtime_ns, after.st_size) != (before.st_mtime_ns, before.st_size):
            sha256, problem = None, ("file_corrupted", "changed while it was read: verify it again")
        reason, detail = problem or (None, "")
        return FileReport(
            path, name, problem is None, reason, detail, sha256, _metadata(summary), before.st_size, before.st_mtime
        )

    def _problem(
        self, path: Path, descriptor: int, size: int, form: Format | None, required: bool
    ) -> tuple[str, str] | None:
        """What size and first bytes tell, by the rules that exceptions are classified with too."""
        if size == 0:
            counts = form or required or path.name.endswith(_PARTS)
            return ("file_empty", "the file has no bytes") if counts else None
        if self._level == "stat" or form is json_files.FORMAT or path.name.endswith(".json"):
            return None
        return contents.problem(descriptor, size, path.name)

    def _checksums(
        self, path: Path, descriptor: int, state: os.stat_result, form: Format | None
    ) -> tuple[str, tuple[str, str] | None]:
        """The sha256, and what checksums in the file and its name say. Raises ArtifactError, ShrankError, OSError."""
        wanted = hub_cache.blob_name(path)
        key = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
        with self._lock:
            found = self._hashed.get(key)
        if found is None or (wanted and wanted.git_sha1 and not found.git_sha1):
            git = bool(wanted and wanted.git_sha1)
            found = digests(descriptor, state.st_size, lambda count: self._advance(path, count), git=git)
            with self._lock:
                self._hashed[key] = found
        else:
            self._advance(path, state.st_size)
        for kind, said, own in (
            ("sha256", wanted and wanted.sha256, found.sha256),
            ("git sha1", wanted and wanted.git_sha1, found.git_sha1),
        ):
            if said and said != own:
                return found.sha256, (
                    "file_corrupted",
                    f"is damaged: its {kind} is {str(own)[:12]}..., and the hub's cache says {said[:12]}...",
                )
        if form and form.deep:
            form.deep(path, lambda count: self._advance(path, count))
        return found.sha256, None


def failed(path: Path, error: OSError) -> FileReport:
    """A file that cannot be looked at or read: the reason by a look around it, else by the error's number."""
    form = format_of(path)
    name = form.name if form else UNKNOWN
    if found := files.look(str(path)):
        return FileReport(path, name, False, found.reason, found.detail)
    text = error.strerror or str(error)
    if error.errno == errno.ELOOP:
        text = "it is a link that leads to itself"
    return FileReport(path, name, False, _REASONS.get(error.errno or 0, "unknown"), f"cannot be read: {text}")


def _special(path: Path, mode: int) -> FileReport:
    kind = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device",
            stat.S_IFDIR: "folder"}.get(stat.S_IFMT(mode), "special file")  # fmt: skip
    return FileReport(path, UNKNOWN, False, "file_corrupted", f"is a {kind}, no regular file")


def _is_hole(descriptor: int, size: int) -> bool:
    """True for a huge file with next to nothing in it, which would take minutes to hash."""
    if size < _SPARSE_FROM:
        return False
    at = data = 0
    try:
        for _ in range(_MAX_EXTENTS):
            begin = os.lseek(descriptor, at, os.SEEK_DATA)
            at = os.lseek(descriptor, begin, os.SEEK_HOLE)
            data += at - begin
            if data * _SPARSE_RATIO > size:
                return False
    except OSError as error:
        return error.errno == errno.ENXIO  # no more data behind `at`
    return False


def _metadata(summary: Summary | None) -> dict[str, str]:
    if summary is None:
        return {}
    return {**summary.metadata, **({"dtype": summary.dtype} if summary.dtype else {})}


def _without(path: Path, message: str) -> str:
    """The message without the path at its head: the report has that beside it."""
    rest = message.removeprefix(str(path))
    # Of /m.onnx_data, named beside /m.onnx, all is kept.
    return rest.lstrip(": /") if rest.startswith((":", " ", "/")) else message
