"""Models by glob: an entry of `models` whose path is a pattern stands for every folder and model file that matches.

`look` reads the file system and may hang on a dead mount; `expand` is pure. What the rest of the exporter sees is the
expanded config: plain models, each with a name and a path.
"""

import glob
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from model_load_exporter.config.schema import Config, Model
from model_load_exporter.config.values import model_name as valid_name
from model_load_exporter.identity import looks_like_file, model_name

MOST_MATCHES = 10_000
"""Matches of one pattern that are looked at; MOST_MODELS is no more."""

_NO_MODELS = ("lost+found",)
_TOLD = 5

Matches = Mapping[str, Sequence[str]]
"""By pattern: the paths that match it now."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """config: without patterns. found: by pattern, the names that it stands for. notes: matches left out, and why."""

    config: Config
    found: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]


def patterns(config: Config) -> tuple[str, ...]:
    """The globs of a config, each once."""
    return tuple(dict.fromkeys(str(model.path) for model in config.models if not model.name and model.path))


def look(globs: Iterable[str]) -> dict[str, list[str]]:
    """What matches each glob now: folders, and files that end as model files do. Never raises; may hang.

    A glob whose folder is there and cannot be read is left out: nobody knows what matches it.
    """
    return {
        pattern: sorted(filter(_may_be_model, islice(glob.iglob(pattern), MOST_MATCHES)))
        for pattern in globs
        if _readable(pattern)
    }


def _readable(pattern: str) -> bool:
    """False where the deepest folder above the first wildcard fails, as a server that lost its disk does."""
    folder = pattern
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    try:
        os.scandir(folder).close()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return True


def expanded(config: Config) -> Expansion:
    """The config as it stands now. Looks at the file system, so a dead network mount can hold it up."""
    return expand(config, look(patterns(config)))


def _may_be_model(path: str) -> bool:
    return os.path.basename(path) not in _NO_MODELS and (os.path.isdir(path) or looks_like_file(path))


def expand(config: Config, matches: Matches, keep: Collection[str] = ()) -> Expansion:
    """The config with a plain model for each match.

    Entries with a name win over matches of the same name or path, earlier patterns over later ones. keep: names that
    go first where there are more matches than `limits.models` leaves room for: those that are known already.
    """
    explicit = [model for model in config.models if model.name]
    paths = {_plain(model.path) for model in explicit if model.path}
    names = {model.name: "" for model in explicit}
    room = config.limits.models - len(explicit)
    made: dict[str, list[Model]] = {}
    notes: list[str] = []
    for entry in config.models:
        if entry.name or not entry.path:
            continue
        left_out: list[str] = []
        taken: list[tuple[str, str]] = []
        for path in matches.get(entry.path, ()):
            if _plain(path) in paths:
                continue
            name, problem = _name(path)
            if not problem and names.get(name):
                problem = f"{name} is the name of {names[name]} already"
            if problem:
                left_out.append(f"{_shown(path)}: {problem}")
            elif name not in names:
                names[name] = path
                paths.add(_plain(path))
                taken.append((name, path))
        known = [one for one in taken if one[0] in keep]
        new = [one for one in taken if one[0] not in keep]
        chosen = (known + new)[: max(room, 0)]
        room -= len(chosen)
        if len(chosen) < len(taken):
            left_out.append(f"{len(taken) - len(chosen)} more than limits.models ({config.limits.models}) allows")
        made.setdefault(entry.path, []).extend(replace(entry, name=name, path=path) for name, path in sorted(chosen))
        if left_out:
            told = "; ".join(left_out[:_TOLD]) + (f"; and {len(left_out) - _TOLD} more" * (len(left_out) > _TOLD))
            notes.append(f"{entry.path}: not taken: {told}")
    found = {pattern: tuple(model.name for model in made.get(pattern, ())) for pattern in patterns(config)}
    models = [model for entry in config.models for model in ([entry] if entry.name else made.pop(entry.path or "", []))]
    return Expansion(replace(config, models=tuple(models)), found, tuple(notes))


def _name(path: str) -> tuple[str, str]:
    """The name of a match, and what is wrong with it."""
    base = os.path.basename(path.rstrip("/"))
    try:
        return valid_name(model_name(None, path, None) if base.isprintable() else base), ""
    except ValueError as error:
        return "", str(error).partition(";")[0]


def _plain(path: str) -> str:
    return os.path.normpath(path)


def _shown(path: str) -> str:
    return path if path.isprintable() else ascii(path)
