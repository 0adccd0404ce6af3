"""Do the packages of an interpreter fit together? By what they themselves require, and by pairs known to fail."""

from collections.abc import Iterator

from packaging.markers import UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from model_load_exporter.doctor.finding import Finding, fine
from model_load_exporter.doctor.inspection import Interpreter, Package
from model_load_exporter.doctor.known_pairs import PAIRS, Pair

AREA = "packages"

LOADING = (
    "torch", "transformers", "tokenizers", "safetensors", "accelerate", "huggingface-hub", "sentence-transformers",
    "diffusers", "peft", "bitsandbytes", "optimum", "sentencepiece", "onnxruntime", "onnxruntime-gpu", "tensorflow",
    "tensorflow-cpu", "keras", "jax", "vllm", "sglang", "llama-cpp-python", "ctranslate2", "numpy", "scipy",
    "scikit-learn", "joblib", "protobuf", "triton", "xformers", "flash-attn", "torchvision", "torchaudio",
)  # fmt: skip
"""Packages that take part in loading a model: what these require is checked, and nothing else of the environment."""


def check_own(interpreter: Interpreter) -> list[Finding]:
    """Of the exporter's own interpreter, looked at where nobody named another: it needs no library that loads."""
    if any(name in interpreter.packages for name in LOADING):
        return check(interpreter)
    return [
        fine(AREA, f"{interpreter.path} is the exporter's own and loads no model; name the service's: --python")
    ]  # fmt: skip


def check(interpreter: Interpreter) -> list[Finding]:
    """Every package that does not fit, or one finding that says that all do."""
    found = [*_python(interpreter)]
    looked_at = [interpreter.packages[name] for name in LOADING if name in interpreter.packages]
    for package in looked_at:
        found += _requirements(package, interpreter)
    found += _pairs(interpreter)
    if not looked_at:
        return [
            Finding(
                "problem", AREA, f"no library that loads models is installed in {interpreter.path}",
                "a load there fails at its first import",
                f"{interpreter.path} -m pip install torch transformers; or name the service's interpreter: --python",
            )
        ]  # fmt: skip
    if not found:
        names = ", ".join(f"{package.name} {package.version}" for package in looked_at[:8])
        more = f" and {len(looked_at) - 8} more" if len(looked_at) > 8 else ""
        return [fine(AREA, f"Python {interpreter.python}: {names}{more} fit together")]
    return found


def incompatible(findings: list[Finding]) -> set[str]:
    """The packages with a problem among the findings."""
    return {finding.package for finding in findings if finding.package and finding.severity == "problem"}


def _python(interpreter: Interpreter) -> Iterator[Finding]:
    for name in LOADING:
        package = interpreter.packages.get(name)
        if package is None or not package.requires_python:
            continue
        if not _fits(interpreter.python, package.requires_python):
            yield Finding(
                "problem", AREA,
                f"{name} {package.version} requires Python {package.requires_python}; this is {interpreter.python}",
                "its import may fail or misbehave in code that a load reaches late",
                f"{interpreter.path} -m pip install --upgrade {name}",
                package=name,
            )  # fmt: skip


def _requirements(package: Package, interpreter: Interpreter) -> Iterator[Finding]:
    for text in package.requires:
        try:
            requirement = Requirement(text)
            needed, extra = _applies(requirement, interpreter)
        except (InvalidRequirement, UndefinedEnvironmentName):
            continue
        if not needed:
            continue
        name = requirement.name.lower().replace("_", "-").replace(".", "-")
        version = interpreter.version(name)
        asks = f"{package.name} {package.version} requires {name}{requirement.specifier}"
        pip = f"{interpreter.path} -m pip install '{name}{requirement.specifier}'"
        if not version:
            if not extra:
                yield Finding(
                    "problem", AREA, f"{asks}, which is not installed",
                    f"a load that imports {package.name} fails: dependency_missing", pip, package=package.name,
                )  # fmt: skip
        elif not _fits(version, str(requirement.specifier)):
            yield Finding(
                "warning" if extra else "problem", AREA,
                f"{asks}{f' (for its extra {extra})' if extra else ''}; installed is {version}",
                f"a load that uses {package.name} with it fails or goes wrong: version_incompatible",
                pip, package=package.name,
            )  # fmt: skip


def _applies(requirement: Requirement, interpreter: Interpreter) -> tuple[bool, str]:
    """(whether it is asked for on this interpreter, the extra for which it is, '' without one)."""
    if requirement.marker is None:
        return True, ""
    environment = {
        "python_version": ".".join(interpreter.python.split(".")[:2]),
        "python_full_version": interpreter.python,
        "platform_machine": interpreter.machine,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    if requirement.marker.evaluate(environment):
        return True, ""
    # An extra that is not asked for by name still says with which versions the library works.
    for name in LOADING:
        if requirement.marker.evaluate({**environment, "extra": name}):
            return True, name
    return False, ""


def _pairs(interpreter: Interpreter) -> Iterator[Finding]:
    for pair in PAIRS:
        if _is_there(pair, interpreter):
            first, second = pair.first[0], pair.second[0]
            other = interpreter.version(second) or "missing"
            yield Finding(
                pair.severity, AREA,
                f"{first} {interpreter.version(first)} with {second} {other}: {pair.what}",
                f"known: {pair.source}",
                f"{interpreter.path} -m pip install {pair.fix}",
                package=first,
            )  # fmt: skip


def _is_there(pair: Pair, interpreter: Interpreter) -> bool:
    if pair.unless and interpreter.version(pair.unless):
        return False
    for name, specifier in (pair.first, pair.second):
        version = interpreter.version(name)
        if specifier is None:
            if version:
                return False
        elif not version or not _fits(version, specifier, unreadable=False):
            return False
    return True


def _fits(version: str, specifier: str, *, unreadable: bool = True) -> bool:
    """unreadable: the answer where either cannot be read; the default claims nothing."""
    try:
        # A build's local part (+cpu, +cu121) is no other version.
        return SpecifierSet(specifier).contains(Version(version).public, prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return unreadable
