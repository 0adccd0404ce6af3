"""Model files looked at without loading them: there, readable, whole, unchanged, and free of code.

stat       there, readable, not empty; shards and parts complete
header     each format's header, directory or document; pickles scanned, never executed
checksum   all of that, every checksum that files carry, the hub's own, the manifest's, and a sha256 of each file
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from model_load_exporter.artifacts import manifest as manifests
from model_load_exporter.artifacts.check import Checker, failed
from model_load_exporter.artifacts.manifest import Listed, ManifestError
from model_load_exporter.artifacts.plan import Plan, add_beside, plan
from model_load_exporter.artifacts.registry import format_of
from model_load_exporter.artifacts.report import FileReport, Progress, Report

__all__ = ["LEVELS", "FileReport", "Progress", "Report", "verify"]

LEVELS = ("stat", "header", "checksum")

_PROGRESS_SECONDS = 0.05


class _StoppedError(Exception):
    """Somebody else ended the verification."""


def verify(
    paths: Sequence[Path],
    *,
    level: str = "checksum",
    manifest: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    pace: Callable[[int], None] | None = None,
    threads: int | None = None,
) -> Report:
    """Files, folders of them, folders of models, patterns such as /models/*. What is wrong is in the report.

    progress: called some twenty times a second and at the end, from any thread, one call at a time. pace: called with
    the count after every few hundred kilobytes read for checksums, from the reading thread; it may sleep. threads: at
    most this many files at one time; None: one a processor. Raises ValueError for a level that is not in LEVELS, and
    for a manifest below level checksum.
    """
    if level not in LEVELS:
        raise ValueError(f"no level {level!r}; there are: {', '.join(LEVELS)}")
    if manifest is not None and level != "checksum":
        raise ValueError(f"a manifest is a list of checksums: level {level} reads too little to check it")
    made = plan(paths)
    if level == "checksum":
        add_beside(made)
    listed = _listed(made, manifest) if manifest else None
    run = _Run(made, level, progress, pace)
    reports = run.all(threads or len(os.sched_getaffinity(0)))
    if listed is not None and manifest is not None:
        reports = _compared(reports, listed, manifest)
    else:
        reports = [_not_compared(report) if report.path.name == manifests.NAME else report for report in reports]
    return Report(tuple(sorted(reports, key=lambda report: report.path)), tuple(made.models))


class _Run:
    """One verification: files spread over threads, what is done counted."""

    def __init__(
        self, made: Plan, level: str, progress: Callable[[Progress], None] | None, pace: Callable[[int], None] | None
    ) -> None:
        self._plan = made
        self._progress = progress
        self._pace = pace
        self._lock = threading.Lock()
        self._stopped = False
        self._done = self._files_done = 0
        self._files = len(made.files) + len(made.whole)
        self._total = 0
        self._shown = 0.0
        self._hashes = level == "checksum"
        self._checker = Checker(level, self._advance)

    def all(self, threads: int) -> list[FileReport]:
        """Every file's report. The largest first, so that no thread is left with it at the end."""
        groups = self._groups()
        reports = list(self._plan.found)
        with ThreadPoolExecutor(threads, thread_name_prefix="verify") as pool:
            try:
                jobs = [pool.submit(self._group, names) for names in groups]
                for job in as_completed(jobs):
                    reports.extend(job.result())
                for path, form in self._plan.whole.items():
                    reports.append(self._checker.folder(path, form))
                    self._file_done(path)
            except BaseException:
                # Ctrl-C: the threads end at their next chunk, not at the end of a file of many gigabytes.
                self._stopped = True
                pool.shutdown(cancel_futures=True)
                raise
        return reports

    def _groups(self) -> list[list[Path]]:
        """Paths of the same file together: it is hashed once."""
        groups: dict[object, list[Path]] = {}
        sizes: dict[object, int] = {}
        for path in self._plan.files:
            key: object = path
            size = 0
            try:
                state = path.stat()
                key, size = (state.st_dev, state.st_ino), state.st_size
            except (OSError, ValueError):
                pass  # the check of the file says what is wrong
            groups.setdefault(key, []).append(path)
            sizes[key] = size
            form = format_of(path)
            self._total += size * (2 if form and form.deep else 1) if self._hashes else 0
        return [groups[key] for key in sorted(groups, key=lambda key: -sizes[key])]

    def _group(self, names: list[Path]) -> list[FileReport]:
        reports = []
        for path in names:
            if self._stopped:
                raise _StoppedError
            report = self._checker.file(path, required=self._plan.files[path], part=path in self._plan.parts)
            self._file_done(path)
            if report is not None:
                reports.append(report)
        return reports

    def _advance(self, path: Path, count: int) -> None:
        if self._stopped:
            raise _StoppedError
        if self._pace:
            self._pace(count)
        with self._lock:
            self._done += count
            self._show(path)

    def _file_done(self, path: Path) -> None:
        with self._lock:
            self._files_done += 1
            self._show(path)

    def _show(self, path: Path) -> None:
        if self._progress is None:
            return
        now, last = time.monotonic(), self._files_done == self._files
        if last or now - self._shown >= _PROGRESS_SECONDS:
            self._shown = now
            done = self._total if last else min(self._done, self._total)
            self._progress(Progress(path, done, self._total, self._files_done, self._files))


def _listed(made: Plan, manifest: Path) -> list[Listed]:
    """What the manifest lists below the paths; the files of it that are there are verified with the others."""
    roots = [Path(os.path.abspath(root)) for root in made.roots]
    parent = Path(os.path.abspath(manifest)).parent
    bases = [root if root.is_dir() else root.parent for root in roots]
    # Names are relative to the manifest's folder where the files are in it, else to the folder that was given.
    inside = all(root.is_relative_to(parent) for root in roots)
    bases = [parent, *bases] if inside else [*bases, parent]
    try:
        listed = manifests.load(manifest, bases)
    except (ManifestError, OSError) as error:
        if isinstance(error, OSError):
            made.found.append(failed(manifest, error))
        else:
            made.found.append(FileReport(manifest, "manifest", False, "file_corrupted", str(error)))
        return []
    known = {os.path.abspath(path) for path in made.files}
    below = [entry for entry in listed if any(entry.path.is_relative_to(root) for root in roots)]
    made.files.update({entry.path: True for entry in below if str(entry.path) not in known})
    return below


def _not_compared(report: FileReport) -> FileReport:
    """Nobody should take a manifest that lies there for one that was checked."""
    note = "not compared: --manifest does that"
    return replace(report, format="manifest", metadata={**report.metadata, "note": note}) if report.ok else report


def _compared(reports: list[FileReport], listed: list[Listed], manifest: Path) -> list[FileReport]:
    """The reports with what the manifest says of each file."""
    wanted = {str(entry.path): entry for entry in listed}
    own = os.path.abspath(manifest)
    compared = []
    for report in reports:
        entry = wanted.get(os.path.abspath(report.path))
        if entry is None:
            if listed and report.sha256 and os.path.abspath(report.path) != own:
                report = replace(report, metadata={**report.metadata, "manifest": "not listed"})
        elif report.reason == "file_missing":
            report = replace(report, detail=f"{manifest}:{entry.line} lists it: {report.detail}")
        elif report.ok and report.sha256 != entry.sha256:
            sums = f"its sha256 is {str(report.sha256)[:12]}..., {manifest}:{entry.line} has {entry.sha256[:12]}..."
            report = replace(report, ok=False, reason="file_corrupted", detail=f"changed: {sums}")
        compared.append(report)
    return compared
