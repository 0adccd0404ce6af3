"""The child: `python -I -m model_load_exporter.verification.child SPEC_JSON`. It verifies one model's files, slowly.

It speaks in JSON lines on standard output: `progress` (at most one a second, so that silence means a read that hangs),
`file` for each file, and last `report`, or `error`. SPEC: path, manifest, level, rate (bytes a second), parent (pid).
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_load_exporter.artifacts.locate import locate
from model_load_exporter.artifacts.report import FileReport
from model_load_exporter.artifacts.verify import verify
from model_load_exporter.verification.finding import MOST_FILES, MOST_TEXT
from model_load_exporter.verification.quiet import lie_low
from model_load_exporter.verification.survey import Survey, survey

_TELL_SECONDS = 1.0


class Voice:
    """Says things to the parent, and now and then that it is alive."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._told = 0.0

    def say(self, event: str, **values: Any) -> None:
        """One line. ASCII: file names need not be UTF-8, and come back with their surrogates."""
        data = json.dumps({"event": event, **values}).encode() + b"\n"
        while data:
            data = data[os.write(self._fd, data) :]

    def tick(self, *_: object) -> None:
        """Something was read."""
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self._told = time.monotonic()
            self.say("progress")


class Pace:
    """Sleeps so that no more than `rate` bytes a second are read. What a slow disk lost is not made up for."""

    def __init__(self, rate: int, tick: Callable[[], None]) -> None:
        self._rate = rate
        self._tick = tick
        self._due = time.monotonic()

    def __call__(self, size: int) -> None:
        """After `size` bytes were read."""
        now = time.monotonic()
        self._due = max(self._due, now - 1) + size / self._rate
        while (wait := self._due - time.monotonic()) > 0:
            time.sleep(min(wait, _TELL_SECONDS))
            self._tick()
        self._tick()


def main() -> int:
    """Verifies what the argument says. 0 when a report was told, good or bad."""
    spec = json.loads(sys.argv[1])
    lie_low(spec["parent"])
    voice = Voice(sys.stdout.fileno())
    voice.tick()
    try:
        _verify(spec, voice)
    except MemoryError:
        voice.say("error", message="a file made its parser want more memory than it may have")
        return 1
    except Exception as error:  # the parent logs it in one line; a traceback would say less
        voice.say("error", message=f"{type(error).__name__}: {error}"[:MOST_TEXT])
        return 1
    return 0


def _verify(spec: dict[str, Any], voice: Voice) -> None:
    location = locate(spec["path"])
    if location is None:
        what = "does not exist" if spec["path"].startswith("/") else "is not in the local hub cache"
        _tell_file(voice, FileReport(Path(spec["path"]), "unknown", False, "file_missing", what), None)
        _tell_report(voice, spec, Survey("missing", 0, None, None), settled=True, count=1)
        return
    root = location.path
    manifest = spec["manifest"] and Path(root if root.is_dir() else root.parent, spec["manifest"])
    before = survey(root, manifest, voice.tick)
    level = spec["level"]
    report = verify(
        [root], level=level, manifest=manifest if level == "checksum" else None, progress=voice.tick,
        pace=Pace(spec["rate"], voice.tick), threads=1,
    )  # fmt: skip
    settled = survey(root, manifest, voice.tick).stamp == before.stamp
    for file in sorted(report.files, key=lambda file: file.ok)[:MOST_FILES]:
        _tell_file(voice, file, root)
    _tell_report(voice, spec, before, settled=settled, count=len(report.files))


def _tell_file(voice: Voice, file: FileReport, root: Path | None) -> None:
    path = str(file.path)
    if root is not None:
        path = os.path.relpath(path, root) if file.path != root else file.path.name
    voice.say(
        "file", path=path, size=file.size, modified=file.modified, ok=file.ok, reason=file.reason,
        detail=file.detail[:MOST_TEXT], sha256=file.sha256, touched=_touched(file.path),
    )  # fmt: skip


def _touched(path: Path) -> float | None:
    """When the file, or what is known of it, was last written; None where it cannot be looked at."""
    try:
        return path.stat().st_ctime
    except OSError:
        return None


def _tell_report(voice: Voice, spec: dict[str, Any], seen: Survey, *, settled: bool, count: int) -> None:
    voice.say(
        "report", level=spec["level"], stamp=seen.stamp, size=seen.size, modified=seen.modified, touched=seen.touched,
        settled=settled, count=count,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
