"""What can be looked at, by name. Arguments and answers are JSON; an OSError is an answer too.

Imports stand where they are needed: the daemon's start waits for the first answers, which need none.
"""

import os
from collections.abc import Callable
from typing import Any

from model_load_exporter.mounts import mount_point


def _advice(config_file: str) -> list[str]:
    """What a config file asks for in vain. Raises ConfigError, as OSError to the asker: it has been read before."""
    from model_load_exporter.config import load_config, warnings

    return list(warnings(load_config(config_file)))


def _located(name: str) -> list[str | None] | None:
    """[path, repo] of a config's path or repo id; None where there is nothing."""
    from model_load_exporter.artifacts.locate import locate

    found = locate(name)
    return None if found is None else [str(found.path), found.repo]


def _predicted(name: str, loader: str) -> list[object] | None:
    """[bytes, how] of the memory that loading it will take; None where nothing tells."""
    from model_load_exporter.artifacts.locate import locate
    from model_load_exporter.artifacts.predict import predict_memory

    found = locate(name)
    prediction = None if found is None else predict_memory(str(found.path), loader)
    return None if prediction is None else [prediction.bytes, prediction.how]


def _space(path: str) -> list[object]:
    """[mount point, size, bytes that an unprivileged user may take] of the file system below a path."""
    point = mount_point(path)
    space = os.statvfs(point)
    return [point, space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize]


def _wrong(path: str) -> str | None:
    """What is wrong with the file or folder at a path, in words; None for nothing that a look tells."""
    from model_load_exporter.classify.files import look

    found = look(path)
    return None if found is None else found.detail


LOOKS: dict[str, Callable[..., Any]] = {
    "advice": _advice,
    "link": os.path.realpath,
    "located": _located,
    "predicted": _predicted,
    "space": _space,
    "wrong": _wrong,
}


def look_here(what: str, *arguments: str, seconds: float = 0.0) -> Any:
    """As Looker.ask, by this very process and without a limit: for commands that a person can interrupt."""
    return LOOKS[what](*arguments)
