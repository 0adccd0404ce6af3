"""Coverage-guided fuzzing of every parser, for hours.

    .venv/bin/python tests/fuzz/atheris_fuzz.py --list
    .venv/bin/python tests/fuzz/atheris_fuzz.py file_gguf -max_total_time=3600
    .venv/bin/python tests/fuzz/atheris_fuzz.py all -jobs=2 -workers=2 -max_total_time=28800
    .venv/bin/python tests/fuzz/atheris_fuzz.py file_gguf crash-0123abcd          (one input again)

Everything behind the target's name goes to libFuzzer. The corpus grows in .run/fuzz/TARGET (or in $FUZZ_CORPUS/TARGET),
which begins with the target's seeds: real files where .venv-models and .venv-formats are there. What is found is
written to crash-SHA in the folder where it runs; each becomes a line of test_found.py.
"""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["model_load_exporter"]):
    import entries_daemon
    import entries_files
    import entries_text

from fuzz_target import Target

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / ".run" / "fuzz"
LONGEST = 1 << 16


def real_files() -> Path:
    """Model files that the libraries wrote; made once."""
    folder = CORPUS / "files"
    if not folder.exists():
        folder.mkdir(parents=True)
        for environment in (".venv-models", ".venv-formats"):
            python = ROOT / environment / "bin" / "python"
            if python.exists():
                maker = Path(__file__).with_name("make_seeds.py")
                subprocess.run([python, maker, folder], check=True, env={"PYTHONPATH": str(ROOT / "exporter")})
    return folder


def all_targets() -> dict[str, Target]:
    """By name."""
    found = {target.name: target for target in (*entries_daemon.TARGETS, *entries_text.TARGETS)}
    return found | entries_files.targets(real_files())


def with_seeds(name: str, seeds: list[bytes]) -> str:
    """The corpus's folder, with the seeds in it."""
    folder = Path(os.environ.get("FUZZ_CORPUS", CORPUS)) / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / sha256(seed).hexdigest()[:16]).write_bytes(seed[:LONGEST])
    return str(folder)


def main() -> None:
    targets = all_targets()
    name = sys.argv[1] if len(sys.argv) > 1 else "--list"
    if name == "--list":
        print("\n".join(["all", *targets]))
        return
    options = [f"-max_len={LONGEST}", "-timeout=20", "-rss_limit_mb=1024", *sys.argv[2:]]
    given = [option for option in sys.argv[2:] if not option.startswith("-")]
    if name == "all":
        order = list(targets.values())
        seeds = [bytes([number]) + seed for number, target in enumerate(order) for seed in target.seeds]

        def run(data: bytes) -> None:
            if data:
                order[data[0] % len(order)].try_with(data[1:])
    elif name in targets:
        seeds, run = list(targets[name].seeds), targets[name].try_with
    else:
        sys.exit(f"no target is called {name}: --list names them")
    atheris.Setup([sys.argv[0], *options, *([] if given else [with_seeds(name, seeds)])], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
