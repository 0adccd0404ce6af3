"""Pairs of versions that are known to fail together, though neither package says so. Each with where it was reported.

What packages do say is read from their own requirements (`compatibility`) and has no place here. A new pair is a row,
and its line in tests/unit/test_doctor_compatibility.py.
"""

from dataclasses import dataclass

Side = tuple[str, str | None]
"""(package, versions as in a requirement); None: the package is not installed."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides are there at once. what: what happens then. fix: the arguments of `pip install` that help.

    unless: a package that makes it right. severity: a warning where only some models or uses fail.
    """

    first: Side
    second: Side
    what: str
    fix: str
    source: str
    unless: str = ""
    severity: str = "warning"


PAIRS: tuple[Pair, ...] = (
    Pair(
        ("torch", "<2.3"), ("numpy", ">=2"),
        "torch was compiled for NumPy 1: `Failed to initialize NumPy: _ARRAY_API not found`; tensors do not convert",
        "'numpy<2'", "https://github.com/xai4space/meteors/issues/20", severity="problem",
    ),
    Pair(
        ("transformers", ">=4.52"), ("torch", "<2.6"),
        "transformers refuses torch.load of .bin checkpoints for CVE-2025-32434; safetensors still load",
        "'torch>=2.6'", "https://github.com/hiyouga/LlamaFactory/issues/8379",
    ),
    Pair(
        ("torch", "<2.6"), ("safetensors", None),
        "every checkpoint is a pickle then, and weights_only does not keep one from running code (CVE-2025-32434)",
        "safetensors 'torch>=2.6'", "https://github.com/advisories/GHSA-53q9-r3pm-6pq6",
    ),
    Pair(
        ("transformers", "<5"), ("keras", ">=3"),
        "`Keras 3 ... is not yet supported in Transformers`: its TensorFlow models do not load without tf-keras",
        "tf-keras", "https://github.com/huggingface/transformers/issues/36410", unless="tf-keras",
    ),
)  # fmt: skip
