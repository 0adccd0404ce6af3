"""`verify`: model files looked at without loading them."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_load_exporter.artifacts.report import Report

_LEVELS = ("stat", "header", "checksum")


class _UsageError(Exception):
    """The command line asks for what cannot be done; the message says why."""


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the verb and its flags."""
    parser = verbs.add_parser(
        "verify",
        help="check model files without loading them",
        description="Files, folders of them, folders of models, patterns in quotes ('/models/*') or repo ids of the "
        "local hub cache: whole, of their format, unchanged, free of code. Exits 0 good, 1 bad, 2 usage; "
        "a path that does not exist is bad.",
    )
    parser.set_defaults(run=run)
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="a file, a folder, a pattern, or a repo id in the local hub cache")
    add(
        "--level",
        choices=_LEVELS,
        default="checksum",
        help="stat: there and readable; header: of its format, no code in pickles; checksum: every byte (default)",
    )
    add("--manifest", metavar="F", help="compare with this list of sha256sum")
    add("--write-manifest", dest="write_manifest", metavar="F", help="write such a list, if all files are good")
    add("--json", action="store_true", help="one JSON document instead of text")


def run(options: argparse.Namespace) -> int:
    """0 good, 1 bad, 2 usage."""
    from model_load_exporter.artifacts.verify import verify
    from model_load_exporter.artifacts.verify_text import render
    from model_load_exporter.commands.progress_bar import ProgressBar

    try:
        paths = [_place(given) for given in options.paths]
        base = _base(options, paths)
        with ProgressBar(sys.stderr) as bar:
            report = verify(
                paths,
                level=options.level,
                manifest=Path(options.manifest) if options.manifest else None,
                progress=bar.update if bar.shown else None,
            )
        # Before the verdict: a line on the side would not be seen under "all good".
        written = _written(Path(options.write_manifest), base, report) if base is not None else None
    except (_UsageError, ValueError) as error:
        print(f"model-load-exporter: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(report.to_json(), indent=2))
    else:
        sys.stdout.write(render(report, options.level, terminal=_coloured()))
    if written is not None:
        print(written, file=sys.stderr)
    return 0 if report.ok else 1


def _coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _place(given: str) -> Path:
    """A path, or the snapshot of a repo id."""
    from model_load_exporter.artifacts.locate import locate

    if not given or "\0" in given:
        raise _UsageError(f"{given!r} is no path")
    path = Path(given).expanduser()
    if not path.is_absolute() and not os.path.lexists(path) and (found := locate(given)):
        return found.path
    return path


def _base(options: argparse.Namespace, paths: list[Path]) -> Path | None:
    """The folder that a new manifest's names are relative to; None where none is asked for. Raises _UsageError."""
    from model_load_exporter.artifacts.plan import expand

    if not options.write_manifest:
        return None
    if options.level != "checksum":
        raise _UsageError("--write-manifest needs --level checksum")
    target = Path(os.path.abspath(options.write_manifest))
    _refuse_unwritable(target)
    roots = [Path(os.path.abspath(path)) for path in expand(paths)]
    if all(root.is_relative_to(target.parent) for root in roots):
        return target.parent
    if len(roots) == 1:
        return roots[0] if roots[0].is_dir() else roots[0].parent
    raise _UsageError(f"--write-manifest: {target.parent} does not hold all the paths; put the manifest above them")


def _refuse_unwritable(target: Path) -> None:
    """Before all files are read for it. Raises _UsageError."""
    if os.path.exists(target) and not os.path.isfile(target):
        raise _UsageError(f"--write-manifest {target}: cannot be written: it is no regular file")
    try:
        # It will be made beside its place and renamed; this one has no name, or none for long.
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise _unwritable(target, error) from None


def _unwritable(target: Path, error: OSError) -> _UsageError:
    return _UsageError(f"--write-manifest {target}: cannot be written: {error.strerror or error}")


def _written(target: Path, base: Path, report: "Report") -> str:
    """Writes the manifest if all files are good; returns the line that tells which it was. Raises _UsageError."""
    from model_load_exporter.artifacts.manifest import write

    bad = sum(not file.ok for file in report.files)
    if bad:
        return f"model-load-exporter: {target} not written: {bad} files are bad"
    sums = {Path(os.path.abspath(file.path)): file.sha256 for file in report.files if file.sha256}
    try:
        write(Path(os.path.abspath(target)), base, sums)
    except OSError as error:
        raise _unwritable(target, error) from None
    return f"wrote {target}: {len(sums)} files, names relative to {base}"
