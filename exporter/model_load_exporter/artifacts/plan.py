"""What to verify: paths and patterns become files, folders that are a format, and what is missing at first sight."""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from model_load_exporter.artifacts import folder, hub_cache, walk
from model_load_exporter.artifacts.check import UNKNOWN, failed
from model_load_exporter.artifacts.format import FolderFormat
from model_load_exporter.artifacts.registry import folder_format_of, format_of
from model_load_exporter.artifacts.report import FileReport
from model_load_exporter.artifacts.summary import ArtifactError

_SIGNS = "*?["


@dataclass(slots=True)
class Plan:
    """What there is to do.

    files: each path once, in order, True where it was asked for by name. whole: folders that are one format; parts: the
    files in them. found: what is wrong before a file is opened. models: folders to show the files under. roots: what
    was given, patterns replaced.
    """

    files: dict[Path, bool] = field(default_factory=dict)
    whole: dict[Path, FolderFormat] = field(default_factory=dict)
    found: list[FileReport] = field(default_factory=list)
    models: list[Path] = field(default_factory=list)
    roots: list[Path] = field(default_factory=list)
    parts: set[Path] = field(default_factory=set)

    def inside(self, path: Path) -> bool:
        """True below a folder that is one format."""
        return any(path.is_relative_to(folder) for folder in self.whole)


def expand(paths: Sequence[Path]) -> list[Path]:
    """Patterns replaced by what they fit. A path that exists is none; one that fits nothing stays as it is."""
    found = dict[Path, None]()
    for path in paths:
        matches: list[str] = []
        if any(sign in str(path) for sign in _SIGNS) and not path.exists():
            matches = sorted(glob.glob(str(path), recursive=True))
        found.update(dict.fromkeys(map(Path, matches)) or {path: None})
    return list(found)


def plan(paths: Sequence[Path]) -> Plan:
    """Everything below the paths. Never raises OSError: what cannot be looked at is among what was found."""
    made = Plan(roots=expand(paths))
    for path in made.roots:
        try:
            is_folder = path.is_dir()
        except OSError:
            is_folder = False
        if is_folder:
            _add_folder(made, path)
        else:
            made.files[path] = True
            made.models.append(path.parent)
    made.models = list(dict.fromkeys(made.models))
    return made


def add_beside(made: Plan) -> None:
    """Of files that were asked for by name also those that they keep their weights in."""
    for path in [path for path, named in made.files.items() if named]:
        form = format_of(path)
        if form is None or form.beside is None:
            continue
        try:
            others = form.beside(path)
        except (ArtifactError, OSError):
            continue  # its own check says what is wrong
        for other in others:
            made.files.setdefault(other, True)
            made.roots.append(other)


def _add_folder(made: Plan, root: Path) -> None:
    model: Path | None = None
    of_model: dict[Path, list[walk.Folder]] = {}
    seen = len(made.files) + len(made.found)
    try:
        for one in walk.folders(root):
            if one.error is not None:
                made.found.append(failed(one.path, one.error))
                continue
            if one.too_deep:
                detail = f"lies more than {walk.MAX_DEPTH} folders deep: verify it by itself"
                made.found.append(FileReport(one.path, "folder", False, "resource_limit", detail))
                continue
            if model is None or not one.path.is_relative_to(model):
                model = one.path if folder.is_model(one) else None
            if model is not None or one.names:
                of_model.setdefault(model or one.path, []).append(one)
            _add_names(made, one)
    except walk.TooManyFilesError:
        detail = f"holds more than {walk.MAX_FILES} files: verify the models in it one by one"
        made.found.append(FileReport(root, "folder", False, "resource_limit", detail))
    for path, folders in of_model.items():
        made.models.append(path)
        _add_lost(made, path, folders, asked=path == root)
    if len(made.files) + len(made.found) == seen and not made.whole:
        made.found.append(FileReport(root, "folder", False, "file_missing", "the folder is empty"))


def _add_names(made: Plan, one: walk.Folder) -> None:
    inside = made.inside(one.path)
    if not inside and (form := folder_format_of(one.path)):
        made.whole[one.path] = form
        inside = True
    if inside:
        made.parts.update(one.path / name for name in one.names)
    made.files.update({one.path / name: False for name in one.names if one.path / name not in made.files})
    for path, detail in () if inside else folder.lost_shards(one):
        made.found.append(FileReport(path, UNKNOWN, False, "shard_missing", detail))


def _add_lost(made: Plan, model: Path, folders: list[walk.Folder], *, asked: bool) -> None:
    """asked: whether the path names this model, and not a folder of many."""
    if not hub_cache.is_repo(model):
        _add_parts(made, model, folders, asked=asked)
        return
    try:
        broken = [
            FileReport(path, UNKNOWN, False, reason, detail) for path, reason, detail in hub_cache.broken_refs(model)
        ]
        unfinished = hub_cache.unfinished(model)
    except OSError as error:
        made.found.append(failed(model, error))
        return
    made.found.extend(broken)
    _drop_known_blobs(made, model)
    before = len(made.found)
    for snapshot in {one.path for one in folders if one.path.parent.name == "snapshots"}:
        of_snapshot = [one for one in folders if one.path.is_relative_to(snapshot)]
        _add_parts(made, snapshot, of_snapshot, asked=asked or bool(unfinished))
    wanted = len(made.found) > before or not any(one.path.parent.name == "snapshots" for one in folders)
    for path in unfinished if wanted else ():
        made.found.append(
            FileReport(path, UNKNOWN, False, "file_corrupted", "is a download that broke off, or still runs")
        )


def _drop_known_blobs(made: Plan, repo: Path) -> None:
    """A blob is verified under the name that a snapshot gives it; so are only those that no snapshot needs."""
    blobs = {path for path in made.files if path.parent == repo / "blobs"}
    if not blobs:
        return
    linked = {os.path.realpath(path) for path in made.files if path.is_relative_to(repo / "snapshots")}
    for path in made.files.keys() & blobs:
        if os.path.realpath(path) in linked or path.name.endswith(".incomplete"):
            del made.files[path]
    for path in [path for path in made.files if path.is_relative_to(repo / "refs")]:
        del made.files[path]


def _add_parts(made: Plan, model: Path, folders: list[walk.Folder], *, asked: bool) -> None:
    for path, detail in folder.lost_parts(model, folders, asked=asked):
        made.found.append(FileReport(path, UNKNOWN, False, "file_missing", detail))
