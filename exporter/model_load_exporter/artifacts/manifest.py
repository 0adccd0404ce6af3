"""manifest.sha256: what sha256sum writes and `sha256sum -c` checks, names relative to one folder.

9f86d081884c7d65...  model.safetensors        text mode; `*` before the name is binary mode, the same here
\\9f86d081884c7d6...  a\\nb                     a backslash in front: newline, return and backslash are escaped
SHA256 (model.safetensors) = 9f86d08...       `sha256sum --tag`
"""

import errno
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NAME = "manifest.sha256"
"""The usual name of a manifest, beside the files that it lists."""

MAX_BYTES = 64 * 2**20

_LINE = re.compile(r"(?P<escaped>\\?)(?P<sum>[0-9A-Fa-f]{64}) [ *](?P<name>.+)")
_TAGGED = re.compile(r"(?P<escaped>\\?)SHA256 \((?P<name>.+)\) = (?P<sum>[0-9A-Fa-f]{64})")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_PLAIN = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}


class ManifestError(ValueError):
    """A manifest that cannot be used; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One line. path: absolute. sha256: in lower case. line: its number, from 1."""

    path: Path
    sha256: str
    line: int


def load(manifest: Path, folders: list[Path]) -> list[Listed]:
    """Every file that a manifest lists. Raises ManifestError, OSError.

    folders: where its names may begin, the likeliest first; the one counts in which most of the files are there.
    """
    names = _names(manifest)
    base = max(folders, key=lambda folder: sum((folder / name).exists() for name, _, _ in names[:1000]))
    listed = []
    for name, checksum, line in names:
        path = Path(os.path.normpath(base / name))
        if not path.is_relative_to(base):
            raise ManifestError(f"{manifest}:{line} names a file outside of {base}: it is not looked at")
        listed.append(Listed(path, checksum, line))
    return listed


def _names(manifest: Path) -> list[tuple[str, str, int]]:
    """(name, checksum, line number) of each line. Raises ManifestError, OSError."""
    if manifest.stat().st_size > MAX_BYTES:
        raise ManifestError(f"{manifest} is longer than {MAX_BYTES} bytes: that is no manifest")
    if not manifest.is_file():
        raise ManifestError(f"{manifest} is no regular file")
    found = list[tuple[str, str, int]]()
    # Only \n ends a line: a name may have any other character, and \r in a name is escaped.
    text = manifest.read_bytes().decode("utf-8", "surrogateescape")
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line) or _TAGGED.fullmatch(line)
        if match is None or "\0" in line:
            raise ManifestError(f"{manifest}:{number} is no line of sha256sum: CHECKSUM  NAME")
        name = match["name"]
        if match["escaped"]:
            name = re.sub(r"\\[\\nr]", lambda part: _PLAIN[part[0]], name)
        found.append((name, match["sum"].lower(), number))
    if not found:
        raise ManifestError(f"{manifest} lists no files")
    return found


def write(manifest: Path, base: Path, sums: Mapping[Path, str]) -> None:
    """Writes a manifest of files below `base`, sorted by name; it is there whole or not at all. Raises OSError.

    What is no regular file is not replaced: as root that would cost the host its /dev/null.
    """
    if os.path.lexists(manifest) and not os.path.isfile(manifest):
        raise FileExistsError(errno.EEXIST, "there is something else than a file", str(manifest))
    lines = sorted(_line(path.relative_to(base), checksum) for path, checksum in sums.items() if path != manifest)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{manifest.name}.", dir=manifest.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(b"".join(line for _, line in lines))
            file.flush()
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
        os.replace(temporary, manifest)
    except BaseException:
        os.unlink(temporary)
        raise


def _line(name: Path, checksum: str) -> tuple[bytes, bytes]:
    text = str(name)
    escaped = re.sub(r"[\\\n\r]", lambda part: _ESCAPES[part[0]], text)
    mark = "\\" if escaped != text else ""
    return os.fsencode(text), f"{mark}{checksum}  ".encode() + os.fsencode(escaped) + b"\n"
