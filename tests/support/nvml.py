"""A driver without a GPU: tests/fixtures/nvml/stub.c, built as libnvidia-ml.so.1 for the real nvidia-ml-py."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = Path(__file__).parents[1] / "fixtures" / "nvml" / "stub.c"


class Stub:
    """The stub in a folder. `environment` makes a process load it; `behave` changes it while that process runs."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler: `make test` installs one")
        self._behaviour = folder / "behaviour"
        library = folder / "libnvidia-ml.so.1"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(library), str(_SOURCE)],
            check=True,
        )
        self.environment = {"LD_LIBRARY_PATH": str(folder), "NVML_STUB": str(self._behaviour)}
        self.behave("normal")

    def behave(self, how: str) -> None:
        """See stub.c for the ways."""
        # Replaced whole: the stub may be reading it.
        new = self._behaviour.with_suffix(".new")
        new.write_text(how)
        os.replace(new, self._behaviour)
