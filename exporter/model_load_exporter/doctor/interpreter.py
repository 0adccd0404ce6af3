"""What is installed in this interpreter: `PYTHON -I interpreter.py`, one JSON object on standard output.

It runs under the service's Python, which has neither this package nor a promise of its age: one file of the standard
library alone, for Python 3.8 and newer. No library is imported: importing torch costs seconds, and can fail.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import sysconfig
from typing import Any


def packages() -> dict[str, Any]:
    """{name: {version, requires_python, requires}} of every distribution; of two, the one that is imported."""
    from importlib import metadata

    found: dict[str, Any] = {}
    for distribution in metadata.distributions():
        try:
            name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
            if name in found:
                continue
            found[name] = {
                "version": distribution.version,
                "requires_python": distribution.metadata["Requires-Python"],
                "requires": list(distribution.requires or ()),
            }
        except Exception:  # noqa: S112 - a package that was removed by half is none
            continue
    return found


def torch_build() -> dict[str, str]:
    """{cuda, hip} that torch was built for, from its version.py, which is read and not run."""
    for folder in sys.path:
        path = os.path.join(folder, "torch", "version.py")
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read(4096)
        except OSError:
            continue
        found = {}
        for name in ("cuda", "hip"):
            match = re.search(name + r"\b[^=\n]*=\s*['\"]([^'\"]+)['\"]", text)
            if match:
                found[name] = match.group(1)
        return found
    return {}


def main() -> None:
    """Prints what there is."""
    print(
        json.dumps(
            {
                "python": platform.python_version(),
                "implementation": platform.python_implementation(),
                "executable": sys.executable,
                "prefix": sys.prefix,
                "machine": platform.machine(),
                "platform": sysconfig.get_platform(),
                "libc": "-".join(platform.libc_ver()),
                "packages": packages(),
                "torch": torch_build(),
            }
        )
    )


if __name__ == "__main__":
    main()
