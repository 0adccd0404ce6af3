"""verify() in a child of another user: what it finds depends on whose eyes it has.

    python verify_as.py UID < '{"name": [path, level, manifest or null]}'

Prints {"name": [[path, reason, detail], ...]}, of bad files only. The modules are imported before root's rights are
given up for good: the other user need not be able to read this checkout.
"""

import json
import os
import sys
from pathlib import Path

from model_load_exporter.artifacts.verify import verify


def bad(path: str, level: str, manifest: str | None) -> list[list[str | None]]:
    """What is wrong, file by file."""
    report = verify([Path(path)], level=level, manifest=Path(manifest) if manifest else None)
    return [[str(file.path), file.reason, file.detail] for file in report.files if not file.ok]


def main() -> None:
    wanted, uid = json.load(sys.stdin), int(sys.argv[1])
    if uid != os.getuid():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    json.dump({name: bad(*arguments) for name, arguments in wanted.items()}, sys.stdout)


if __name__ == "__main__":
    main()
