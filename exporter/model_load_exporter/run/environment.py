"""The service's environment: its target, and a folder that Python looks into before the service's first line."""

import os
from collections.abc import Mapping, Sequence

TARGET = "MODEL_LOAD_EXPORTER_TARGET"
SUPERVISOR = "MODEL_LOAD_EXPORTER_SUPERVISOR"
BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap")


def environment_of(outside: Mapping[str, str], name: str | None, *, instrumented: bool) -> dict[str, str]:
    """What the service gets. Its children inherit it, and with it the instrumentation."""
    made = dict(outside)
    if name is not None:
        made[TARGET] = name
    if instrumented:
        made[SUPERVISOR] = str(os.getpid())
        rest = [folder for folder in made.get("PYTHONPATH", "").split(os.pathsep) if folder != BOOTSTRAP]
        # An empty PYTHONPATH means nothing to Python, an empty part of one the working folder.
        made["PYTHONPATH"] = os.pathsep.join([BOOTSTRAP, *rest] if rest != [""] else [BOOTSTRAP])
    return made


def why_not(command: Sequence[str], outside: Mapping[str, str]) -> str | None:
    """Why this command cannot be instrumented, or None: it is no Python, or one that takes the bootstrap."""
    arguments = list(command)
    if not _is_python(arguments[0]):
        arguments = _first_line(arguments[0], outside)
        if len(arguments) > 1 and arguments[0].endswith("/env"):
            # env -S python -I: the options of env itself matter to nobody.
            arguments = [part for part in arguments[1:] if not part.startswith("-") or part[1:2] in "IES"]
            arguments = arguments[1:] if arguments[:1] == ["-S"] else arguments
    if not arguments or not _is_python(arguments[0]):
        return None
    for argument in arguments[1:]:
        if not argument.startswith("-") or argument in ("-", "--") or argument.startswith(("-c", "-m")):
            return None
        for letter, what in (("I", "ignores PYTHONPATH"), ("E", "ignores PYTHONPATH"), ("S", "loads no sitecustomize")):
            if not argument.startswith("--") and letter in argument:
                return f"python -{letter} {what}"
    return None


def _is_python(path: str) -> bool:
    return os.path.basename(path).startswith(("python", "pypy"))


def _first_line(name: str, outside: Mapping[str, str]) -> list[str]:
    """What the first line of a script names, in parts; [] where it is no script."""
    try:
        paths = [name] if "/" in name else [os.path.join(folder, name) for folder in os.get_exec_path(dict(outside))]
        path = next(path for path in paths if os.path.isfile(path))
        with open(path, "rb") as file:
            line = file.readline(256)
    except (OSError, StopIteration):
        return []
    return line[2:].decode(errors="replace").split() if line.startswith(b"#!") else []
