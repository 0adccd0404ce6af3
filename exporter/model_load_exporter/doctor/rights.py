"""May the service's user read the models' files? Looked at with that user's own rights, in a child that has them."""

import json
import os
import pwd
import shlex
from collections.abc import Sequence

from model_load_exporter.classify.files import look
from model_load_exporter.doctor.finding import Finding, fine

AREA = "files"


def check(models: Sequence[tuple[str, str]], user: str | None) -> list[Finding]:
    """models: (name, path). user: the service's; without one, or without the right to become it, this process's own."""
    if not models:
        return []
    who, findings = _looked([path for _, path in models], user)
    if isinstance(findings, str):
        return [
            Finding("warning", AREA, findings, "whether the service may read its models is not known", "run as root")
        ]
    found = []
    for (name, path), told in zip(models, findings, strict=True):
        if told is None:
            found.append(fine(AREA, f"{name}: {path} is there and {who} may read it"))
            continue
        reason, place, detail = told
        found.append(Finding(
            "problem", AREA, f"{name}: {place}: {detail}", f"its load fails: {reason}",
            f"chmod a+rX {shlex.quote(place)}, and a+x every folder above it" if reason == "permission_denied"
            else f"model-load-exporter verify {shlex.quote(path)}",
        ))  # fmt: skip
    return found


_Told = tuple[str, str, str] | None


def _looked(paths: list[str], user: str | None) -> tuple[str, list[_Told] | str]:
    """(who looked, what was seen of each path, or why nobody could)."""
    if user is None or os.geteuid() != 0:
        if user is not None and _uid(user) != os.geteuid():
            return user, f"only root can look with the rights of {user}"
        return user or f"uid {os.geteuid()}", [_told(path) for path in paths]
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return user, f"there is no user {user} on this host"
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(receive)
            os.initgroups(user, entry.pw_gid)
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            with os.fdopen(send, "w") as file:
                json.dump([_told(path) for path in paths], file)
        finally:
            os._exit(0)
    os.close(send)
    with os.fdopen(receive) as file:
        text = file.read()
    os.waitpid(pid, 0)
    try:
        return user, [None if one is None else (one[0], one[1], one[2]) for one in json.loads(text)]
    except ValueError:
        return user, f"nobody could look with the rights of {user}"


def _uid(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def _told(path: str) -> _Told:
    found = look(path)
    return None if found is None else (found.reason, found.path, found.detail)
